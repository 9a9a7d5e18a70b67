"""One site that is kept equal to its web root."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from memfis.catalog import Catalog, SiteItem
from memfis.config import GATEWAY_LEASE, LEASE, MIME_TYPES, Site, StoreAddress
from memfis.errors import MemfisError, SafetyError, StoreError, UsageError
from memfis.keeper.changes import Pending
from memfis.keeper.health import Health
from memfis.keeper.journal import Journal
from memfis.keeper.problems import Problems
from memfis.keeper.rendering import Rendering
from memfis.keeper.watching import NEVER, RETRY, Watching
from memfis.keys import site_key
from memfis.store import Store
from memfis.sync import Deletions, MaxDelete, Options, Report, Sync, Walk, try_lock
from memfis.watch import Changes
from memfis.webroot import Link, WebRoot

QUIET = 0.02
"""Seconds without a change before a burst counts as over."""

BURST = 0.25
"""Seconds after the first change of a burst when it is looked at at the latest."""

BATCH = 1.0
"""Seconds that changes are collected for where the store is a gateway: in Couchbase each append to
a directory's records writes and replicates all of them."""

EVICTED = 30.0
"""Seconds after the store evicted something until the whole site is looked at."""

SETTLING = 5.0
"""Seconds after deletions were refused until the whole site is looked at."""

NOTED = 5.0
"""Seconds between two updates of the site item while pages come and go."""


class Request(NamedTuple):
    """A sync that somebody asked for, and where its report, or what it raised, goes."""

    options: Options
    answer: "asyncio.Future[Report]"


class SiteKeeper:
    """Keeps one site. Times are those of the event loop's clock, in seconds."""

    def __init__(
        self, site: Site, locks: Path, *, jobs: int = 1, mime_types: str = MIME_TYPES
    ) -> None:
        """Prepare to keep `site`; `locks` is the directory of lock files.

        `jobs`: processes to start where there is much to do. `mime_types`: nginx's list of types.
        """
        self.site = site
        self.journal = Journal(site.name)
        address = StoreAddress.parse(site.store)
        self.health = Health(address, site_key(site.name), self.journal)
        self.rendering = Rendering(
            site,
            mime_types,
            lambda: self.health.is_down,
            self.health.suspect,
            self._look_at_directory,
        )
        self.report: Report | None = None
        """On the last look at the whole site."""
        self.pages = 0
        self.syncs = 0
        self.problems = Problems(self.journal)
        self.begun = asyncio.Event()
        """Set when the site was looked at for the first time, well or not."""
        self._locks = locks
        self._options = Options(
            max_delete=MaxDelete.parse(site.max_delete), lease=site.lease or LEASE, jobs=jobs
        )
        self._quiet, self._burst = QUIET, BURST
        self._store = Store(address)
        self._catalog = Catalog(self._store, site.name)
        self._deletions = Deletions(site.name, self._options.max_delete)
        self._watching = Watching(site.root, self.journal, self)
        self._webroot: WebRoot | None = None
        self._pending = Pending()
        self._noted: list[Changes] | None = None
        """What changed since the present look began; None while there is none."""
        self._requests: deque[Request] = deque()
        self._wake = asyncio.Event()
        self._all_due = 0.0
        self._some_due = NEVER
        self._first_change: float | None = None
        self._much = True
        """The next look at the whole site will have much to do."""
        self._interrupted = False
        self._item: SiteItem | None = None
        self._item_due = NEVER

    @property
    def last_sync(self) -> float | None:
        """When the site item was last written (seconds since the epoch)."""
        return self._item.last_sync if self._item else None

    @property
    def waiting(self) -> int:
        """How many directories are still to be looked at."""
        return len(self._pending)

    @property
    def watched(self) -> int:
        """How many directories are watched; 0: changes are found by looking."""
        return self._watching.directories

    def ask(self, options: Options) -> "asyncio.Future[Report]":
        """Sync the whole site soon with `options`, but for lease and processes."""
        options = replace(options, lease=self._options.lease, jobs=self._options.jobs)
        request = Request(options, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._wake.set()
        return request.answer

    async def keep(self) -> None:
        """Keep the site until cancelled."""
        try:
            async with self._locked(), asyncio.TaskGroup() as tasks:
                tasks.create_task(self.health.watch(self._store_lost, self._store_evicted))
                tasks.create_task(self.rendering.run())
                while True:
                    self._watching.look()
                    try:
                        await self._turn()
                    except MemfisError as error:
                        self._failed(error)
        finally:
            self._watching.stop()
            self._store.close()
            for request in self._requests:
                request.answer.cancel()

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        while True:
            with try_lock(self._locks, self.site.name) as held:
                if held:
                    yield
                    return
            self.journal.once(logging.WARNING, "another memfis is at work on this site; waiting")
            await asyncio.sleep(RETRY)

    async def _turn(self) -> None:
        """Do the one thing that is most due, or wait for something to be."""
        now = _now()
        if self._requests:
            await self._answer(self._requests.popleft())
        elif self._all_due <= now and not self.health.is_down:
            await self._look_at_all()
        elif self._some_due <= now and not self.health.is_down:
            await self._look_at_some()
        elif self._item_due <= now and not self.health.is_down:
            self._note_item()
        else:
            await self._sleep()

    async def _sleep(self) -> None:
        self._wake.clear()
        due = [self._watching.due]
        if not self.health.is_down:
            due += [self._all_due, self._some_due, self._item_due]
        delay = min(due) - _now()
        if delay <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(None if delay == NEVER else delay):
                await self._wake.wait()
        except TimeoutError:
            return

    # -- what the watch tells ------------------------------------------------------------------

    def lost_sight(self) -> None:
        """Look at everything soon: what happened before now was not seen."""
        self._look_soon()

    def changed(self, changes: Changes) -> None:
        """Look soon at what changed."""
        self.rendering.changed(changes)
        if changes:
            self._note(changes)
        else:
            self._wake.set()  # there may be a file now that is looked at when it is whole

    def _note(self, changes: Changes) -> None:
        if changes.everything or self._webroot is None:
            if changes.everything:
                self.journal.say(logging.WARNING, f"{changes.everything}; looking at everything")
            self._pending.clear()
            self._interrupted = True
            self._look_soon()
            return
        self._pending.add(self._webroot, changes)
        if self._noted is not None:
            self._noted.append(changes)
        if changes.elsewhere:
            self._look_soon(much=False, after=RETRY)
        now = _now()
        if self._first_change is None:
            self._first_change = now
        self._some_due = min(now + self._quiet, self._first_change + self._burst)
        self._wake.set()

    # -- looking -------------------------------------------------------------------------------

    def _look_soon(self, *, much: bool = True, after: float = 0.0) -> None:
        """Let the whole site be looked at in `after` seconds."""
        self._all_due = min(self._all_due, _now() + after)
        self._much = self._much or much
        self._wake.set()

    def _look_at_directory(self, path: bytes) -> None:
        """Let the directory at URL path `path` be looked at soon: pages of its files are gone."""
        self._pending.look(path)
        self._some_due = min(self._some_due, _now() + QUIET)
        self._wake.set()

    async def _look_at_all(self) -> None:
        options = self._options if self._much else replace(self._options, jobs=1)
        try:
            done = await self._sync(replace(options, check=self._deletions.check))
        except SafetyError as error:
            # what changed and what is new is served all the same
            self.journal.once(logging.ERROR, str(error), "deletions")
            done = await self._sync(replace(options, delete=False))
            if done is not None and done.did_something:
                self._look_soon(much=False, after=SETTLING)  # with it there may not be too many
        if done is not None:
            self.begun.set()

    async def _answer(self, request: Request) -> None:
        try:
            report = await self._sync(request.options)
        except BaseException as error:
            if not request.answer.done():
                request.answer.set_exception(error)
            if not isinstance(error, SafetyError):
                raise
        else:
            self._deletions.begin_anew()  # the limit of the request was the one that counts
            if report is None:
                self._requests.appendleft(request)
            elif not request.answer.done():
                request.answer.set_result(report)

    async def _sync(self, options: Options) -> Report | None:
        """Look at the whole site; what changes meanwhile is looked at in between.

        Returns None when something came between that makes it look at all of it anew.
        """
        self._all_due, self._interrupted = NEVER, False
        much, self._much = self._much, False
        self._store.close()  # connections that are left may be to a store that went meanwhile
        try:
            options = self._suit(options)
            one = self._new_sync(options)
            self._webroot = one.webroot
            self._pending.clear()
            self._noted = []
            with closing(one.steps()) as steps:
                for waiting in steps:
                    await self._between(one.walk, waiting=waiting)
                    if self._interrupted:
                        return None
                    if self._some_due <= _now():
                        await self._look_at_some(one.walk)
            if options.dry_run:
                self._look_soon(much=much, after=RETRY)
            else:
                self._seen_all(one)
        except BaseException:
            self._look_soon(much=much, after=RETRY)
            raise
        finally:
            self._noted = None
        return one.report

    def _new_sync(self, options: Options) -> Sync:
        try:
            return Sync(self.site, self._store, replace(options, writing=self._writing()))
        except UsageError:
            # no web root, or a mount fills the site now: nothing may be written until that changes
            self._webroot = None
            self._item_due = NEVER
            raise

    def _suit(self, options: Options) -> Options:
        """Let lease and batches be those for the kind of store; return `options` with the lease."""
        gateway = self._store.is_gateway()
        self._quiet, self._burst = (BATCH, BATCH) if gateway else (QUIET, BURST)
        lease = self.site.lease or (GATEWAY_LEASE if gateway else LEASE)
        self._options = replace(self._options, lease=lease)
        return replace(options, lease=lease)

    def _seen_all(self, one: Sync) -> None:
        report = one.report
        self._item, self.pages = one.item, report.pages
        self.health.filled = True
        self._know_links(one.walk.links, 0)
        self._all_due = min(self._all_due, _now() + self._watching.period)
        self.problems.replace(report.problems)
        if report.removed:
            self.rendering.store_lost()  # it may have been directories with records
        if self.report is None or report.did_something:
            self.journal.say(logging.INFO, report.outcome())
        self.journal.well()
        self.syncs += 1
        self.report = report

    async def _look_at_some(self, during: Walk | None = None) -> None:
        """Look at the directories where something changed, but those that `during` works on."""
        self._some_due, self._first_change = NEVER, None
        if self._webroot is None:
            return
        later = during.works_on if during is not None else _nothing
        tasks = self._pending.take(self._webroot, later)
        if self._pending:
            self._some_due = _now() + self._quiet
        if not tasks:
            return
        options = replace(self._options, writing=self._writing())
        if self._noted is None or during is None:
            self._noted = []
        since = len(self._noted)
        try:
            with Walk(
                self.site, self._webroot, self._store, options, tasks, self._keep_what_is_gone
            ) as walk:
                for waiting in walk.steps():
                    await self._between(walk, waiting=waiting)
            self._know_links(walk.links, since)
        finally:
            if during is None:
                self._noted = None
        for path in walk.links:
            if during is not None:
                during.forget(path)
            self.problems.forget(path)
        self.problems.add(walk.report.problems)
        if walk.lost:
            self._look_soon()
        if walk.report.removed:
            self.rendering.store_lost()  # it may have been a directory with records
        if walk.report.did_something:
            self.pages += walk.report.added - walk.report.removed
            self._item_due = min(self._item_due, _now() + NOTED)
            self.journal.say(logging.INFO, walk.report.brief(len(walk.links)))

    def _know_links(self, links: Mapping[bytes, Sequence[Link]], since: int) -> None:
        """Know the `links` that a look has found, and see by them what changed meanwhile.

        That is all that was noted from number `since` on: a page that a new link gives may have
        been read before the change, when the change was not yet known to be one of it.
        """
        self._pending.links.update(links)
        if self._webroot is None or not self._noted or not any(links.values()):
            return
        for changes in self._noted[since:]:
            self._pending.add(self._webroot, changes)
        self._some_due = min(self._some_due, _now() + self._quiet)

    async def _between(self, walk: Walk, *, waiting: bool) -> None:
        """Let other things happen between two steps; when `waiting`, until a helper speaks."""
        if not waiting:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        speaking = [helper.connection.fileno() for helper in walk.helpers if helper.busy]
        self._wake.clear()
        for descriptor in speaking:
            loop.add_reader(descriptor, self._wake.set)
        try:
            delay = self._some_due - _now()
            async with asyncio.timeout(None if delay == NEVER else max(0.0, delay)):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            for descriptor in speaking:
                loop.remove_reader(descriptor)

    def _keep_what_is_gone(self, walk: Walk) -> bool:
        """Decide whether pages whose files went are kept, because there are too many of them."""
        if walk.lost:
            self._item = self._catalog.note_loss(self._item)
        try:
            self._deletions.check(walk.gone, self.pages)
        except SafetyError as error:
            self.journal.once(logging.ERROR, str(error), "deletions")
            self._look_soon(much=False, after=SETTLING)  # what comes next may make up for it
            return True
        return False

    def _writing(self) -> dict[bytes, bool]:
        """Return the files that are being written, by every URL path they have."""
        writing = {}
        for disk, long in self._watching.writing():
            url = self._webroot.url_path(disk) if self._webroot else None
            paths = list(self._pending.links.also(disk))
            if url is not None:
                paths.append(url[:-1])
            for path in paths:
                writing[path] = long
        return writing

    # -- what goes wrong -----------------------------------------------------------------------

    def _failed(self, error: MemfisError) -> None:
        self.begun.set()
        self._store.close()
        if isinstance(error, StoreError):
            self.health.suspect()
        self._look_soon(after=RETRY)
        self.journal.once(logging.ERROR, str(error))

    def _store_lost(self, what: str) -> None:
        self.health.filled = False
        if self.report is not None:
            self.journal.say(logging.WARNING, f"the store {what}; filling it again")
        self._interrupted = True
        self._look_soon()
        self.rendering.store_lost()

    def _store_evicted(self) -> None:
        self._look_soon(much=False, after=EVICTED)

    def _note_item(self) -> None:
        self._item_due = NEVER
        if self._item is not None:
            self._item = self._item.with_pages(self.pages)
            self._catalog.write_site_item(self._item)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _nothing(_: bytes) -> bool:
    return False
