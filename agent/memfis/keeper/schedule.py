"""When a site is looked at: what changed of it after a burst, all of it on request or in time."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from memfis.keeper.changes import Pending
from memfis.keeper.journal import Journal
from memfis.keeper.watching import NEVER, RETRY
from memfis.sync import Options, Report
from memfis.sync.difference import Task
from memfis.watch import Changes
from memfis.webroot import Link, WebRoot

QUIET = 0.02
"""Seconds without a change before a burst counts as over."""

BURST = 0.25
"""Seconds after the first change of a burst when it is looked at at the latest."""

BATCH = 1.0
"""Seconds that changes are collected for where the store is a gateway: in Couchbase each append to
a directory's records writes and replicates all of them."""


class Request(NamedTuple):
    """A sync that somebody asked for, and where its report, or what it raised, goes."""

    options: Options
    answer: "asyncio.Future[Report]"


class Schedule:
    """What is due for one site. Times are those of the event loop's clock, in seconds."""

    def __init__(self, journal: Journal) -> None:
        """Begin with a look at the whole site, at once; tell `journal` why there is another."""
        self.pending = Pending()
        """The directories where something changed."""
        self.requests: deque[Request] = deque()
        self.all_due = 0.0
        """When the whole site is to be looked at."""
        self.some_due = NEVER
        """When the `pending` directories are."""
        self.item_due = NEVER
        """When the site item is to be written."""
        self.much = True
        """The next look at the whole site will have much to do."""
        self.begin_anew = False
        """What the present look at the whole site has seen is not to be relied upon."""
        self._journal = journal
        self._quiet, self._burst = QUIET, BURST
        self._first_change: float | None = None
        self._noted: list[Changes] | None = None
        """What changed since the present look began; None while there is none."""
        self._wake = asyncio.Event()

    @property
    def due(self) -> float:
        """When there is something to do, but for requests."""
        return min(self.all_due, self.some_due, self.item_due)

    def wake(self) -> None:
        """End what `wait` waits for."""
        self._wake.set()

    async def wait(self, until: float) -> None:
        """Let other things happen until something comes up, or to the time `until`."""
        self._wake.clear()
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
        """Let the whole site be synced soon with `options`."""
        request = Request(options, asyncio.get_running_loop().create_future())
        self.requests.append(request)
        self.wake()
        return request.answer

    def look_soon(self, *, much: bool = True, after: float = 0.0) -> None:
        """Let the whole site be looked at in `after` seconds."""
        self.all_due = min(self.all_due, now() + after)
        self.much = self.much or much
        self.wake()

    def look_anew(self) -> None:
        """Let the whole site be looked at at once, also when that is being done."""
        self.begin_anew = True
        self.look_soon()

    def look_at_directory(self, path: bytes) -> None:
        """Let the directory at URL path `path` be looked at soon: pages of its files are gone."""
        self.pending.look(path)
        self.some_due = min(self.some_due, now() + QUIET)
        self.wake()

    def note(self, changes: Changes, webroot: WebRoot | None) -> None:
        """Let what changed be looked at when the burst is over; all of it without a `webroot`."""
        if changes.everything or webroot is None:
            if changes.everything:
                self._journal.say(logging.WARNING, f"{changes.everything}; looking at everything")
            self.pending.clear()
            self.look_anew()
            return
        self.pending.add(webroot, changes)
        if self._noted is not None:
            self._noted.append(changes)
        if changes.elsewhere:
            self.look_soon(much=False, after=RETRY)
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
        """Begin a look at the whole site; return whether there is expected to be much to do."""
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
        """How many changes were noted since the present look began."""
        return len(self._noted or ())

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what changes while a look goes on, for `know_links`."""
        self._noted = []
        try:
            yield
        finally:
            self._noted = None

    def know_links(
        self, webroot: WebRoot | None, links: Mapping[bytes, Sequence[Link]], since: int
    ) -> None:
        """Know the `links` that a look has found, and see by them what changed meanwhile.

        That is all that was noted from number `since` on: a page that a new link gives may have
        been read before the change, when the change was not yet known to be one of it.
        """
        self.pending.links.update(links)
        if webroot is None or not self._noted or not any(links.values()):
            return
        for changes in self._noted[since:]:
            self.pending.add(webroot, changes)
        self.some_due = min(self.some_due, now() + self._quiet)


def now() -> float:
    """Return the event loop's time, in seconds."""
    return asyncio.get_running_loop().time()
