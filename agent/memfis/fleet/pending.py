"""Purges that wait to be carried out here; our own outlive the agent, in a file."""

import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from memfis.errors import UsageError
from memfis.layout.boxes import PURGES
from memfis.render.patterns import EVERYTHING, Pattern, as_text, from_text
from memfis.service import state

log = logging.getLogger("memfis")


class Pending(NamedTuple):
    """A purge of `site`."""

    site: str
    patterns: Sequence[Pattern]
    ours: bool
    """Whether it was asked for at this host, so that the others are to be told once it is done."""


class PendingPurges:
    """In the order in which they came."""

    def __init__(self, directory: Path) -> None:
        """Keep our own in `directory`, and begin with what an earlier agent left there."""
        self._file = directory / "pending-purges.json"
        self._all: deque[Pending] = deque(self._read())

    def __len__(self) -> int:
        return len(self._all)

    @property
    def first(self) -> Pending:
        """The one that waits for the longest time."""
        return self._all[0]

    def add(self, site: str, patterns: Sequence[Pattern], *, ours: bool) -> None:
        """Let one more wait; what is too much to be remembered is everything of the site."""
        of_site = [each for each in self._all if each.site == site]
        if len(of_site) >= PURGES:
            ours = ours or any(each.ours for each in of_site)
            self._all = deque(each for each in self._all if each.site != site)
            patterns = [EVERYTHING]
        self._all.append(Pending(site, patterns, ours))
        if ours:
            self._write()

    def done(self, purge: Pending) -> None:
        """Wait no more for `purge`, if it is still the first."""
        if self._all and self._all[0] is purge:
            self._all.popleft()
            if purge.ours:
                self._write()

    def _read(self) -> list[Pending]:
        told = state.read(self._file, list[tuple[str, list[str]]]) or []
        try:
            return [Pending(site, [*map(from_text, texts)], True) for site, texts in told]
        except UsageError as error:
            log.warning("%s: %s; purges that waited are lost", self._file, error)
            return []

    def _write(self) -> None:
        ours = [(each.site, [*map(as_text, each.patterns)]) for each in self._all if each.ours]
        state.write(self._file, ours)
