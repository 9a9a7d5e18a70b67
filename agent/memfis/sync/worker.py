"""The part of a sync that can be done by several at once: directories, one after the other."""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import NamedTuple

import msgspec

from memfis.layout.keys import page_key
from memfis.sync.apply import Writer
from memfis.sync.comparison import Comparison
from memfis.sync.deletions import Marks, marks
from memfis.sync.difference import Difference, Task
from memfis.sync.options import Change, Options
from memfis.sync.report import Report
from memfis.sync.target import Target
from memfis.webroot import Link

STEP = 0.02
"""Seconds in which directories are written before something else may be done."""

SHORT_LEASE = 3600
"""Seconds. A third of a longer lease is left of every page between two looks at all, which is more
than any deletion is held."""


class Compare(NamedTuple):
    """A request to compare the directories of `tasks`, and to apply what differs `at_once`.

    `reconsider`: a setting changed that decides which files are left to the disk.
    """

    tasks: Sequence[Task]
    reconsider: bool
    at_once: bool


class Apply(NamedTuple):
    """A request to apply all that is held; `keep` what is missing on disk."""

    keep: bool


class Outcome(msgspec.Struct):
    """What came of some directories."""

    report: Report
    below: list[Task] = []
    """The directories to go on with."""
    links: dict[bytes, list[Link]] = {}
    """The symbolic links of each directory, by URL path."""
    gone: int = 0
    """Pages that are to be removed, as their files are missing."""
    withdrawn: int = 0
    """Pages that are to be removed, whatever limits say."""
    recorded: int = 0
    """Pages that the store should have had before."""
    published: int = 0
    """Pages that it will have."""
    missing: dict[bytes, Marks] = {}
    """What is missing on disk, see `Walk.missing`."""
    lost: bool = False
    """Pages may be in the store that no record names."""
    changes: list[Change] = []
    """Of a dry run."""


class Worker:
    """Compares directories and applies what differs: at once, or when all was found to be right."""

    def __init__(self, target: Target, options: Options) -> None:
        """Work on `target` as `options` say."""
        self._target = target
        self._options = options
        self._writer = Writer(target, options)
        self._held: dict[bytes, Difference] = {}

    def compare(self, request: Compare) -> Outcome:
        """Compare some directories; apply what differs, or hold it, but for what is withdrawn."""
        comparison = Comparison(self._target, self._options, reconsider=request.reconsider)
        outcome = Outcome(self._report())
        differences = comparison.differences(request.tasks)
        with self._target.store.telling_together() if request.at_once else nullcontext():
            for difference in differences:
                self._see_to(difference, outcome, at_once=request.at_once)
        outcome.lost = outcome.lost or self._writer.damaged
        return outcome

    def _see_to(self, difference: Difference, outcome: Outcome, *, at_once: bool) -> None:
        """Count `difference` in `outcome`, and apply or hold it, as `compare` says."""
        report = outcome.report
        if not self._options.delete:
            difference.keep()
        outcome.below += difference.below
        outcome.links[difference.path] = difference.links
        outcome.gone += len(difference.gone.pages)
        if difference.gone:
            outcome.missing[difference.path] = marks(difference.gone.pages)
        outcome.withdrawn += len(difference.withdrawn.pages)
        outcome.recorded += difference.recorded_pages
        outcome.published += difference.published_pages
        outcome.lost = outcome.lost or difference.lost
        report.unchanged += difference.unchanged
        report.bytes += difference.bytes
        report.problems += difference.problems
        report.skip(difference.skipped)
        self._options.progress(difference.unchanged)
        if self._options.dry_run:
            _foresee(difference, outcome)
            return
        self._writer.withdraw(difference, report)
        if not difference.needs_work:
            return
        if at_once:
            self._writer.apply(difference, report)
        else:
            self._held[difference.path] = difference

    def apply(self, request: Apply) -> Iterator[Outcome]:
        """Apply what is held, some directories at a time."""
        while self._held:
            outcomes = []
            until = time.monotonic() + STEP
            with self._target.store.telling_together():
                while self._held and time.monotonic() < until:
                    difference = self._held.pop(next(iter(self._held)))
                    if request.keep:
                        self._keep(difference)
                    outcome = Outcome(self._report())
                    self._writer.apply(difference, outcome.report)
                    outcome.lost = self._writer.damaged
                    outcomes.append(outcome)
            yield from outcomes

    def _keep(self, difference: Difference) -> None:
        """Leave what is missing, and see to it that its pages do not end before they have to go."""
        pages = difference.gone.pages
        difference.keep()
        if 0 < self._options.lease < SHORT_LEASE:
            difference.renew += [page_key(self._target.site.name, page) for page in pages]

    def forget(self, path: bytes) -> None:
        """Drop what is held of the directory at URL path `path`: somebody saw to it."""
        self._held.pop(path, None)

    def _report(self) -> Report:
        return Report.of(self._target.site, self._target.store, dry_run=self._options.dry_run)


def _foresee(difference: Difference, outcome: Outcome) -> None:
    """Count and tell what would be done."""
    report = outcome.report
    for kind, entry in difference.read:
        report.count(kind)
        report.bytes += entry.size
        report.bytes_written += entry.size
    removed = difference.gone.pages + difference.withdrawn.pages
    report.removed += len(removed)
    report.renewed += len(difference.renew)
    outcome.changes += chain(
        (
            Change("+" if kind == "added" else "~", difference.path + entry.raw, entry.size)
            for kind, entry in difference.read
        ),
        (Change("-", path, None) for path in removed),
    )
