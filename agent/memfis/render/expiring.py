"""Pages before they expire: rendered again, prolonged, or left to end."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from memfis.errors import StoreError
from memfis.render.queue import Priority

if TYPE_CHECKING:
    from memfis.render.site import SiteRenderer

AHEAD = 0.75
"""Part of its lifetime after which a page is looked at: is it asked for?"""

HOLD = 60
"""Seconds by which the life of an old page is prolonged at once while PHP is in trouble."""

RETRY = 2.0
"""Seconds before what the store refused to do is tried again."""

AT_ONCE = 500
"""Pages that are looked at before other things may happen."""


class Expiring:
    """Looks at the pages of a renderer when their time comes."""

    def __init__(self, renderer: "SiteRenderer") -> None:
        """Look at those of `renderer`."""
        self._of = renderer
        self._due = asyncio.Event()

    def soon(self) -> None:
        """Look at once: something is to be looked at sooner than was known."""
        self._due.set()

    async def look(self) -> None:
        """Look at each page before it expires: it is rendered again, prolonged, or left to end."""
        of = self._of
        while True:
            self._due.clear()
            await asyncio.sleep(RETRY if of.is_down() else 0.01)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, max(0.0, of.pages.next_due() - now()))):
                    await self._due.wait()
            paths = [] if of.is_down() else of.pages.take_due(now(), AT_ONCE)
            if not paths:
                continue
            try:
                visits = of.records.visits(paths)
                for path, visit in zip(paths, visits, strict=True):
                    if visit is None or visit.ttl < 0:
                        of.pages.discard(path)  # expired, evicted, or a file's by now
                    else:
                        self._decide(path, visit.ttl, asked=visit.asked)
            except StoreError as error:
                of.store_failed(error)
                for path in paths:
                    if path in of.pages:
                        of.pages.schedule(path, now() + RETRY)
            of.wake()

    def _decide(self, path: bytes, ttl: int, *, asked: bool) -> None:
        of = self._of
        page = of.pages.get(path)
        if page is None:
            return
        moment = now()
        if asked and not page.asked:
            page.asked = True
            of.figures.found_asked_for += 1
        troubled = of.trouble.is_there or page.failing
        if asked or path in of.always:
            if page.retry <= moment:
                of.queue.add(path, Priority.REFRESH)
        elif page.fresh <= moment and not troubled:
            of.pages.discard(path)
            of.records.remove([path])  # it was prolonged, and nobody asks for it
            return
        if troubled and ttl <= HOLD // 2:
            longer = min(HOLD, int(page.stale - moment))
            if longer > ttl:
                of.records.extend([path], longer)
                ttl = longer
        soon = moment + max(1.0, ttl / 2)
        of.pages.schedule(path, min(soon, page.retry + 0.01) if page.retry > moment else soon)


def look_after(lifetime: int) -> float:
    """Return after how many seconds a page of that lifetime is looked at.

    The store counts whole seconds: an item may end nearly two before we would think so.
    """
    return max(lifetime / 2, min(lifetime * AHEAD, lifetime - 2))


def now() -> float:
    """Return the event loop's time, in seconds."""
    return asyncio.get_running_loop().time()
