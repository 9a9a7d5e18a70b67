"""How much of memcached's memory items take: slab classes, pages, and the chunks of large items.

memcached cuts its memory into pages of 1 MiB, each for items of one class; an item takes a chunk
of the smallest class that it fits (slabs.c, `slabs_init`; items.c, `do_item_alloc`). So a page that
is begun counts whole, and an item counts as much as its class, not as much as it has bytes.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

PAGE = 1024 * 1024
"""Bytes that a class takes at a time (memcached.c, `slab_page_size`)."""

_ITEM = 48
"""Bytes of `struct item` (memcached.h, 64 bit)."""
_CHUNK = 48
"""Bytes of `struct item_chunk`, with which every chunk of a large item begins."""
_CAS = 8
_FLAGS = 4
"""Client flags, where they are not 0."""
_END = 2
"""The value's CR LF is stored with it."""
_CLASSES = 63


class SlabSettings(NamedTuple):
    """What of memcached's settings decides how items take memory; sizes in bytes.

    The defaults are memcached's own.
    """

    growth_factor: float = 1.25
    chunk_size: int = 48
    chunk_max: int = 512 * 1024
    item_limit: int = 1024 * 1024
    cas: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> "SlabSettings":
        """Read `stats settings`; raises ValueError. What a store does not tell has its default."""
        defaults = cls()
        read = cls(
            float(settings.get("growth_factor", defaults.growth_factor)),
            int(settings.get("chunk_size", defaults.chunk_size)),
            int(settings.get("slab_chunk_max", defaults.chunk_max)),
            int(settings.get("item_size_max", defaults.item_limit)),
            settings.get("cas_enabled", "yes") in ("yes", "1", "True"),
        )
        if read.growth_factor <= 1 or read.chunk_size < 1 or not 512 <= read.chunk_max <= PAGE:
            raise ValueError("its slab settings make no sense")
        return read


class Slabs:
    """Items as memcached would hold them."""

    def __init__(self, settings: SlabSettings) -> None:
        """Begin with none."""
        self._settings = settings
        self._classes = _class_sizes(settings)
        self._chunks: Counter[int] = Counter()
        self._passed: set[int] = set()
        """Classes that an item grew out of."""
        self.items = 0
        self.bytes = 0
        """Bytes of the items themselves, as `stats` counts them."""

    def add(self, key: int, value: int, *, flags: bool, appends: int = 0) -> bool:
        """Add an item with a key and a value of so many bytes; False when it is over the limit.

        `appends`: it came to its size in so many steps, each of which wrote it anew, larger.
        """
        header = _ITEM + key + 1 + (_FLAGS if flags else 0) + (_CAS if self._settings.cas else 0)
        total = header + value + _END
        if total > self._settings.item_limit:
            return False
        self.items += 1
        self.bytes += total
        for step in range(1, appends):  # the last one is the item itself
            size = header + _END + value * step // appends
            self._passed.add(bisect_left(self._classes, min(size, self._settings.chunk_max)))
        if total <= self._settings.chunk_max:
            self._take(total)
            return True
        self._take(header + _CHUNK)
        left = value + _END
        while left > 0:
            chunk = min(left + _CHUNK, self._settings.chunk_max)
            self._take(chunk)
            left -= chunk - _CHUNK
        return True

    def _take(self, size: int) -> None:
        self._chunks[bisect_left(self._classes, size)] += 1

    @property
    def memory(self) -> int:
        """Bytes that memcached takes for them: whole pages.

        A class keeps the page that it got for an item which has grown out of it since.
        """
        pages = 0
        for number, size in enumerate(self._classes):
            least = int(number in self._passed)
            pages += max(-(-self._chunks[number] // (PAGE // size)), least)
        return pages * PAGE


def _class_sizes(settings: SlabSettings) -> list[int]:
    """Return the size of each class, ascending (slabs.c, `slabs_init`)."""
    sizes: list[int] = []
    size = _ITEM + settings.chunk_size
    while len(sizes) < _CLASSES - 1 and size < settings.chunk_max / settings.growth_factor:
        size += -size % 8
        sizes.append(size)
        size = int(size * settings.growth_factor)
    return [*sizes, settings.chunk_max]
