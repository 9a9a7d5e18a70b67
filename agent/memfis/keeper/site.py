"""One site that is kept equal to its web root: what is looked at, and what comes of it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import replace
from pathlib import Path

from memfis.catalog.catalog import Catalog, SiteItem
from memfis.errors import MemfisError, SafetyError, StoreError, UsageError
from memfis.keeper.code import Rendering
from memfis.keeper.health import Health
from memfis.keeper.journal import Journal
from memfis.keeper.problems import Problems
from memfis.keeper.schedule import Request, Schedule, now
from memfis.keeper.watching import NEVER, RETRY, Watching
from memfis.layout.keys import site_key
from memfis.settings.load import GATEWAY_LEASE, LEASE, MIME_TYPES, Site, StoreAddress
from memfis.store import Store
from memfis.sync import Deletions, MaxDelete, Options, Report, Sync, Target, Walk, try_lock
from memfis.watch import Changes
from memfis.webroot import WebRoot

EVICTED = 30.0
"""Seconds after the store evicted something until the whole site is looked at."""

SETTLING = 5.0
"""Seconds after deletions were refused until the whole site is looked at."""

NOTED = 5.0
"""Seconds between two updates of the site item while pages come and go."""


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
        self._schedule = Schedule(self.journal)
        self.rendering = Rendering(
            site,
            mime_types,
            lambda: self.health.is_down,
            self.health.suspect,
            self._schedule.look_at_directory,
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
        self._store = Store(address)
        self._catalog = Catalog(self._store, site.name)
        self._deletions = Deletions(site.name, self._options.max_delete)
        self._watching = Watching(site.root, self.journal, self)
        self._webroot: WebRoot | None = None
        self._item: SiteItem | None = None

    @property
    def last_sync(self) -> float | None:
        """When the site item was last written (seconds since the epoch)."""
        return self._item.last_sync if self._item else None

    @property
    def waiting(self) -> int:
        """How many directories are still to be looked at."""
        return len(self._schedule.pending)

    @property
    def watched(self) -> int:
        """How many directories are watched; 0: changes are found by looking."""
        return self._watching.directories

    def ask(self, options: Options) -> "asyncio.Future[Report]":
        """Sync the whole site soon with `options`, but for lease and processes."""
        own = self._options
        return self._schedule.ask(replace(options, lease=own.lease, jobs=own.jobs))

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
            for request in self._schedule.requests:
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
        schedule, moment = self._schedule, now()
        if schedule.requests:
            await self._answer(schedule.requests.popleft())
        elif schedule.all_due <= moment and not self.health.is_down:
            await self._look_at_all()
        elif schedule.some_due <= moment and not self.health.is_down:
            await self._look_at_some()
        elif schedule.item_due <= moment and not self.health.is_down:
            self._note_item()
        else:
            due = self._watching.due
            await schedule.wait(due if self.health.is_down else min(due, schedule.due))

    # -- what the watch tells ------------------------------------------------------------------

    def lost_sight(self) -> None:
        """Look at everything soon: what happened before now was not seen."""
        self._schedule.look_soon()

    def changed(self, changes: Changes) -> None:
        """Look soon at what changed."""
        self.rendering.changed(changes)
        if changes:
            self._schedule.note(changes, self._webroot)
        else:
            self._schedule.wake()  # there may be a file now that is looked at when it is whole

    # -- looking -------------------------------------------------------------------------------

    async def _look_at_all(self) -> None:
        options = self._options if self._schedule.much else replace(self._options, jobs=1)
        try:
            done = await self._sync(replace(options, check=self._deletions.check))
        except SafetyError as error:
            # what changed and what is new is served all the same
            self.journal.once(logging.ERROR, str(error), "deletions")
            done = await self._sync(replace(options, delete=False))
            if done is not None and done.did_something:
                # with what is new there may not be too many
                self._schedule.look_soon(much=False, after=SETTLING)
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
                self._schedule.requests.appendleft(request)
            elif not request.answer.done():
                request.answer.set_result(report)

    async def _sync(self, options: Options) -> Report | None:
        """Look at the whole site; what changes meanwhile is looked at in between.

        Returns None when something came between that makes it look at all of it anew.
        """
        schedule = self._schedule
        much = schedule.take_all()
        self._store.close()  # connections that are left may be to a store that went meanwhile
        try:
            options = self._suit(options)
            one = self._new_sync(options)
            self._webroot = one.webroot
            schedule.pending.clear()
            with schedule.noting(), closing(one.steps()) as steps:
                for waiting in steps:
                    await self._between(one.walk, waiting=waiting)
                    if schedule.begin_anew:
                        return None
                    if schedule.some_due <= now():
                        await self._look_at_some(one.walk)
                if options.dry_run:
                    schedule.look_soon(much=much, after=RETRY)
                else:
                    self._seen_all(one)
        except BaseException:
            schedule.look_soon(much=much, after=RETRY)
            raise
        return one.report

    def _new_sync(self, options: Options) -> Sync:
        try:
            return Sync.begin(self.site, self._store, replace(options, writing=self._writing()))
        except UsageError:
            # no web root, or a mount fills the site now: nothing may be written until that changes
            self._webroot = None
            self._schedule.item_due = NEVER
            raise

    def _suit(self, options: Options) -> Options:
        """Let lease and batches be those for the kind of store; return `options` with the lease."""
        gateway = self._store.is_gateway()
        self._schedule.collect(gateway=gateway)
        lease = self.site.lease or (GATEWAY_LEASE if gateway else LEASE)
        self._options = replace(self._options, lease=lease)
        return replace(options, lease=lease)

    def _seen_all(self, one: Sync) -> None:
        report = one.report
        self._item, self.pages = one.item, report.pages
        self.health.filled = True
        self._schedule.know_links(self._webroot, one.walk.links, 0)
        self._schedule.look_soon(much=False, after=self._watching.period)
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
        schedule = self._schedule
        tasks = schedule.take_some(self._webroot, during.works_on if during else _nothing)
        if self._webroot is None or not tasks:
            return
        options = replace(self._options, writing=self._writing())
        with nullcontext() if during else schedule.noting():
            since = schedule.noted
            target = Target.of(self.site, self._webroot, self._store)
            with Walk(target, options, tasks, self._keep_what_is_gone) as walk:
                for waiting in walk.steps():
                    await self._between(walk, waiting=waiting)
            schedule.know_links(self._webroot, walk.links, since)
        for path in walk.links:
            if during is not None:
                during.forget(path)
            self.problems.forget(path)
        self.problems.add(walk.report.problems)
        if walk.lost:
            schedule.look_soon()
        if walk.report.removed:
            self.rendering.store_lost()  # it may have been a directory with records
        if walk.report.did_something:
            self.pages += walk.report.added - walk.report.removed
            schedule.item_due = min(schedule.item_due, now() + NOTED)
            self.journal.say(logging.INFO, walk.report.brief(len(walk.links)))

    async def _between(self, walk: Walk, *, waiting: bool) -> None:
        """Let other things happen between two steps; when `waiting`, until a helper speaks."""
        if not waiting:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        speaking = [helper.connection.fileno() for helper in walk.helpers if helper.busy]
        for descriptor in speaking:
            loop.add_reader(descriptor, self._schedule.wake)
        try:
            await self._schedule.wait(self._schedule.some_due)
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
            # what comes next may make up for it
            self._schedule.look_soon(much=False, after=SETTLING)
            return True
        return False

    def _writing(self) -> dict[bytes, bool]:
        """Return the files that are being written, by every URL path they have."""
        writing = {}
        for disk, long in self._watching.writing():
            url = self._webroot.url_path(disk) if self._webroot else None
            paths = list(self._schedule.pending.links.also(disk))
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
        self._schedule.look_soon(after=RETRY)
        self.journal.once(logging.ERROR, str(error))

    def _store_lost(self, what: str) -> None:
        self.health.filled = False
        if self.report is not None:
            self.journal.say(logging.WARNING, f"the store {what}; filling it again")
        self._schedule.look_anew()
        self.rendering.store_lost()

    def _store_evicted(self) -> None:
        self._schedule.look_soon(much=False, after=EVICTED)

    def _note_item(self) -> None:
        self._schedule.item_due = NEVER
        if self._item is not None:
            self._item = self._item.with_pages(self.pages)
            self._catalog.write_site_item(self._item)


def _nothing(_: bytes) -> bool:
    return False
