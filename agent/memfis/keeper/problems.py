"""What of a site should be in memory and cannot."""

import logging
from collections import Counter
from collections.abc import Iterable

from memfis.keeper.journal import Journal
from memfis.layout.paths import shown
from memfis.webroot import Problem

LINES = 20
"""Problems found at once that get a line of their own in the log above debug."""


class Problems:
    """The problems of one site; each is told once, as long as it lasts."""

    def __init__(self, journal: Journal) -> None:
        """Begin with none; tell them in `journal`."""
        self._journal = journal
        self._reasons: dict[bytes, str] = {}
        self._told: dict[bytes, str] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._reasons)

    def kinds(self) -> dict[str, int]:
        """Return how many there are of each kind: reasons without what is particular in them."""
        return dict(Counter(map(_kind, self._reasons.values())))

    def replace(self, problems: Iterable[Problem]) -> None:
        """Take `problems` for all there are: the whole site was compared."""
        self._reasons = {}
        self.add(problems)
        self._told = dict(self._reasons)

    def add(self, problems: Iterable[Problem]) -> None:
        """Add `problems`, and tell those that are news."""
        news = []
        for path, reason in problems:
            self._reasons[path] = reason
            if self._told.get(path) != reason:
                self._told[path] = reason
                news.append(f"{shown(path)}: {reason}")
        for number, line in enumerate(news):
            self._journal.say(logging.WARNING if number < LINES else logging.DEBUG, line)
        if len(news) > LINES:
            more = len(news) - LINES
            self._journal.say(logging.WARNING, f"{more} more like these; `memfis sync` names all")

    def forget(self, directory: bytes) -> None:
        """Drop those of the names in `directory` (URL path): it was compared again."""
        for path in list(self._reasons):
            if path[: path.rfind(b"/") + 1] == directory:
                del self._reasons[path]


def _kind(reason: str) -> str:
    for mark in (":", ",", " ("):
        reason = reason.partition(mark)[0]
    return reason
