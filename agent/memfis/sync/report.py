"""What a sync did, for people and for machines."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from memfis.layout.paths import shown, size
from memfis.settings.values import Site
from memfis.store import Store
from memfis.webroot import Problem, Skipped

Kind = Literal["added", "changed", "restored"]
"""Why a page is written; restored: its file is unchanged, but the store lost or changed it."""


class Report(msgspec.Struct, kw_only=True):
    """The outcome of one sync of one site.

    Counts are of files, `bytes` of identity content in memory, `bytes_written` as stored.
    """

    site: str
    root: str
    store: str
    dry_run: bool
    pages: int = 0
    """In memory afterwards; 0 in a report on a part."""
    bytes: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    restored: int = 0
    unchanged: int = 0
    renewed: int = 0
    bytes_written: int = 0
    seconds: float = 0.0
    skipped: dict[str, int] = {}
    problems: list[Problem] = msgspec.field(default_factory=list)

    @classmethod
    def of(cls, site: Site, store: Store, *, dry_run: bool) -> "Report":
        """Return an empty report on a sync of `site`."""
        return cls(site=site.name, root=site.root, store=str(store.address), dry_run=dry_run)

    def add(self, part: "Report") -> None:
        """Add what `part` counts."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(part, name))
        self._left(part.skipped)
        self.problems += part.problems

    @property
    def did_something(self) -> bool:
        """Whether the store changed, or would have."""
        return bool(self.added or self.changed or self.removed or self.restored)

    def skip(self, files: Iterable[Skipped]) -> None:
        """Count what settings keep out of memory, by reason."""
        self._left(Counter(each.reason for each in files))

    def _left(self, reasons: Mapping[str, int]) -> None:
        for reason, number in reasons.items():
            self.skipped[reason] = self.skipped.get(reason, 0) + number

    def count(self, kind: Kind, number: int = 1) -> None:
        """Count `number` pages that are written, or would be."""
        setattr(self, kind, getattr(self, kind) + number)

    def summary(self) -> str:
        """Return one line for people."""
        done = f"{self.site}: {self.outcome()}"
        return f"dry run, nothing written: {done}" if self.dry_run else done

    def brief(self, directories: int) -> str:
        """Return what was done in so many `directories`, as part of a line for people."""
        done = [
            f"{number} {word}"
            for word, number in (
                ("added", self.added),
                ("changed", self.changed),
                ("removed", self.removed),
                ("restored", self.restored),
            )
            if number
        ]
        where = "1 directory" if directories == 1 else f"{directories} directories"
        return f"{', '.join(done)} in {where} ({size(self.bytes_written)} written)"

    def outcome(self) -> str:
        """Return what was done, as part of a line for people."""
        done = (
            f"{self.pages} pages, {size(self.bytes)} in memory;"
            f" {self.added} added, {self.changed} changed, {self.removed} removed"
        )
        if self.restored:
            done += f", {self.restored} restored"
        done += f" ({size(self.bytes_written)} written) in {self.seconds:.2f} s"
        if self.skipped:
            reasons = ", ".join(
                f"{n} {reason}" for reason, n in Counter(self.skipped).most_common()
            )
            done += f"; left to disk: {reasons}"
        if self.problems:
            done += f"; {len(self.problems)} failed"
        return done

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints for one site."""
        fields = msgspec.structs.asdict(self)
        fields["problems"] = [
            {"path": shown(problem.path), "reason": problem.reason} for problem in self.problems
        ]
        fields["seconds"] = round(self.seconds, 3)
        return fields


_COUNTS = (
    *("bytes", "added", "changed", "removed", "restored", "unchanged", "renewed"),
    "bytes_written",
)
