"""What is rendered without a visitor: the pages of the list, and those that sitemaps name."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from memfis.errors import StoreError
from memfis.layout.keys import normal_path
from memfis.layout.paths import shown_url
from memfis.render.fetch import OriginAnswer, OriginError
from memfis.render.paths import is_file, kept_at
from memfis.render.queue import Priority
from memfis.render.shelf import Shelf
from memfis.render.sitemap import LIMIT, Sitemap, SitemapError, parse
from memfis.settings.values import PhpSettings, Site

LISTED = 2.0
"""Seconds between two checks whether the pages of the list are there."""

SITEMAPS = 3600.0
"""Seconds between two readings of the sitemaps."""

AGAIN = 60.0
"""Seconds before a sitemap that could not be read is tried again."""

FILES = 1000
"""Sitemaps that are read at most."""

Fetch = Callable[[bytes, int], Awaitable[OriginAnswer]]
"""Asks the origin for a URL path, for so many bytes at most; raises OriginError."""

log = logging.getLogger("memfis")


class Preload:
    """Queues pages before anybody asks for them."""

    def __init__(self, site: Site, php: PhpSettings, shelf: Shelf, fetch: Fetch) -> None:
        """Queue those of `site` in `shelf`; sitemaps are read with `fetch`."""
        self._site, self._php = site, php
        self._shelf = shelf
        self._fetch = fetch
        self._changed: dict[bytes, str] = {}
        """When each page of the sitemaps last changed, as they say."""
        self._told: set[str] = set()
        """What was said of sitemaps that cannot be read."""
        self._left_out: set[bytes] = set()
        """Sitemaps of which it was said that they name more than is rendered."""

    async def keep_listed(self) -> None:
        """Queue pages of the list that are not in the store, until cancelled."""
        shelf = self._shelf
        while True:
            waiting = [path for path in shelf.listed if path not in shelf.queue]
            if shelf.store_is_down:
                waiting = []
            try:
                visits = shelf.records.visits(waiting)
            except StoreError as error:
                shelf.store_failed(error)
            else:
                for path, visit in zip(waiting, visits, strict=True):
                    is_there = path in shelf.pages and visit is not None
                    if (
                        not is_there
                        and not shelf.is_refused(path)
                        and not is_file(self._site, path)
                    ):
                        shelf.pages.discard(path)
                        shelf.queue.add(path, Priority.LISTED)
            await asyncio.sleep(LISTED)

    async def read_sitemaps(self) -> None:
        """Queue pages that the sitemaps name, and have not named so before, until cancelled."""
        shelf = self._shelf
        while self._php.sitemaps:
            pages, whole = await self._all_sitemaps()
            for path, changed in pages.items():
                before = self._changed.get(path)
                if before is None:
                    shelf.queue.add(path, Priority.SITEMAP)
                elif before != changed and path in shelf.pages:
                    shelf.queue.add(path, Priority.REFRESH)
            self._changed |= pages
            await asyncio.sleep(SITEMAPS if whole else AGAIN)

    async def _all_sitemaps(self) -> tuple[dict[bytes, str], bool]:
        """Return the pages that the sitemaps name, and whether all could be read."""
        pages: dict[bytes, str] = {}
        pending = [normal_path(path) for path in self._php.sitemaps]
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
                    log.warning("%s: %s", self._site.name, message)
                continue
            if found.left_out and path not in self._left_out:
                self._left_out.add(path)
                log.info(
                    "%s: sitemap %s: %d of its URLs are of other hosts or have a query, and are"
                    " not rendered",
                    self._site.name,
                    shown_url(path),
                    found.left_out,
                )
            pages |= {kept_at(self._site, page): changed for page, changed in found.pages.items()}
            more = [each for each in found.sitemaps if each not in seen][: FILES - len(seen)]
            seen.update(more)
            pending += more
        return pages, whole

    async def _sitemap(self, path: bytes) -> Sitemap:
        answer = await self._fetch(path, LIMIT)
        if answer.status != 200:
            raise SitemapError(f"status {answer.status}")
        if not answer.whole:
            raise SitemapError(f"is larger than {LIMIT} bytes")
        host, most = self._php.host, self._php.max_pages
        return await asyncio.to_thread(parse, answer.body, host, most)
