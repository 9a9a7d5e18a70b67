"""A site made equal to its web root: all of it, a step at a time, or where something changed."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

from memfis.catalog.catalog import Catalog
from memfis.catalog.site_item import SiteItem
from memfis.catalog.source import check_filled_from_root
from memfis.errors import MissingRootError, RootError, SafetyError, UsageError
from memfis.keeper.gate import Gate
from memfis.keeper.health import Health
from memfis.keeper.holding import Holding
from memfis.keeper.journal import Journal
from memfis.keeper.problems import Problems
from memfis.keeper.schedule import RequestedSync, Schedule
from memfis.keeper.times import NEVER, RETRY, now
from memfis.keeper.watching import Watching
from memfis.settings.agent import GATEWAY_LEASE, LEASE
from memfis.settings.values import Site
from memfis.store import Store
from memfis.sync import Options, Report, Sync, Target, Walk
from memfis.sync.deletions import STRAYS, Marks
from memfis.webroot import WebRoot

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
        holding: Holding,
        gate: Gate,
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
        self.looked_at: Path | None = None
        """The run of the store that the last sync of the whole site was of."""
        self._site = site
        self._schedule, self._watching, self._health = schedule, watching, health
        self._problems, self._holding, self._journal = problems, holding, journal
        self._gate = gate
        self._removed = removed
        self._options = Options(lease=site.lease or LEASE, jobs=jobs, installation=installation)
        self._store = Store.of(site)
        self._catalog = Catalog(self._store, site.name)
        self._webroot: WebRoot | None = None
        self._item: SiteItem | None = None
        self._seen_to: set[bytes] = set()
        """What was compared again while the present sync of the whole site goes on."""

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
        return await self._sync(options) is not None

    async def answer(self, request: RequestedSync) -> None:
        """Do the sync that `request` is for; where it has to be begun anew it is asked again."""
        try:
            report = await self._sync(request.options, asked_for=True)
        except BaseException as error:
            if not request.answer.done():
                request.answer.set_exception(error)
            if not isinstance(error, SafetyError):
                raise
        else:
            if report is None:
                self._schedule.requests.appendleft(request)
            elif not request.answer.done():
                request.answer.set_result(report)

    async def _sync(self, options: Options, *, asked_for: bool = False) -> Report | None:
        """Sync the whole site; what changes meanwhile is compared in between.

        What is missing is held, unless somebody `asked_for` this. Returns None when something came
        between that makes it begin anew.
        """
        schedule = self._schedule
        much = schedule.take_all()
        self.looked_at = None
        store = self._gate.open_fresh()
        self._store.close()  # connections that are left may be to a store that went meanwhile
        try:
            options = self._suit(options)
            if not asked_for:
                options = replace(options, keep=self._keep_of_all)
            one = self._new_sync(options, give_up=not asked_for)
            self._webroot, self._seen_to = one.webroot, one.walk.seen_to
            schedule.pending.clear()
            with schedule.noting(), closing(one.steps()) as steps:
                for waiting in steps:
                    await self._between(one.walk, waiting=waiting)
                    if schedule.begin_anew:
                        return None
                    if schedule.held_due <= now():
                        await self.carry_out(one.walk)
                    elif schedule.some_due <= now():
                        await self.sync_some(one.walk)
                if not options.dry_run:
                    self._synced_all(one)
            if options.dry_run:
                schedule.sync_soon(much=much, after=RETRY)
            elif asked_for and options.delete:
                self._holding.let_go(one.walk.seen_to)
                await self.carry_out()
            elif not asked_for:
                self._holding.forget_others(one)
            if one.webroot.closed is not None and not options.dry_run:
                self._holding.root_has_no_pages()
            one.webroot.check_open()
            if options.delete and not options.dry_run:
                self.looked_at = store
        except BaseException:
            schedule.sync_soon(much=much, after=RETRY)
            raise
        finally:
            schedule.held_due = self._holding.due
        return one.report

    def _new_sync(self, options: Options, *, give_up: bool) -> Sync:
        """Begin a sync of all; `give_up` a web root that is missing for too long: its pages go."""
        options = replace(options, writing=self._writing())
        give_up = give_up and self._holding.root_is_given_up
        try:
            one = Sync.begin(self._site, self._store, options, even_missing=give_up)
        except UsageError as error:
            # no web root, or a mount fills the site now: nothing may be written until that changes
            self._webroot = None
            self._schedule.item_due = NEVER
            if not isinstance(error, RootError):
                self._holding.forget()
                raise
            raise self._holding.root_failed(error, self._known_pages(), options.lease) from error

        if not isinstance(one.webroot.closed, MissingRootError):
            self._holding.root_is_there()
        return one

    def _known_pages(self) -> int:
        """Return how many pages of files the store has; raises StoreError, and UsageError."""
        item = self._item or self._catalog.site_item()
        check_filled_from_root(item, self._site.name)
        return self.pages or (item.pages if item else 0)

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
        if one.webroot.closed is None:
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
            with Walk(target, options, tasks, self._keep_of_some) as walk:
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
        if waiting:
            speaking = [helper.connection.fileno() for helper in walk.helpers if helper.busy]
            await self._schedule.wait(self._schedule.some_due, speaking)
        else:
            await asyncio.sleep(0)

    # -- what is missing -----------------------------------------------------------------------

    async def carry_out(self, during: Walk | None = None) -> None:
        """Look again at the directories of which deletions are held: those that are due go."""
        self._schedule.held_due = now() + RETRY  # where something goes wrong
        places = self._holding.places(self._webroot)
        for place in set(places.values()):
            if place:
                self._schedule.pending.add_directory(place)
            else:
                self._schedule.sync_soon(much=False)
        await self.sync_some(during)
        if during is None:
            self._holding.went_with_others(places)
        if self._holding.due > now():
            self._schedule.held_due = self._holding.due

    def _keep_of_some(self, walk: Walk) -> bool:
        """Decide whether what is missing in some directories is kept."""
        if walk.lost:
            self._item = self._catalog.note_loss(self._item)
        return self._keep(walk.missing, walk.links.keys())

    def _keep_of_all(
        self, missing: Mapping[bytes, Marks], compared: Collection[bytes] | None
    ) -> bool:
        """Decide it of the whole site, but for what changed since it was compared."""
        if compared is None:
            compared = self._holding.paths - self._seen_to - {STRAYS}
        return self._keep(missing, compared)

    def _keep(self, missing: Mapping[bytes, Marks], compared: Collection[bytes]) -> bool:
        keep = self._holding.keep(missing, compared)
        self._schedule.held_due = self._holding.due
        return keep

    # -- what else it needs --------------------------------------------------------------------

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
