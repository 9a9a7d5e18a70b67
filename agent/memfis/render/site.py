"""One site whose pages PHP makes: who does what with its shelf while an agent runs."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from memfis.errors import StoreError, UsageError
from memfis.nginx.hints import Bucket
from memfis.nginx.media_types import DEFAULT_TYPE, MediaTypes
from memfis.render.expiring import Expiring
from memfis.render.fetch import Origin
from memfis.render.figures import RenderingStatus
from memfis.render.page_renderer import PageRenderer
from memfis.render.patterns import EVERYTHING
from memfis.render.preload import Preload
from memfis.render.queue import Job, Priority
from memfis.render.reconcile import Reconciliation
from memfis.render.shelf import RETRY, Shelf, StoreHealth, now
from memfis.render.trouble import Trouble
from memfis.render.visitors import Visitors
from memfis.settings.values import PhpSettings, Site
from memfis.store import Store

log = logging.getLogger("memfis")


class SiteRenderer:
    """Keeps rendered pages of `site` in the store."""

    def __init__(
        self,
        site: Site,
        php: PhpSettings,
        store: Store,
        mime_types: str,
        health: StoreHealth,
        rewrite_files: Callable[[bytes], None],
    ) -> None:
        """Prepare it; see `Shelf`. `mime_types`: the path of nginx's list, which `run` reads."""
        self.shelf = Shelf(site, php, store, health, rewrite_files)
        self.visitors = Visitors()
        self._site, self._php = site, php
        self._mime_types = mime_types
        self._trouble = Trouble(now)
        self._reconciliation = Reconciliation(site, php, self.shelf)
        self._bucket = Bucket(now)
        self._purges: set[asyncio.Task[None]] = set()

    @property
    def status(self) -> RenderingStatus:
        """How rendering is doing; the figures are those that are being counted."""
        return RenderingStatus(
            pages=len(self.shelf.pages),
            waiting=len(self.shelf.queue),
            trouble=self._trouble.is_there,
            figures=self.shelf.figures,
            visitors=self.visitors,
        )

    async def run(self) -> None:
        """Render until cancelled."""
        site, php = self._site, self._php
        assert site.origin is not None
        origin = Origin(site.origin, php)
        pages = PageRenderer(site, php, self.shelf, origin, self._media_types(), self._trouble)
        preload = Preload(site, php, self.shelf, origin.fetch_target)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reconciliation.run())
                tasks.create_task(preload.keep_listed())
                tasks.create_task(preload.keep_named())
                tasks.create_task(preload.read_sitemaps())
                tasks.create_task(Expiring(self.shelf, self._trouble).run())
                await self._render_all(tasks, pages)
        finally:
            for task in self._purges:
                task.cancel()
            await origin.close()

    def _media_types(self) -> MediaTypes:
        site = self._site
        try:
            return MediaTypes.read(
                self._mime_types, site.default_type, site.charset, site.types or {}
            )
        except UsageError as error:
            log.error(  # noqa: TRY400
                "%s: %s; of what has an extension nothing is rendered", site.name, error
            )
            return MediaTypes({}, site.default_type or DEFAULT_TYPE, site.charset)

    async def _render_all(self, tasks: asyncio.TaskGroup, pages: PageRenderer) -> None:
        """Start a task for each job of the queue, as many at a time as are allowed."""
        queue = self.shelf.queue
        while True:
            queue.changed.clear()
            pause = RETRY if self.shelf.store_is_down else self._trouble.pause()
            limit = 1 if self._trouble.is_there else self._php.concurrency
            while not pause and len(queue.active) < limit:
                job = queue.take()
                if job is None:
                    break
                tasks.create_task(self._do(job, pages))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause or None):
                    await queue.changed.wait()

    async def _do(self, job: Job, pages: PageRenderer) -> None:
        try:
            await pages.render(job)
        finally:
            self.shelf.queue.done(job)

    # -- what others want ----------------------------------------------------------------------

    def hint(self, path: bytes) -> None:
        """Hear that PHP answered for `path`, and that others might get it from memory."""
        shelf = self.shelf
        if not self._bucket.let():
            outcome = "dropped"
        elif shelf.is_refused(path):
            outcome = "refused before"
        elif path in shelf.queue and not shelf.queue.is_purged(path):
            outcome = "known"
        else:
            outcome = "queued" if shelf.queue.add(path, Priority.HINT) else "dropped"
        shelf.figures.hinted(outcome)

    def reconcile_soon(self) -> None:
        """Compare records and pages in a moment: some may have gone."""
        self._reconciliation.soon()

    def distrust_before(self, moment: float) -> None:
        """Remove what the store has of pages rendered before `moment` (seconds since the epoch)."""
        self.shelf.valid_from = max(moment, self.shelf.valid_from)

    async def drop_older(self) -> None:
        """Remove everything rendered until now, on the shelf or not; raises StoreError."""
        self.distrust_before(time.time())
        for _ in self.shelf.purge(EVERYTHING):
            await asyncio.sleep(0)
        await self._reconciliation.compare()

    def purge_all(self, why: str) -> None:
        """Begin to remove everything rendered, and say `why`; nothing older is stored from now."""
        self.distrust_before(time.time())
        task = asyncio.create_task(self._purge(self.shelf.purge(EVERYTHING), why))
        self._purges.add(task)
        task.add_done_callback(self._purges.discard)

    async def _purge(self, steps: Iterator[list[bytes]], why: str) -> None:
        number = 0
        try:
            for paths in steps:
                number += len(paths)
                await asyncio.sleep(0)
        except StoreError as error:
            # what is left of them is found, and removed, when the store is back
            self.reconcile_soon()
            log.error(  # noqa: TRY400
                "%s: %s, and nothing could be purged: %s", self._site.name, why, error
            )
        else:
            log.info("%s: %s: %d rendered pages purged", self._site.name, why, number)
