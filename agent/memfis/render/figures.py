"""What rendering and a purge did, in numbers, and what was refused, by reason and with examples."""

from collections.abc import Mapping

import msgspec

from memfis.layout.paths import shown
from memfis.render.rules import Refusal
from memfis.render.visitors import Visitors

REASONS = 100
"""Different reasons that are counted; the others are counted together."""

EXAMPLES = 5
"""URL paths that are named for each reason, the latest."""


class Purged(msgspec.Struct, tag="purged"):
    """What a purge removed, or would remove."""

    rendered: int = 0
    files: int = 0
    paths: list[str] = []
    """URL paths, percent-encoded; only of a dry run."""


class Figures(msgspec.Struct):
    """Counted since the agent began with the site."""

    renders: int = 0
    """Pages that were rendered and stored."""
    failures: int = 0
    """Renders that the backend failed: no answer, not in time, or a server's error."""
    purged: int = 0
    """Pages that were purged."""
    found_asked_for: int = 0
    """Pages that visitors had got from memory when they were looked at: each saved PHP a request at
    least, as the store does not count how many."""
    hints: dict[str, int] = msgspec.field(default_factory=dict)
    """By what became of them: queued, known (they wait already), refused before, dropped."""
    refusals: dict[str, int] = msgspec.field(default_factory=dict)
    examples: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    """For each reason of a refusal: URL paths, and what was particular."""

    def hinted(self, outcome: str) -> None:
        """Count a hint by what became of it."""
        self.hints[outcome] = self.hints.get(outcome, 0) + 1

    def refuse(self, path: str, refusal: Refusal) -> None:
        """Count that `path` (for people) was not stored."""
        self.leave_out(refusal.reason, 1, {path: refusal.detail})

    def leave_out(self, reason: str, number: int, examples: Mapping[str, str]) -> None:
        """Count `number` pages that were not stored: some paths (for people), what was particular.

        Applications say what is particular, so it is shown as what is not plain text always is.
        """
        reason = shown(reason.encode())
        if reason not in self.refusals and len(self.refusals) >= REASONS:
            reason = "others"
        self.refusals[reason] = self.refusals.get(reason, 0) + number
        named = self.examples.setdefault(reason, {})
        for path, detail in examples.items():
            named.pop(path, None)
            named[path] = shown(detail.encode("utf-8", "surrogateescape"))
            if len(named) > EXAMPLES:
                del named[next(iter(named))]


class RenderingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How rendering of a site is doing."""

    pages: int
    """In the store now."""
    waiting: int
    """Pages to be rendered."""
    trouble: bool
    """The origin failed, and did not answer since."""
    figures: Figures
    """Counted since the agent began with the site."""
    visitors: Visitors
    """Whom PHP answered since then."""
