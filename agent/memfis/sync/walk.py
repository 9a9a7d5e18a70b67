"""The way through the directories of a site: compared, then applied, by one process or several."""

import time
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from memfis.sync.deletions import Marks
from memfis.sync.difference import Task
from memfis.sync.options import Options
from memfis.sync.report import Report
from memfis.sync.target import Target
from memfis.sync.worker import Apply, Compare, Outcome, Worker
from memfis.webroot import Link

if TYPE_CHECKING:
    from memfis.sync.processes import WorkerProcess

SLICE = 16
"""Directories that are compared at once."""

ALONE = 1000, 0.05
"""Pages, and seconds, that one process sees to before others are started to help."""


class Walk:
    """A walk through directories of a site, a step at a time, so that other things can be done too.

    `decide` is called when all is compared, before anything is changed, and says whether to keep
    the pages whose files are missing; it may raise to change nothing.
    """

    def __init__(
        self,
        target: Target,
        options: Options,
        tasks: Sequence[Task],
        decide: Callable[["Walk"], bool],
        *,
        at_once: bool = False,
        reconsider: bool = False,
    ) -> None:
        """Prepare to go through `tasks` of `target` and what is below.

        `at_once`: there is nothing to delete, so nothing to decide: each is applied when compared.
        `reconsider`: a setting changed that decides which files are left to the disk.
        """
        self.report = Report.of(target.site, target.store, dry_run=options.dry_run)
        self.gone = 0
        """Pages that are to be removed, as their files are missing; as the next three, of the
        directories compared so far."""
        self.withdrawn = 0
        """Pages that are to be removed, whatever limits say."""
        self.recorded = 0
        """Pages that the store should have had before."""
        self.published = 0
        """Pages that it will have."""
        self.missing: dict[bytes, Marks] = {}
        """The directories of which something is missing on disk, by URL path, with the marks of the
        pages that are to be removed because of it: what is applied is what stands here."""
        self.seen_to: set[bytes] = set()
        """The directories that somebody else compared since; see `forget`."""
        self.lost = False
        """Pages may be in the store that no record names."""
        self.links: dict[bytes, list[Link]] = {}
        """The symbolic links of each directory that was compared, by URL path."""
        self.helpers: list[WorkerProcess] = []
        self._target, self._options = target, options
        self._pending: list[Task] = []
        self._deep: dict[bytes, bool] = {}
        self._add(tasks)
        self._decide = decide
        self._at_once = at_once
        self._reconsider = reconsider
        self._applying = False
        self._started = time.monotonic()
        self._worker = Worker(target, options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the helpers."""
        while self.helpers:
            self.helpers.pop().stop()

    def steps(self) -> Generator[bool, None, None]:
        """Do it; yield after each step whether there is nothing to do but to wait for helpers."""
        while self._pending or self._busy():
            yield self._compare_some()
        if self._at_once or self._options.dry_run:
            return
        keep = self._decide(self)
        self._applying = True
        for helper in self.helpers:
            helper.ask(Apply(keep))
        for outcome in self._worker.apply(Apply(keep)):
            self._take(outcome)
            yield False
        while self._busy():
            yield True
            self._hear()

    def wait(self, timeout: float | None = None) -> None:
        """Wait, `timeout` seconds at most, until a helper has something to say."""
        self._hear(timeout)

    def works_on(self, path: bytes) -> bool:
        """Whether a helper may be changing the directory at URL path `path` just now."""
        if self._applying:
            return bool(self.helpers)
        return any(task.directory.path == path for each in self.helpers for task in each.tasks)

    def forget(self, path: bytes) -> None:
        """Drop what is held of the directory at URL path `path`: somebody saw to it."""
        self.missing.pop(path, None)
        self.seen_to.add(path)
        self._worker.forget(path)
        for helper in self.helpers:
            helper.forget(path)

    def _compare_some(self) -> bool:
        if self.helpers:
            for helper in sorted(self.helpers, key=lambda helper: helper.busy):
                if self._pending and helper.has_room:
                    helper.ask(self._request())
            self._hear()
            return self._busy()
        self._take(self._worker.compare(self._request()))
        pages, seconds = ALONE
        much = self.published > pages or time.monotonic() > self._started + seconds
        if self._options.jobs > 1 and much and len(self._pending) > self._options.jobs:
            from memfis.sync.processes import WorkerProcess  # a small site does without them

            jobs = self._options.jobs
            if not self._options.exact_jobs and self._target.store.is_gateway():
                jobs *= 2  # each waits for Couchbase half of the time (docs/performance.md)
            for _ in range(jobs):
                self.helpers.append(WorkerProcess.start(self._target, self._options))
        return False

    def _add(self, tasks: Sequence[Task]) -> None:
        """Put `tasks` in front, but for those that were there already."""
        for task in reversed(tasks):
            path = task.directory.path
            before = self._deep.get(path)
            if before is None or (task.deep and not before):
                self._deep[path] = task.deep
                self._pending.append(task)

    def _request(self) -> Compare:
        """Return what is to be compared next: less in the end, so that helpers end together."""
        fair = -(-len(self._pending) // (2 * len(self.helpers))) if self.helpers else SLICE
        number = min(SLICE, fair)
        tasks = self._pending[-number:]
        del self._pending[-number:]
        return Compare(tasks[::-1], self._reconsider, self._at_once)

    def _busy(self) -> bool:
        return any(helper.busy for helper in self.helpers)

    def _hear(self, timeout: float | None = 0) -> None:
        """Take what helpers have to say."""
        if not self.helpers:
            return
        from memfis.sync.processes import FilesDone, ready

        for helper in ready(self.helpers, timeout):
            answer = helper.answer()
            if isinstance(answer, FilesDone):
                self._options.progress(answer.files)
            elif answer is not None:
                self._take(answer)

    def _take(self, outcome: Outcome) -> None:
        self.report.add(outcome.report)
        self._add(outcome.below)
        self.links |= outcome.links
        self.missing |= outcome.missing
        self.seen_to.difference_update(outcome.links)
        self.gone += outcome.gone
        self.withdrawn += outcome.withdrawn
        self.recorded += outcome.recorded
        self.published += outcome.published
        self.lost = self.lost or outcome.lost
        for change in outcome.changes:
            self._options.seen(change)
