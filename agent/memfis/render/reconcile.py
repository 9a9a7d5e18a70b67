"""Records and pages of a site compared: what an earlier agent left is taken up, leftovers go."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from memfis.errors import StoreError
from memfis.layout.records import Entry
from memfis.render.pages import RenderedPage
from memfis.render.paths import is_file
from memfis.render.records import NO_STALE, REVALIDATE, SLICE
from memfis.render.shelf import RETRY, Shelf, now
from memfis.settings.values import PhpSettings, Site

PERIOD = 300.0
"""Seconds between two comparisons of records and pages."""

PAUSE = 2.0
"""Seconds after which they are compared where something is known to have gone."""


class Reconciliation:
    """Makes the shelf, the records and the pages in the store agree. Times are the event loop's."""

    def __init__(self, site: Site, php: PhpSettings, shelf: Shelf) -> None:
        """Reconcile `shelf` of `site` with the store, once it `run`s."""
        self._site, self._php = site, php
        self._shelf = shelf
        self._soon = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Compare at first, to find what an earlier agent left, then from time to time."""
        while True:
            if self._shelf.store_is_down:
                await asyncio.sleep(RETRY)
                continue
            try:
                await self.compare()
                self._shelf.is_known.set()
            except StoreError as error:
                self._shelf.store_failed(error)
                await asyncio.sleep(RETRY)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._soon.wait()
                    await asyncio.sleep(PAUSE)
            self._soon.clear()

    def soon(self) -> None:
        """Compare in a moment: pages or records may have gone."""
        self._soon.set()

    async def compare(self) -> None:
        """Compare all of it now; raises StoreError."""
        async with self._one_at_a_time:
            await self._compare()

    async def _compare(self) -> None:
        began = now()
        records, pages = self._shelf.records, self._shelf.pages
        records.lost()  # a sync may have removed directories
        seen: set[bytes] = set()
        for directory, entries in records.recorded():
            gone: list[Entry] = []
            for start in range(0, len(entries), SLICE):
                batch = entries[start : start + SLICE]
                gone += self._check_recorded(directory, batch)
                seen.update(directory + entry.in_url for entry in batch)
                await asyncio.sleep(0)
            # what was rendered again meanwhile has a new record of the same name
            names = [each.name for each in gone if directory + each.in_url not in pages]
            if names or not entries:
                records.forget(directory, names)
            await asyncio.sleep(0)
        unseen = [path for path in pages if path not in seen]
        for start in range(0, len(unseen), SLICE):
            self._record_again(unseen[start : start + SLICE], began)
            await asyncio.sleep(0)

    def _check_recorded(self, directory: bytes, entries: Sequence[Entry]) -> list[Entry]:
        """Put pages that `entries` record on the shelf; return the entries whose page is gone."""
        shelf = self._shelf
        gone = []
        paths = [directory + entry.in_url for entry in entries]
        for path, entry, visit in zip(paths, entries, shelf.records.visits(paths), strict=True):
            if is_file(self._site, path):
                shelf.make_way(path)
                gone.append(entry)
            elif visit is None:
                if path not in shelf.queue:
                    shelf.pages.discard(path)
                    gone.append(entry)
            elif path in shelf.pages:
                continue
            elif entry.mtime_ns < shelf.valid_from * 10**9:
                shelf.records.remove([path])
                gone.append(entry)
            else:
                self._adopt(path, entry, visit.ttl)
        return gone

    def _adopt(self, path: bytes, entry: Entry, ttl: int) -> None:
        """Put a page on the shelf that an earlier agent rendered."""
        moment = now()
        extended = entry.extended or {}
        revalidate = int(extended.get(REVALIDATE, 0))
        fresh = moment + max(ttl, 0) - revalidate
        stale = fresh
        rendered = min(moment, moment - (time.time() - entry.mtime_ns / 10**9))
        if NO_STALE not in extended:
            stale = max(fresh, rendered + self._php.lifetime + self._php.stale_if_error)
        page = RenderedPage(entry, fresh, stale, moment, rendered, revalidate)
        self._shelf.pages.add(path, page, moment + max(0.0, fresh - moment) / 4)

    def _record_again(self, paths: Sequence[bytes], began: float) -> None:
        """Record pages on the shelf whose record went, with its directory, before `began`."""
        shelf = self._shelf
        for path, visit in zip(paths, shelf.records.visits(paths), strict=True):
            page = shelf.pages.get(path)
            if page is None or page.recorded >= began:
                continue
            if visit is None:
                shelf.pages.discard(path)
            else:
                shelf.records.record(path, page.entry)
                page.recorded = now()
