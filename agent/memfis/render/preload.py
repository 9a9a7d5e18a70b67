"""What is rendered without a visitor: the list, the sitemaps, what an earlier agent had stored."""

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from memfis.errors import StoreError
from memfis.layout.keys import normal_path
from memfis.layout.records import Entry
from memfis.render.fetch import OriginError
from memfis.render.pages import RenderedPage
from memfis.render.paths import is_file, kept_at
from memfis.render.queue import Priority
from memfis.render.records import NO_STALE, SLICE
from memfis.render.sitemap import LIMIT, Sitemap, SitemapError, parse

if TYPE_CHECKING:
    from memfis.render.site import SiteRenderer

LISTED = 2.0
"""Seconds between two looks whether the pages of the list are there."""

LOOK_OVER = 300.0
"""Seconds between two comparisons of records and pages."""

PAUSE = 2.0
"""Seconds after which they are compared where something is known to have gone."""

SITEMAPS = 3600.0
"""Seconds between two looks at the sitemaps."""

AGAIN = 60.0
"""Seconds before a sitemap that could not be read is tried again."""

FILES = 1000
"""Sitemaps that are read at most."""


class Ahead:
    """Finds work for a renderer."""

    def __init__(self, renderer: "SiteRenderer") -> None:
        """Find it for `renderer`."""
        self._of = renderer
        self._changed: dict[bytes, str] = {}
        """When each page of the sitemaps last changed, as they say."""
        self._told: set[str] = set()
        self._soon = asyncio.Event()

    # -- the list ------------------------------------------------------------------------------

    async def keep_listed(self) -> None:
        """Let pages of the list be rendered that are not there."""
        of = self._of
        while True:
            waiting = [path for path in of.always if path not in of.queue]
            if of.is_down():
                waiting = []
            try:
                visits = of.records.visits(waiting)
            except StoreError as error:
                of.store_failed(error)
            else:
                for path, visit in zip(waiting, visits, strict=True):
                    known = path in of.pages and visit is not None
                    if not known and not of.is_refused(path) and not is_file(of.site, path):
                        of.pages.discard(path)
                        of.queue.add(path, Priority.LISTED)
                        of.wake()
            await asyncio.sleep(LISTED)

    # -- sitemaps ------------------------------------------------------------------------------

    async def read_sitemaps(self) -> None:
        """Let pages be rendered that the sitemaps name, and have not named so before."""
        of = self._of
        while of.php.sitemaps:
            pages, whole = await self._all_sitemaps()
            for path, changed in pages.items():
                before = self._changed.get(path)
                if before is None:
                    of.queue.add(path, Priority.SITEMAP)
                elif before != changed and path in of.pages:
                    of.queue.add(path, Priority.REFRESH)
            of.wake()
            self._changed |= pages
            await asyncio.sleep(SITEMAPS if whole else AGAIN)

    async def _all_sitemaps(self) -> tuple[dict[bytes, str], bool]:
        """Return the pages that the sitemaps name, and whether all could be read."""
        of = self._of
        pages: dict[bytes, str] = {}
        pending = [normal_path(path) for path in of.php.sitemaps]
        seen = set(pending)
        whole = True
        while pending:
            path = pending.pop()
            try:
                found = await self._sitemap(path)
            except (OriginError, SitemapError) as error:
                whole = False
                message = f"sitemap {path.decode('latin-1')}: {error}"
                if message not in self._told:
                    self._told.add(message)
                    of.say(logging.WARNING, message)
                continue
            pages |= {kept_at(of.site, page): changed for page, changed in found.pages.items()}
            more = [each for each in found.sitemaps if each not in seen][: FILES - len(seen)]
            seen.update(more)
            pending += more
        return pages, whole

    async def _sitemap(self, path: bytes) -> Sitemap:
        answer = await self._of.fetch(path, LIMIT)
        if answer.status != 200:
            raise SitemapError(f"status {answer.status}")
        if not answer.whole:
            raise SitemapError(f"is larger than {LIMIT} bytes")
        host, most = self._of.php.host, self._of.php.max_pages
        return await asyncio.to_thread(parse, answer.body, host, most)

    # -- what is in the store ------------------------------------------------------------------

    async def look_over(self) -> None:
        """Compare records and pages: at first, to know what an earlier agent left, and then on."""
        of = self._of
        while True:
            if of.is_down():
                await asyncio.sleep(LISTED)
                continue
            try:
                await self._compare()
            except StoreError as error:
                of.store_failed(error)
                await asyncio.sleep(LISTED)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_OVER):
                    await self._soon.wait()
                    await asyncio.sleep(PAUSE)
            self._soon.clear()

    def look_over_soon(self) -> None:
        """Compare records and pages soon: items may have gone."""
        self._soon.set()

    async def _compare(self) -> None:
        of = self._of
        began = _now()
        of.records.lost()  # a sync may have removed directories
        seen: set[bytes] = set()
        for directory, entries in of.records.recorded():
            gone: list[Entry] = []
            for start in range(0, len(entries), SLICE):
                batch = entries[start : start + SLICE]
                paths = [directory + entry.in_url for entry in batch]
                for path, entry, visit in zip(paths, batch, of.records.visits(paths), strict=True):
                    if is_file(of.site, path):
                        of.make_way(path)
                        gone.append(entry)
                    elif visit is None:
                        if path not in of.queue:
                            of.pages.discard(path)
                            gone.append(entry)
                    elif path in of.pages:
                        continue
                    elif entry.mtime_ns < of.not_before * 10**9:
                        of.records.remove([path])
                        gone.append(entry)
                    else:
                        self._adopt(path, entry, visit.ttl)
                seen.update(paths)
                await asyncio.sleep(0)
            # what was rendered again meanwhile has a new record of the same name
            names = [each.name for each in gone if directory + each.in_url not in of.pages]
            if names or not entries:
                of.records.forget(directory, names)
            await asyncio.sleep(0)
        unseen = [path for path in of.pages if path not in seen]
        for start in range(0, len(unseen), SLICE):
            paths = unseen[start : start + SLICE]
            for path, visit in zip(paths, of.records.visits(paths), strict=True):
                page = of.pages.get(path)
                if page is None or page.recorded >= began:
                    continue
                if visit is None:
                    of.pages.discard(path)
                else:
                    of.records.record(path, page.entry)
                    page.recorded = _now()
            await asyncio.sleep(0)

    def _adopt(self, path: bytes, entry: Entry, ttl: int) -> None:
        """Know a page that an earlier agent rendered."""
        of = self._of
        now = _now()
        fresh = now + max(ttl, 0)
        stale = fresh
        if NO_STALE not in (entry.extended or {}):
            rendered = now - (time.time() - entry.mtime_ns / 10**9)
            stale = max(fresh, rendered + of.php.lifetime + of.php.stale_if_error)
        of.pages.add(path, RenderedPage(entry, fresh, stale, now), now + max(0, ttl) / 4)


def _now() -> float:
    return asyncio.get_running_loop().time()
