"""How large the first level, nginx's own memory for pages, should be: so that all of them fit."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import ceil, inf
from typing import NamedTuple

from memfis.doctor.census import Census, StoredItem
from memfis.doctor.findings import Finding, counted
from memfis.nginx.first_level import FirstLevel, counted_by, socket_of
from memfis.settings.values import Site

PAGE = 4096
"""Bytes that nginx takes at a time for what is larger than half of it (ngx_slab.c)."""

BESIDE = 200
"""Bytes of an entry beside its page and key, about: nginx's own, the first line, and a head."""

HEADROOM = 1.1
"""What is advised, as a multiple of what pages take: changed pages may leave gaps."""


class Part(NamedTuple):
    """A part of the first level."""

    limit: float
    """Bytes of the largest entry in it (lua/memfis/first_level.lua)."""
    share: Fraction
    """Of the first level, in whole MiB (templates/nginx/first_level.j2)."""


PARTS = (
    Part(4096, Fraction(1, 8)),
    Part(65536, Fraction(1, 2)),
    Part(inf, Fraction(3, 8)),
)


def needed(items: Iterable[StoredItem]) -> int:
    """Return how many MiB the first level must have so that no page of `items` goes for another."""
    taken: Counter[Part] = Counter()
    for item in items:
        if item.is_page:
            entry = item.value + BESIDE
            taken[next(part for part in PARTS if entry <= part.limit)] += _taken(entry + item.key)
    parts = {part: ceil(number * HEADROOM / 1024**2) for part, number in taken.items()}
    return max((ceil(number / part.share) for part, number in parts.items()), default=1)


def _taken(size: int) -> int:
    """Return the bytes that nginx takes for `size`: the next power of two, or whole pages."""
    return 1 << (size - 1).bit_length() if size <= PAGE // 2 else -(-size // PAGE) * PAGE


def check_first_levels(sites: Iterable[Site], censuses: Mapping[str, Census]) -> Iterator[Finding]:
    """Yield what there is to say of each first level, where `censuses` are of `sites`, by name."""
    read = [site for site in sites if socket_of(site) and site.name in censuses]
    for path, first_level in counted_by(read).items():
        named = [site.name for site in read if socket_of(site) == path]
        need = needed(item for name in named for item in censuses[name].items)
        yield _finding(f"about {need} MiB hold every page of {', '.join(named)}", need, first_level)


def _finding(message: str, need: int, first_level: object) -> Finding:
    if not isinstance(first_level, FirstLevel):
        why = f"not compared with what it has: {first_level or 'nginx does not run'}"
        return Finding("nginx", "first level", "ok", f"{message} ({why})")
    has = first_level.size // 1024**2
    message += f"; it has {has} MiB"
    if not first_level.evicted:
        message += ", and no page had to go for another since nginx was started"
        return Finding("nginx", "first level", "ok", message)
    message += f", and {counted(first_level.evicted, 'page')} had to go for others"
    if has >= need:
        return Finding("nginx", "first level", "ok", message)
    advice = f"raise memfis_first_level to {need} if nginx is to ask the store less"
    return Finding("nginx", "first level", "warning", message, advice)
