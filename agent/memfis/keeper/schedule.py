"""When a site is synced: what changed of it after a burst, all of it on request or in time."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from memfis.keeper.changes import Pending
from memfis.keeper.journal import Journal
from memfis.keeper.times import NEVER, RETRY, now
from memfis.sync import Options, Report
from memfis.sync.difference import Task
from memfis.watch import Changes
from memfis.webroot import Link, WebRoot

QUIET = 0.02
"""Seconds without a change before a burst counts as over."""

BURST = 0.08
"""Seconds after the first change of a burst when it is compared at the latest: what was closed is
to be gone within 0.1 s (docs/architecture.md), whatever else goes on."""

BATCH = 1.0
"""Seconds that changes are collected for where the store is a gateway: in Couchbase each append to
a directory's records writes and replicates all of them."""


class RequestedSync(NamedTuple):
    """A sync that somebody asked for, and where its report, or what it raised, goes."""

    options: Options
    answer: "asyncio.Future[Report]"


class Schedule:
    """What is due for one site. Times are those of the event loop's clock, in seconds."""

    def __init__(self, journal: Journal) -> None:
        """Begin with a sync of the whole site, at once; tell `journal` why there is another."""
        self.pending = Pending()
        """The directories where something changed."""
        self.requests: deque[RequestedSync] = deque()
        self.all_due = 0.0
        """When the whole site is to be synced."""
        self.some_due = NEVER
        """When the `pending` directories are to be compared."""
        self.held_due = NEVER
        """When deletions that are held are to be carried out."""
        self.item_due = NEVER
        """When the site item is to be written."""
        self.much = True
        """The next sync of the whole site will have much to do."""
        self.begin_anew = False
        """What the present sync of the whole site has seen is not to be relied upon."""
        self._journal = journal
        self._quiet, self._burst = QUIET, BURST
        self._first_change: float | None = None
        self._noted: list[Changes] | None = None
        """What changed since the present sync began; None while there is none."""
        self._wake = asyncio.Event()

    @property
    def due(self) -> float:
        """When there is something to do, but for requests."""
        return min(self.all_due, self.some_due, self.held_due, self.item_due)

    def wake(self) -> None:
        """End what `wait` waits for."""
        self._wake.set()

    async def wait(self, until: float, descriptors: Collection[int] = ()) -> None:
        """Wait until something comes up, or to the time `until`; other things happen meanwhile.

        What can be read from one of `descriptors` counts as something.
        """
        loop = asyncio.get_running_loop()
        self._wake.clear()
        for descriptor in descriptors:
            loop.add_reader(descriptor, self.wake)
        try:
            await self._wait(until)
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)

    async def _wait(self, until: float) -> None:
        delay = until - now()
        if delay <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(None if delay == NEVER else delay):
                await self._wake.wait()
        except TimeoutError:
            return

    # -- what is told --------------------------------------------------------------------------

    def ask(self, options: Options) -> "asyncio.Future[Report]":
        """Have the whole site synced soon with `options`; return where the report will be."""
        request = RequestedSync(options, asyncio.get_running_loop().create_future())
        self.requests.append(request)
        self.wake()
        return request.answer

    def sync_soon(self, *, much: bool = True, after: float = 0.0) -> None:
        """Have the whole site synced in `after` seconds, or sooner if that was due already.

        `much`: it will have much to do.
        """
        self.all_due = min(self.all_due, now() + after)
        self.much = self.much or much
        self.wake()

    def sync_anew(self) -> None:
        """Have the whole site synced at once; a sync of it that is under way begins anew."""
        self.begin_anew = True
        self.sync_soon()

    def compare_directory(self, path: bytes) -> None:
        """Have the directory at URL path `path` compared soon: pages of its files are gone."""
        self.pending.add_directory(path)
        self.some_due = min(self.some_due, now() + QUIET)
        self.wake()

    def note(self, changes: Changes, webroot: WebRoot | None) -> None:
        """Have what changed compared when the burst is over; the whole site without a `webroot`."""
        if changes.everything or webroot is None:
            if changes.everything:
                self._journal.say(logging.WARNING, f"{changes.everything}; looking at everything")
            self.pending.clear()
            self.sync_anew()
            return
        self.pending.add(webroot, changes)
        if self._noted is not None:
            self._noted.append(changes)
        if changes.elsewhere:
            self.sync_soon(much=False, after=RETRY)
        moment = now()
        if self._first_change is None:
            self._first_change = moment
        self.some_due = min(moment + self._quiet, self._first_change + self._burst)
        self.wake()

    def collect(self, *, gateway: bool) -> None:
        """Collect changes for as long as suits the store, which may be a gateway."""
        self._quiet, self._burst = (BATCH, BATCH) if gateway else (QUIET, BURST)

    # -- what is being done --------------------------------------------------------------------

    def take_all(self) -> bool:
        """Begin a sync of the whole site; return whether there is expected to be much to do."""
        self.all_due, self.begin_anew = NEVER, False
        much, self.much = self.much, False
        return much

    def take_some(self, webroot: WebRoot | None, later: Callable[[bytes], bool]) -> list[Task]:
        """Return what is to be compared of the pending directories, but those for `later`."""
        self.some_due, self._first_change = NEVER, None
        if webroot is None:
            return []
        tasks = self.pending.take(webroot, later)
        if self.pending:
            self.some_due = now() + self._quiet
        return tasks

    @property
    def noted(self) -> int:
        """How many changes were noted since the present sync began."""
        return len(self._noted or ())

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what changes while a sync goes on, for `update_links`."""
        self._noted = []
        try:
            yield
        finally:
            self._noted = None

    def update_links(
        self, webroot: WebRoot | None, links: Mapping[bytes, Sequence[Link]], since: int
    ) -> None:
        """Take the `links` that a sync has found for what there is, and follow them.

        What was noted from number `since` on is compared again by them: a page that a new link
        gives may have been read before the change, when nobody knew that it is one of the page.
        """
        self.pending.links.update(links)
        if webroot is None or not self._noted or not any(links.values()):
            return
        for changes in self._noted[since:]:
            self.pending.add(webroot, changes)
        self.some_due = min(self.some_due, now() + self._quiet)
