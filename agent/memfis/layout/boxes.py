"""Boxes: what a host that shares a store with others has to say to them, an item for each host.

Only its host writes a box, so nobody overwrites what another says; everybody reads all of them. A
box is bounded: what does not fit is either said in fewer words (purges) or comes again (hints).
"""

from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from memfis.layout.identity import page_of, target_of

TTL = 24 * 3600
"""Seconds that a box outlives the last word of its host."""

PURGES = 100
"""Purges that a box has: a host that has missed more of them takes everything for purged."""

HINTS = 2000
"""Hints that a box has at most."""

BYTES = 256 * 1024
"""Bytes that these hints, and these purges, may have, each."""

LONGEST = 1024 * 1024
"""Bytes of a box: a longer one is none."""

LONGEST_WORD = 4096
"""Characters of a path or pattern: more than any key has."""

T = TypeVar("T")

Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
Word = Annotated[str, msgspec.Meta(max_length=LONGEST_WORD)]


class Purge(msgspec.Struct, array_like=True, frozen=True):
    """One purge of `site`; `patterns` as `render.patterns.as_text` writes them."""

    site: str
    patterns: tuple[Word, ...]


class Hint(msgspec.Struct, array_like=True, frozen=True):
    """A page of `site` that PHP answered for; `path`: its bytes as ISO-8859-1."""

    site: str
    path: Word

    @property
    def raw(self) -> bytes | None:
        """The path that its page would be kept under; None: it is none."""
        try:
            path = self.path.encode("latin-1")
        except UnicodeEncodeError:
            return None
        return path if path and page_of(target_of(path)) == path else None


class Box(msgspec.Struct, kw_only=True):
    """What a host says."""

    host: str
    run: str
    """Another one each time its agent starts: numbers below begin anew then."""
    written: Moment
    """When, in seconds since the epoch, by the host's own clock."""
    version: Annotated[str, msgspec.Meta(max_length=64)]
    publishes: bool
    """Whether its agent fills the store, by its own account."""
    sites: tuple[str, ...] = ()
    """What it keeps, or shows."""
    pages: Number = 0
    """In memory, of files, as the host that publishes counts them."""
    purged: Number = 0
    """The number of the last of `purges`; they are numbered one by one."""
    purges: tuple[Purge, ...] = ()
    hinted: Number = 0
    """The number of the last of `hints`."""
    hints: tuple[Hint, ...] = ()
    taken: dict[str, tuple[str, Number]] = {}
    """By host: of which run, and up to which number, its hints were taken."""

    def purges_after(self, number: int) -> Sequence[Purge] | None:
        """Return the purges after that with `number`; None: some are not here any more."""
        missed = self.purged - number
        if missed > len(self.purges):
            return None
        return self.purges[len(self.purges) - missed :] if missed > 0 else ()

    def hints_after(self, number: int) -> Sequence[Hint]:
        """Return the hints that are here of those after that with `number`."""
        return self.hints[-(self.hinted - number) :] if self.hinted > number else ()


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Box)


def written(box: Box) -> bytes:
    """Return the item of `box`: JSON."""
    return _encode(box)


def read(item: bytes, host: str) -> Box:
    """Return the box of `host` in `item`; raises ValueError with what is wrong with it."""
    if len(item) > LONGEST:
        raise ValueError(f"it has {len(item)} bytes")
    try:
        box = _decoder.decode(item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if box.host != host:
        raise ValueError(f"it is of {box.host[:100]!r}")
    if len(box.purges) > PURGES or len(box.hints) > HINTS:
        raise ValueError("it holds more than a box does")
    if box.purged < len(box.purges) or box.hinted < len(box.hints):
        raise ValueError("its numbers are too small for what it holds")
    return box


def purges_that_fit(purges: Sequence[Purge]) -> tuple[Purge, ...]:
    """Return the last of `purges` that a box takes."""
    return tuple(_last(purges, PURGES))


def hints_that_fit(hints: Sequence[Hint]) -> tuple[Hint, ...]:
    """Return the last of `hints` that a box takes."""
    return tuple(_last(hints, HINTS))


def _last(said: Sequence[T], number: int) -> Sequence[T]:
    room = BYTES
    for count, each in enumerate(reversed(said)):
        room -= len(_encode(each))
        if count == number or room < 0:
            return said[len(said) - count :]
    return said
