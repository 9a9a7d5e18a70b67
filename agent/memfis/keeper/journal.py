"""What is told of a site in the log: one line an event, and each thing once."""

import logging

log = logging.getLogger("memfis")


class Journal:
    """The log of one site."""

    def __init__(self, site: str) -> None:
        """Begin the lines with the name of `site`."""
        self._site = site
        self._told: set[str] = set()

    def say(self, level: int, message: str) -> None:
        """Log `message`."""
        log.log(level, "%s: %s", self._site, message)

    def once(self, level: int, message: str, about: str = "") -> None:
        """Log `message` unless it, or another `about` the same, was logged since all was well."""
        if (about or message) not in self._told:
            self._told.add(about or message)
            self.say(level, message)

    def well(self) -> None:
        """Note that all is well: what goes wrong from now on is news."""
        self._told.clear()
