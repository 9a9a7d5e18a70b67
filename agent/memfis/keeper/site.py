"""One site that is kept equal to its web root: what is due is done, what goes wrong is told."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from memfis.errors import MemfisError, StoreError
from memfis.keeper.dynamic import DynamicPages
from memfis.keeper.gate import Gate
from memfis.keeper.health import Health, StoreEvent
from memfis.keeper.holding import Holding
from memfis.keeper.journal import Journal
from memfis.keeper.locked import locked
from memfis.keeper.problems import Problems
from memfis.keeper.schedule import Schedule
from memfis.keeper.syncing import Syncing
from memfis.keeper.times import RETRY, now
from memfis.keeper.watching import Watching
from memfis.layout.keys import site_key
from memfis.nginx.hints import Hint
from memfis.render.figures import Purged, RenderingStatus
from memfis.render.patterns import Pattern
from memfis.service.mount_table import MountTable
from memfis.settings.addresses import StoreAddress
from memfis.settings.agent import MIME_TYPES
from memfis.settings.values import Site
from memfis.sync import Held, Options, Report
from memfis.watch import Changes

EVICTED = 30.0
"""Seconds after the store evicted something until the whole site is synced."""


class SiteKeeper:
    """Keeps one site. Times are those of the event loop's clock, in seconds."""

    def __init__(
        self,
        site: Site,
        locks: Path,
        *,
        jobs: int = 1,
        mime_types: str = MIME_TYPES,
        mounts: MountTable | None = None,
        installation: str | None = "",
    ) -> None:
        """Prepare to keep `site`; `locks` is the directory of lock files.

        `installation`: whose configuration the site is of, as its item says.
        `jobs`: processes to start where there is much to do. `mime_types`: nginx's list of types.
        `mounts`: what is mounted, if others want to know that too.
        """
        self.site = site
        self.journal = Journal(site.name)
        self._gate = Gate(site, self.journal)
        self.health = Health(
            StoreAddress.parse(site.store), site_key(site.name), self.journal, self._gate.store
        )
        self.problems = Problems(self.journal)
        self._holding = Holding(site, self.journal)
        self.begun = asyncio.Event()
        """Set when the whole site was synced for the first time, well or not."""
        self._locks = locks
        self._schedule = Schedule(self.journal)
        self._watching = Watching(
            site.root, self.journal, self, mounts or MountTable(), site.follow
        )
        self._dynamic = DynamicPages(
            site, mime_types, self.health, self._schedule.compare_directory
        )
        self._syncing = Syncing(
            site,
            self._schedule,
            self._watching,
            self.health,
            self.problems,
            self._holding,
            self._gate,
            self.journal,
            jobs=jobs,
            installation=installation,
            removed=self._dynamic.reconcile_soon,
        )

    # -- how it is -----------------------------------------------------------------------------

    @property
    def pages(self) -> int:
        """How many pages of files are in memory."""
        return self._syncing.pages

    @property
    def report(self) -> Report | None:
        """On the last sync of the whole site; None: there was none yet."""
        return self._syncing.report

    @property
    def syncs(self) -> int:
        """How often the whole site was synced."""
        return self._syncing.syncs

    @property
    def last_sync(self) -> float | None:
        """When the site item was last written (seconds since the epoch)."""
        return self._syncing.last_sync

    @property
    def waiting(self) -> int:
        """How many directories are still to be compared."""
        return len(self._schedule.pending)

    @property
    def watched(self) -> int:
        """How many directories are watched; 0: changes are found by comparing all."""
        return self._watching.directories

    @property
    def held(self) -> Held | None:
        """The pages that stay although their files are not found; None: there are none."""
        return self._holding.held()

    def rendering_status(self) -> RenderingStatus | None:
        """Return how pages are rendered; None for a site without PHP."""
        return self._dynamic.status()

    # -- what others want ----------------------------------------------------------------------

    def ask(self, options: Options) -> "asyncio.Future[Report]":
        """Sync the whole site soon with `options`, but for lease and processes."""
        return self._schedule.ask(self._syncing.as_own(options))

    def hint(self, hint: Hint) -> bool:
        """Hear what nginx tells of an answer of PHP's; False for a site without PHP."""
        return self._dynamic.hint(hint)

    async def purge(self, patterns: Sequence[Pattern], *, dry_run: bool) -> Purged:
        """Remove the pages that `patterns` fit; pages of files are written again soon.

        `dry_run`: only say which. Raises StoreError, and UsageError.
        """
        return await self._dynamic.purge(patterns, dry_run=dry_run)

    # -- its life ------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Keep the site until cancelled."""
        try:
            lock = locked(self._locks, self.site.name, self.journal)
            async with lock, asyncio.TaskGroup() as tasks:
                tasks.create_task(self.health.watch(self._fill_again, self._evicted))
                tasks.create_task(self._dynamic.run())
                while True:
                    self._watching.start_or_read()
                    try:
                        await self._turn()
                        await self._show()
                    except MemfisError as error:
                        self._failed(error)
        finally:
            self._watching.stop()
            self._syncing.close()
            for request in self._schedule.requests:
                request.answer.cancel()

    def watch_no_more(self) -> None:
        """Hear of no more changes; `keep` is about to be cancelled."""
        self._watching.stop()

    async def _turn(self) -> None:
        """Do the one thing that is most due, or wait for something to be."""
        schedule, moment = self._schedule, now()
        if schedule.requests:
            await self._syncing.answer(schedule.requests.popleft())
        elif schedule.all_due <= moment and not self.health.is_down:
            if await self._syncing.sync_all():
                self.begun.set()
        elif schedule.held_due <= moment and not self.health.is_down:
            await self._syncing.carry_out()
        elif schedule.some_due <= moment and not self.health.is_down:
            await self._syncing.sync_some()
        elif schedule.item_due <= moment and not self.health.is_down:
            self._syncing.write_item()
        else:
            due = self._watching.due
            await schedule.wait(due if self.health.is_down else min(due, schedule.due))

    async def _show(self) -> None:
        """Let nginx ask the store that was looked at, if it does not yet, and nothing is held."""
        store = self._syncing.looked_at
        if store is None or self._gate.is_open(store) or self._holding.held() is not None:
            return
        if store != self._gate.store():
            return  # another run by now, which is looked at soon
        await self._dynamic.drop_older()
        self._gate.open(store)

    def _failed(self, error: MemfisError) -> None:
        self.begun.set()
        self._syncing.close()
        if isinstance(error, StoreError):
            self.health.suspect()
        self._schedule.sync_soon(after=RETRY)
        self.journal.once(logging.ERROR, str(error))

    # -- what the watch tells ------------------------------------------------------------------

    def missed_changes(self) -> None:
        """Sync the whole site soon: what happened before now was not seen."""
        self._schedule.sync_soon()

    def changed(self, changes: Changes) -> None:
        """Compare soon what changed."""
        self._dynamic.changed(changes)
        if changes:
            self._schedule.note(changes, self._syncing.webroot)
        else:
            self._schedule.wake()  # there may be a file now that is published when it is whole

    # -- what the store tells ------------------------------------------------------------------

    def _fill_again(self, event: StoreEvent) -> None:
        self._dynamic.connect_anew()
        self.health.filled = False
        if self.report is not None:
            then = "looking at what it kept" if self._gate.is_warm else "filling it again"
            self.journal.say(logging.WARNING, f"the store {event.value}; {then}")
        self._schedule.sync_anew()
        self._dynamic.reconcile_soon()

    def _evicted(self) -> None:
        self._schedule.sync_soon(much=False, after=EVICTED)
