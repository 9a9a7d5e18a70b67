"""Pages before they expire: rendered again, prolonged, or left to end."""

import asyncio
import contextlib

from memfis.errors import StoreError
from memfis.render.queue import Priority
from memfis.render.shelf import HOLD, RETRY, Shelf, now
from memfis.render.trouble import Trouble

AT_ONCE = 500
"""Pages that are checked before other things may happen."""


class Expiring:
    """Checks the pages of a shelf when their time comes."""

    def __init__(self, shelf: Shelf, trouble: Trouble) -> None:
        """Check those of `shelf`; in `trouble` old pages are prolonged."""
        self._shelf = shelf
        self._trouble = trouble

    async def run(self) -> None:
        """Check each page before it expires, until cancelled."""
        shelf, pages = self._shelf, self._shelf.pages
        while True:
            pages.sooner.clear()
            await asyncio.sleep(RETRY if shelf.store_is_down else 0.01)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, max(0.0, pages.next_due() - now()))):
                    await pages.sooner.wait()
            paths = [] if shelf.store_is_down else pages.take_due(now(), AT_ONCE)
            if not paths:
                continue
            try:
                visits = shelf.records.visits(paths)
                for path, visit in zip(paths, visits, strict=True):
                    if visit is None or visit.ttl < 0:
                        pages.discard(path)  # expired, evicted, or a file's by now
                        shelf.want(path)
                    else:
                        self._decide(path, visit.ttl, asked=visit.asked)
            except StoreError as error:
                shelf.store_failed(error)
                for path in paths:
                    if path in pages:
                        pages.schedule(path, now() + RETRY)

    def _decide(self, path: bytes, ttl: int, *, asked: bool) -> None:
        """Render the page again, prolong it, or leave it to end; `ttl` seconds are left to it."""
        shelf = self._shelf
        page = shelf.pages.get(path)
        if page is None:
            return
        moment = now()
        if asked and not page.asked:
            page.asked = True
            shelf.figures.found_asked_for += 1
        troubled = self._trouble.is_there or page.failing
        if asked or shelf.is_kept(path):
            if page.retry <= moment:
                shelf.renew(path, Priority.REFRESH if asked else Priority.KEPT)
        elif page.fresh + page.revalidate <= moment and not troubled:
            shelf.pages.discard(path)
            shelf.records.remove([path])  # it was prolonged, and nobody asks for it
            return
        if troubled and ttl <= HOLD // 2:
            longer = min(HOLD, int(page.stale - moment))
            if longer > ttl:
                shelf.records.extend([path], longer)
                ttl = longer
        left = min(ttl, page.fresh - moment) if page.fresh > moment else ttl
        soon = moment + max(1.0, left / 2)
        due = min(soon, page.retry + 0.01) if page.retry > moment else soon
        shelf.pages.schedule(path, due)
