"""A site that another host fills the store for: what happens here is told to that one."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from memfis.errors import UsageError
from memfis.fleet.near import PATIENCE, Near
from memfis.keeper.health import Health, StoreEvent
from memfis.keeper.journal import Journal
from memfis.keeper.locked import locked
from memfis.keeper.problems import Problems
from memfis.keeper.times import now
from memfis.layout.keys import site_key
from memfis.nginx.hints import Hint
from memfis.render.figures import Purged, RenderingStatus
from memfis.render.patterns import TURN, Pattern
from memfis.render.purge import Purge
from memfis.render.visitors import Visitors
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site
from memfis.store import Store
from memfis.sync import Held, Options, Report


class FollowedSite:
    """See `Kept`; nothing is watched or rendered here, and only a purge changes the store."""

    def __init__(
        self,
        site: Site,
        locks: Path,
        publisher: Callable[[], str],
        hinted: Callable[[str, bytes], None],
    ) -> None:
        """Prepare it; `locks` is the directory of lock files.

        `publisher` returns the host that fills the store; `hinted` is called with the site's name
        and the path of a page that PHP answered for, and that is not in memory.
        """
        self.site = site
        self.journal = Journal(site.name)
        self.health = Health(StoreAddress.parse(site.store), site_key(site.name), self.journal)
        self.problems = Problems(self.journal)
        self.begun = asyncio.Event()
        self.pages = self.syncs = self.waiting = self.watched = 0
        self.report: Report | None = None
        self.last_sync: float | None = None
        self.held: Held | None = None
        self.visitors = Visitors()
        self._locks, self._publisher, self._hinted = locks, publisher, hinted
        self._near = Near(site)
        self._store = Store.of(site, PATIENCE)
        self._one_at_a_time = asyncio.Lock()

    def rendering_status(self) -> RenderingStatus | None:
        """Return None: nothing is rendered here."""
        return None

    def ask(self, options: Options) -> "asyncio.Future[Report]":
        """Refuse: another host syncs."""
        raise UsageError(
            f"site {self.site.name}: {self._publisher()} fills the store that this host shares; run"
            " it there"
        )

    def hint(self, hint: Hint) -> bool:
        """Hear what nginx tells of an answer of PHP's; False for a site without PHP."""
        if self.site.php is None:
            return False
        self.visitors.note(hint.kept_by, hint.proxy)
        if hint.path is not None:
            self._hinted(self.site.name, hint.path)
        return True

    async def purge(self, patterns: Sequence[Pattern], *, dry_run: bool) -> Purged:
        """Remove what `patterns` fit but pages of files, which who fills the store writes again.

        Raises StoreError, and UsageError.
        """
        async with contextlib.AsyncExitStack() as stack:
            if any(pattern.is_slow for pattern in patterns):
                await stack.enter_async_context(self._one_at_a_time)
            purge = Purge(self.site, self._store, patterns, dry_run=dry_run, files=False)
            turn = now() + TURN
            for _ in purge.steps():
                if now() > turn:
                    await asyncio.sleep(0)
                    turn = now() + TURN
            if not dry_run:
                self.forget(patterns)
            return purge.done

    def forget(self, patterns: Sequence[Pattern]) -> None:
        """Show nothing more from before of what `patterns` fit; raises StoreError."""
        self._near.forget(patterns)

    async def keep(self) -> None:
        """Look whether the store is there, until cancelled, and let nobody else fill it here."""
        self.begun.set()
        try:
            async with locked(self._locks, self.site.name, self.journal):
                await self.health.watch(self._happened, lambda: None)
        finally:
            self._near.close()
            self._store.close()

    def _happened(self, event: StoreEvent) -> None:
        # The store has ended connections of before, which only the next use would show.
        self._near.close()
        self._store.close()
        self.journal.well()
        self.journal.say(logging.INFO, f"the store {event.value}")
