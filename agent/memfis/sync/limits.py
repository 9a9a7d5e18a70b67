"""How much `memfis sync` may delete before it stops and asks."""

import re
from dataclasses import dataclass

from memfis.errors import SafetyError, UsageError

SMALL = 20
"""Pages that may go at once, whatever their share: of a limit in per cent, and in the agent."""


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
                f" --max-delete {self}; they stay, and nothing was written. If this is meant:"
                f" memfis sync --site {site} --max-delete {deleted}"
            )

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.percent else ''}"


DEFAULT_MAX_DELETE = MaxDelete(50, percent=True)
