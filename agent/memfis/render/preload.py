"""What is kept in memory without a visitor: the pages of the list, and those that sitemaps name."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

import msgspec

from memfis.errors import StoreError
from memfis.layout.paths import shown, shown_url
from memfis.render.fetch import OriginAnswer, OriginError
from memfis.render.paths import as_target, obstacle_by_name
from memfis.render.queue import Priority
from memfis.render.records import SLICE
from memfis.render.shelf import Shelf
from memfis.render.sitemap import BEYOND_FILES, FILES, LIMIT, Sitemap, SitemapError, beyond, parse
from memfis.settings.values import PhpSettings, Site

LISTED = 2.0
"""Seconds between two checks whether the pages of the list are there, or a part of the others."""

SITEMAPS = 3600.0
"""Seconds between two readings of the sitemaps."""

AGAIN = 60.0
"""Seconds before a sitemap that could not be read is tried again."""

Fetch = Callable[[bytes, int], Awaitable[OriginAnswer]]
"""Asks the origin for a request target, for so many bytes at most; raises OriginError."""

log = logging.getLogger("memfis")


class _Reading(msgspec.Struct):
    """What one reading of all sitemaps brought."""

    pages: dict[bytes, str] = msgspec.field(default_factory=dict)
    whole: bool = True
    """Whether all could be read."""


class Preload:
    """Queues pages before anybody asks for them."""

    def __init__(self, site: Site, php: PhpSettings, shelf: Shelf, fetch: Fetch) -> None:
        """Queue those of `site` in `shelf`; sitemaps are read with `fetch`."""
        self._site, self._php = site, php
        self._shelf = shelf
        self._fetch = fetch
        self._failed: dict[bytes, str] = {}
        """What was said of sitemaps that could not be read, by target."""
        self._left_out: dict[bytes, dict[str, int]] = {}
        """How many URLs of each sitemap were said to be left out, by reason."""
        self._unread = ""
        """What was said of sitemaps that were not read, as there are pages enough."""
        self._named: Sequence[bytes] = ()
        """The pages that sitemaps name, in their order."""
        self._reread = asyncio.Event()

    async def keep_listed(self) -> None:
        """Queue pages of the list that are not in the store, until cancelled."""
        while True:
            self._queue_missing(self._shelf.listed)
            await asyncio.sleep(LISTED)

    async def keep_named(self) -> None:
        """Queue pages of sitemaps that are not in the store, until cancelled.

        A part is looked at every LISTED seconds, and the next one at once where many are missing.
        """
        await self._shelf.is_known.wait()  # by what an earlier agent left
        position = 0
        while True:
            if position >= len(self._named):
                position = 0
            batch = self._named[position : position + SLICE]
            position += SLICE
            if self._queue_missing(batch) > len(batch) // 2:
                await asyncio.sleep(0)
                if position < len(self._named):
                    continue
            self._reread.clear()
            try:
                async with asyncio.timeout(LISTED):
                    await self._reread.wait()
            except TimeoutError:
                continue
            position = 0

    def _queue_missing(self, paths: Collection[bytes]) -> int:
        """Queue those of `paths` that are not in the store; return how many."""
        shelf = self._shelf
        if shelf.store_is_down:
            return 0
        here = [path for path in paths if path in shelf.pages and path not in shelf.queue]
        try:
            for path, visit in zip(here, shelf.records.visits(here), strict=True):
                if visit is None:
                    shelf.pages.discard(path)
        except StoreError as error:
            shelf.store_failed(error)
            return 0
        missing = [path for path in paths if path not in shelf.pages and path not in shelf.queue]
        return sum(map(shelf.want, missing))

    # -- sitemaps ------------------------------------------------------------------------------

    async def read_sitemaps(self) -> None:
        """Say which pages the sitemaps name, from time to time, until cancelled."""
        shelf = self._shelf
        while self._php.sitemaps:
            reading = await self._all_sitemaps()
            before = shelf.named
            if not reading.whole:  # who knows what the others would name
                room = self._php.max_pages - len(reading.pages)
                old = [path for path in before if path not in reading.pages]
                reading.pages |= {path: before[path] for path in old[: max(0, room)]}
            shelf.name(reading.pages)
            self._named = list(reading.pages)
            self._reread.set()
            await self._renew_changed(before)
            await asyncio.sleep(SITEMAPS if reading.whole else AGAIN)

    async def _renew_changed(self, before: Collection[bytes]) -> None:
        """Have pages rendered again whose time of change is another than it was `before`."""
        shelf = self._shelf
        assert isinstance(before, dict)
        for number, (path, changed) in enumerate(shelf.named.items(), 1):
            if before.get(path, changed) != changed:
                shelf.renew(path, Priority.KEPT)
            if not number % SLICE:
                await asyncio.sleep(0)

    async def _all_sitemaps(self) -> _Reading:
        """Return the pages that the sitemaps name."""
        reading = _Reading()
        pending = [as_target(path) for path in self._php.sitemaps]
        seen = set(pending)
        while pending:
            target = pending.pop(0)
            try:
                found = await self._sitemap(target)
            except (OriginError, SitemapError) as error:
                reading.whole = False
                self._tell_failure(target, str(error))
                continue
            self._failed.pop(target, None)
            self._add(reading, found)
            for each in found.sitemaps:
                if each in seen:
                    continue
                if len(seen) < FILES:
                    seen.add(each)
                    pending.append(each)
                else:
                    found.leave_out(BEYOND_FILES, each.decode("ascii"))
            self._tell_left_out(target, found)
            if pending and len(reading.pages) >= self._php.max_pages:
                self._tell_unread(pending)
                break
        self._forget_all_but(seen)
        return reading

    async def _sitemap(self, target: bytes) -> Sitemap:
        answer = await self._fetch(target, LIMIT)
        if answer.status != 200:
            raise SitemapError(f"status {answer.status}")
        if not answer.whole:
            raise SitemapError(f"is larger than {LIMIT} bytes")
        obstacle = partial(obstacle_by_name, self._site)
        host, most = self._php.host, self._php.max_pages
        return await asyncio.to_thread(parse, answer.body, host, most, obstacle)

    def _add(self, reading: _Reading, found: Sitemap) -> None:
        """Add the pages of one sitemap, as many as there may be."""
        most = self._php.max_pages
        for path, changed in found.pages.items():
            if path in reading.pages or len(reading.pages) < most:
                reading.pages[path] = changed
            else:
                found.leave_out(beyond(most), shown_url(path))

    # -- what is told --------------------------------------------------------------------------

    def _tell_failure(self, target: bytes, why: str) -> None:
        if self._failed.get(target) != why:
            self._failed[target] = why
            log.warning("%s: sitemap %s: %s", self._site.name, shown(target), why)

    def _tell_left_out(self, target: bytes, found: Sitemap) -> None:
        """Say in one line what of a sitemap is not kept, and count it, unless that was done."""
        told = self._left_out.get(target, {})
        counts = {reason: those.number for reason, those in found.left_out.items()}
        self._left_out[target] = counts
        for reason, those in found.left_out.items():
            more = those.number - told.get(reason, 0)
            if more > 0:
                where = f"in the sitemap {shown(target)}"
                examples = dict.fromkeys(those.examples, where)
                self._shelf.figures.leave_out(reason, more, examples)
        if counts and counts != told:
            parts = [
                f"{those.number} {reason}: {', '.join(those.examples)}"
                + (" …" if those.number > len(those.examples) else "")
                for reason, those in found.left_out.items()
            ]
            log.info(
                "%s: sitemap %s: not rendered: %s",
                self._site.name,
                shown(target),
                "; ".join(parts),
            )

    def _forget_all_but(self, targets: set[bytes]) -> None:
        """Remember what was said of the sitemaps `targets` only."""
        for told in (self._failed, self._left_out):
            for target in told.keys() - targets:
                del told[target]

    def _tell_unread(self, pending: Sequence[bytes]) -> None:
        """Say that there are more sitemaps than were read, as there are pages enough."""
        line = (
            f"more sitemaps were not read, as {self._php.max_pages} pages (max_pages) are named:"
            f" {len(pending)}, as {shown(pending[0])}"
        )
        if line != self._unread:
            self._unread = line
            log.info("%s: %s", self._site.name, line)
