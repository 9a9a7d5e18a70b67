"""How much a sync may delete before it stops and asks."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from memfis.errors import SafetyError, UsageError

SMALL = 20
"""A limit in per cent never refuses to delete as few pages as this."""

CALM = 60.0
"""Seconds without a deletion after which the next one begins a new run."""


@dataclass(frozen=True)
class MaxDelete:
    """A limit on deleted pages: `number` of them, or per cent of those recorded."""

    number: int
    percent: bool

    @classmethod
    def parse(cls, text: str) -> "MaxDelete":
        """Read `N` or `N%`; raises UsageError."""
        match = re.fullmatch(r"(\d+)(%?)", text)
        if not match or (match[2] and int(match[1]) > 100):
            raise UsageError(f"max-delete {text!r}: expected a number of pages or 0% to 100%")
        return cls(int(match[1]), bool(match[2]))

    def check(self, site: str, deleted: int, recorded: int, published: int) -> None:
        """Raise SafetyError if `deleted` of `recorded` pages are too many to go.

        `published` is what the web root holds now: an empty one is refused whatever the share,
        unless the limit is 100%.
        """
        if self.percent:
            refused = self.number < 100 and (
                (deleted > SMALL and deleted * 100 > recorded * self.number)
                or (deleted > 0 and published == 0)
            )
        else:
            refused = deleted > self.number
        if refused:
            emptied = " (the web root publishes nothing)" if published == 0 else ""
            raise SafetyError(
                f"site {site}: would delete {deleted} of {recorded} pages{emptied}, more than"
                f" --max-delete {self}; nothing was changed. If this is meant: memfis sync --site"
                f" {site} --max-delete {deleted}"
            )

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.percent else ''}"


DEFAULT_MAX_DELETE = MaxDelete(50, percent=True)


class Deletions:
    """The deletions of a site that is watched: many small ones in a row are one large one."""

    def __init__(
        self, site: str, limit: MaxDelete, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Count for `site`; a run of deletions may take what `limit` says."""
        self._site = site
        self._limit = limit
        self._clock = clock
        self._pages = 0
        self._last = -math.inf
        self._refused = False

    def begin_anew(self) -> None:
        """Take what went until now for meant."""
        self._last = -math.inf
        self._refused = False

    def check(self, gone: int, recorded: int) -> None:
        """Raise SafetyError if with `gone` more of `recorded` pages the run takes too many.

        What was added since the run began makes up for what went: a checkout to and fro is no loss.
        A run of which a part was refused lasts until what is left of it is no loss, or was meant.
        """
        if not gone:
            return
        now = self._clock()
        if now - self._last > CALM and not self._refused:
            self._pages = recorded
        self._last = now
        self._refused = True
        left = max(0, recorded - gone)
        deleted = max(gone, self._pages - left)
        self._limit.check(self._site, deleted, max(self._pages, recorded), left)
        self._refused = False
