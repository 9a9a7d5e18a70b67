"""What an agent does about many deletions: it holds them for a while, and then carries them out.

A tool that wipes a directory and builds it anew, or a deploy by remove and copy, leaves gaps that
nobody should see. What was deleted for good goes all the same, only later.
"""

import math
import time
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias

import msgspec

from memfis.sync.limits import SMALL

LONGEST = 60.0
"""Seconds that a run is held at most, also where it goes on."""

STRAYS = b""
"""Stands, in place of a directory, for pages that no record names."""

Marks: TypeAlias = "array[int]"
"""One number for each of some pages, four bytes each: a run may be of a whole large site."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Pages whose files nobody finds, and which stay all the same for a while."""

    pages: int
    why: str
    """As the label of a metric has it, too."""
    until: float
    """When they go, if nothing comes back and nothing more goes: seconds since the epoch."""

    @property
    def until_shown(self) -> str:
        """Return `until` for people: local time, and the day unless that is today."""
        local = time.localtime(self.until)
        today = local[:3] == time.localtime()[:3]
        return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", local)


def marks(paths: Iterable[bytes]) -> Marks:
    """Return the marks of the pages at `paths`. Two pages may share one; then one counts."""
    return array("I", map(zlib.crc32, paths))


class Deletions:
    """The deletions of one site. A run is those that have less than `grace` seconds between them.

    A run of `SMALL` at most is carried out at once. What makes it longer is held, with all that
    follows, until `grace` seconds have passed since its last one, but not for more than `LONGEST`.
    """

    def __init__(self, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Hold them for `grace` seconds; 0: never."""
        self.pages = 0
        """How many are held."""
        self.due = math.inf
        """When what is held is to be carried out, by the clock."""
        self.carried_out = 0
        """Pages of the run that were held and went."""
        self._grace = grace
        self._clock = clock
        self._held: dict[bytes, Marks] = {}
        self._before = 0
        self._last = self._began = -math.inf

    @property
    def paths(self) -> Collection[bytes]:
        """The directories that something is held of."""
        return list(self._held)

    def keep(self, missing: Mapping[bytes, Marks], compared: Collection[bytes]) -> bool:
        """Say whether what is `missing` in the directories just `compared` is to be kept.

        `missing` has those where anything is, with the marks of the pages in and below each;
        whatever was held of the others of `compared` came back.
        """
        if not missing and not self._held:
            return False
        now = self._clock()
        known, is_holding = _union(self._held), bool(self._held)
        for path in compared:
            self._held.pop(path, None)
        self._held.update(missing)
        pages = _union(self._held)
        if not is_holding:
            if now - self._last > self._grace:
                self._before = 0
            if self._grace == 0 or self._before + len(pages) <= SMALL:
                self._held.clear()
                self._before += len(pages)
                self._last = now if pages else self._last
                return False
            self._began, self.carried_out = now, 0
        if not known.issuperset(pages):
            self._last = now
        self.due = min(self._last + self._grace, self._began + LONGEST) if pages else now
        if now < self.due:
            self.pages = len(pages)
            return True
        for path in missing:
            del self._held[path]
        left = _union(self._held)
        self.carried_out += len(pages) - len(left)
        self._hold(len(left))
        return False

    def forget(self, paths: Iterable[bytes] | None = None) -> None:
        """Hold nothing any more of the directories `paths`; None: of none at all."""
        for path in self.paths if paths is None else paths:
            self._held.pop(path, None)
        self._hold(len(_union(self._held)))

    def hasten(self) -> None:
        """Have what is held carried out now, whatever is found when it is looked at again."""
        if self._held:
            self._began = -math.inf
            self.due = self._clock()

    def _hold(self, pages: int) -> None:
        self.pages = pages
        if not self._held:  # the run is over
            self.due, self._before, self._last = math.inf, 0, -math.inf


def _union(held: Mapping[bytes, Marks]) -> set[int]:
    return set().union(*held.values())
