"""What is told of a site in the log: one line an event, and each thing once."""

import logging

from memfis.sync.report import shown
from memfis.webroot import Problem

log = logging.getLogger("memfis")


class Journal:
    """The log of one site."""

    def __init__(self, site: str) -> None:
        """Begin the lines with the name of `site`."""
        self._site = site
        self._told: set[str] = set()
        self._problems: dict[bytes, str] = {}

    def say(self, level: int, message: str) -> None:
        """Log `message`."""
        log.log(level, "%s: %s", self._site, message)

    def once(self, level: int, message: str, about: str = "") -> None:
        """Log `message` unless it, or another `about` the same, was logged since all was well."""
        if (about or message) not in self._told:
            self._told.add(about or message)
            self.say(level, message)

    def problem(self, problem: Problem) -> None:
        """Log what is wrong with one path, unless that is known."""
        if self._problems.get(problem.path) != problem.reason:
            self._problems[problem.path] = problem.reason
            self.say(logging.WARNING, f"{shown(problem.path)}: {problem.reason}")

    def well(self) -> None:
        """Note that all is well: what goes wrong from now on is news."""
        self._told.clear()
