"""A site made equal to its web root: all of it, a step at a time, or where something changed."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace

from memfis.catalog.catalog import Catalog
from memfis.catalog.site_item import SiteItem
from memfis.errors import SafetyError, UsageError
from memfis.keeper.health import Health
from memfis.keeper.journal import Journal
from memfis.keeper.problems import Problems
from memfis.keeper.schedule import RequestedSync, Schedule
from memfis.keeper.times import NEVER, RETRY, now
from memfis.keeper.watching import Watching
from memfis.settings.addresses import StoreAddress
from memfis.settings.agent import GATEWAY_LEASE, LEASE
from memfis.settings.values import Site
from memfis.store import Store
from memfis.sync import Deletions, MaxDelete, Options, Report, Sync, Target, Walk
from memfis.webroot import WebRoot

SETTLING = 5.0
"""Seconds after deletions were refused until the whole site is synced again."""

NOTED = 5.0
"""Seconds between two updates of the site item while pages come and go."""


class Syncing:
    """Does the syncs of one site that its schedule says are due."""

    def __init__(
        self,
        site: Site,
        schedule: Schedule,
        watching: Watching,
        health: Health,
        problems: Problems,
        journal: Journal,
        *,
        jobs: int,
        installation: str | None,
        removed: Callable[[], None],
    ) -> None:
        """Prepare to sync `site` with `jobs` processes where there is much to do.

        `installation`: whose configuration the site is of, as its item says.
        `removed` is called when pages or directories went, as records went with them.
        """
        self.report: Report | None = None
        """On the last sync of the whole site."""
        self.pages = 0
        self.syncs = 0
        """How often the whole site was synced."""
        self._site = site
        self._schedule, self._watching, self._health = schedule, watching, health
        self._problems, self._journal = problems, journal
        self._removed = removed
        self._options = Options(
            max_delete=MaxDelete.parse(site.max_delete),
            lease=site.lease or LEASE,
            jobs=jobs,
            installation=installation,
        )
        self._store = Store(StoreAddress.parse(site.store))
        self._catalog = Catalog(self._store, site.name)
        self._deletions = Deletions(site.name, self._options.max_delete)
        self._webroot: WebRoot | None = None
        self._item: SiteItem | None = None

    @property
    def webroot(self) -> WebRoot | None:
        """The web root as the last sync found it; None: there was none, or none yet."""
        return self._webroot

    @property
    def last_sync(self) -> float | None:
        """When the site item was last written (seconds since the epoch)."""
        return self._item.last_sync if self._item else None

    def as_own(self, options: Options) -> Options:
        """Return `options` of a request with what is this agent's own."""
        own = self._options
        return replace(options, lease=own.lease, jobs=own.jobs, installation=own.installation)

    def close(self) -> None:
        """Close the connections to the store; what is done next opens new ones."""
        self._store.close()

    # -- the whole site ------------------------------------------------------------------------

    async def sync_all(self) -> bool:
        """Sync the whole site; False where it has to be begun anew."""
        options = self._options if self._schedule.much else replace(self._options, jobs=1)
        try:
            done = await self._sync(replace(options, check=self._deletions.check))
        except SafetyError as error:
            # what changed and what is new is served all the same
            self._journal.once(logging.ERROR, str(error), "deletions")
            done = await self._sync(replace(options, delete=False))
            if done is not None and done.did_something:
                # with what is new there may not be too many
                self._schedule.sync_soon(much=False, after=SETTLING)
        return done is not None

    async def answer(self, request: RequestedSync) -> None:
        """Do the sync that `request` is for; where it has to be begun anew it is asked again."""
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
        """Sync the whole site; what changes meanwhile is compared in between.

        Returns None when something came between that makes it begin anew.
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
                        await self.sync_some(one.walk)
                if options.dry_run:
                    schedule.sync_soon(much=much, after=RETRY)
                else:
                    self._synced_all(one)
                    one.webroot.check_open()
        except BaseException:
            schedule.sync_soon(much=much, after=RETRY)
            raise
        return one.report

    def _new_sync(self, options: Options) -> Sync:
        try:
            return Sync.begin(self._site, self._store, replace(options, writing=self._writing()))
        except UsageError:
            # no web root, or a mount fills the site now: nothing may be written until that changes
            self._webroot = None
            self._schedule.item_due = NEVER
            raise

    def _suit(self, options: Options) -> Options:
        """Choose lease and batches for the kind of store; return `options` with the lease."""
        gateway = self._store.is_gateway()
        self._schedule.collect(gateway=gateway)
        lease = self._site.lease or (GATEWAY_LEASE if gateway else LEASE)
        self._options = replace(self._options, lease=lease)
        return replace(options, lease=lease)

    def _synced_all(self, one: Sync) -> None:
        report = one.report
        self._item, self.pages = one.item, report.pages
        self._health.filled = True
        self._schedule.update_links(self._webroot, one.walk.links, 0)
        self._schedule.sync_soon(much=False, after=self._watching.period)
        self._problems.replace(report.problems)
        if report.removed:
            self._removed()  # it may have been directories with records
        if self.report is None or report.did_something:
            self._journal.say(logging.INFO, report.outcome())
        self._journal.well()
        self.syncs += 1
        self.report = report

    # -- where something changed ---------------------------------------------------------------

    async def sync_some(self, during: Walk | None = None) -> None:
        """Compare the directories where something changed, but those that `during` works on."""
        schedule = self._schedule
        tasks = schedule.take_some(self._webroot, during.works_on if during else _nothing)
        if self._webroot is None or not tasks:
            return
        options = replace(self._options, writing=self._writing())
        with nullcontext() if during else schedule.noting():
            since = schedule.noted
            target = Target.of(self._site, self._webroot, self._store)
            with Walk(target, options, tasks, self._keep_what_is_gone) as walk:
                for waiting in walk.steps():
                    await self._between(walk, waiting=waiting)
            schedule.update_links(self._webroot, walk.links, since)
        for path in walk.links:
            if during is not None:
                during.forget(path)
            self._problems.forget(path)
        self._problems.add(walk.report.problems)
        if walk.lost:
            schedule.sync_soon()
        if walk.report.removed:
            self._removed()  # it may have been a directory with records
        if walk.report.did_something:
            self.pages += walk.report.added - walk.report.removed
            schedule.item_due = min(schedule.item_due, now() + NOTED)
            self._journal.say(logging.INFO, walk.report.brief(len(walk.links)))

    async def _between(self, walk: Walk, *, waiting: bool) -> None:
        """Leave time for other things between two steps; when `waiting`, until a helper speaks."""
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
            self._journal.once(logging.ERROR, str(error), "deletions")
            # what comes next may make up for it
            self._schedule.sync_soon(much=False, after=SETTLING)
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

    def write_item(self) -> None:
        """Write into the site item how many pages there are now; raises StoreError."""
        self._schedule.item_due = NEVER
        if self._item is not None:
            self._item = self._item.with_pages(self.pages)
            self._catalog.write_site_item(self._item)


def _nothing(_: bytes) -> bool:
    return False
