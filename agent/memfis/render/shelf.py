"""The shelf: the rendered pages of one site, what is to be rendered, and what could not be stored.

Who finds work, renders, reconciles or purges does it with the shelf, and needs none of the others.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol

from memfis.errors import StoreError
from memfis.layout.identity import decoded, page_of
from memfis.layout.pages import Page
from memfis.layout.paths import shown_url
from memfis.nginx.microcache import Microcache
from memfis.render.answer import Answer
from memfis.render.figures import Figures
from memfis.render.pages import RenderedPage, RenderedPages
from memfis.render.paths import NOT_CANONICAL, as_target, is_file
from memfis.render.patterns import Pattern
from memfis.render.queue import Priority, Queue
from memfis.render.records import Records
from memfis.render.rules import Freshness, Refusal
from memfis.settings.values import PhpSettings, Site
from memfis.store import Store

AHEAD = 0.75
"""Part of its lifetime after which a page is checked: is it asked for?"""

HOLD = 60
"""Seconds by which the life of an old page is prolonged at once while PHP is in trouble."""

RETRY = 2.0
"""Seconds before what the store refused to do is tried again."""

REMEMBERED = 10_000
"""Pages that could not be stored, and are not rendered again at once when somebody asks."""

RECORDED = 3600.0
"""Seconds that a record may say when its page was last rendered without being written anew."""

log = logging.getLogger("memfis")


class StoreHealth(Protocol):
    """How the store is, as its keeper knows."""

    @property
    def is_down(self) -> bool:
        """Whether it does not answer."""

    def suspect(self) -> None:
        """Note that it could not be asked."""


class Shelf:
    """The rendered pages of one site. Times are of the event loop's clock, in seconds."""

    def __init__(
        self,
        site: Site,
        php: PhpSettings,
        store: Store,
        health: StoreHealth,
        rewrite_files: Callable[[bytes], None],
    ) -> None:
        """Begin without pages: `memfis.render.reconcile` finds those that are in `store`.

        `rewrite_files` is called with a directory (URL path) where the page of a file may have to
        be written again.
        """
        self.figures = Figures()
        self.pages = RenderedPages()
        self.queue = Queue()
        self.records = Records(site, store)
        self.listed = self._listed(php.render)
        """The pages of the list, which are always to be in memory."""
        self.named: Mapping[bytes, str] = {}
        """Those that the sitemaps name now, which are kept too, with the time of their last change
        as it is written there."""
        self._in_vain: set[bytes] = set()
        """Those of them that could not be stored since the sitemaps were read."""
        self.is_known = asyncio.Event()
        """Set when the pages are known that an earlier agent left in the store."""
        self.valid_from = 0.0
        """Pages rendered before (seconds since the epoch) were made with other code."""
        self._site, self._php = site, php
        self._health = health
        self._rewrite_files = rewrite_files
        self._microcache = Microcache(php.microcache, site.name)
        self._refused: dict[bytes, float] = {}
        """Until when hints of a page are ignored, as it could not be stored."""

    def _listed(self, texts: Iterable[str]) -> frozenset[bytes]:
        """Return where the pages of the list are kept; what has no page is counted."""
        listed = set()
        for text in texts:
            target = as_target(text)
            path = page_of(target)
            if path is None:
                shown = target.decode("ascii")
                self.figures.refuse(shown, Refusal(NOT_CANONICAL, "in 'render'"))
            else:
                listed.add(path)
        return frozenset(listed)

    # -- the store -----------------------------------------------------------------------------

    @property
    def store_is_down(self) -> bool:
        """Whether the store does not answer."""
        return self._health.is_down

    def store_failed(self, error: StoreError) -> None:
        """Note that the store could not be asked; its keeper says so once."""
        self.records.lost()
        self._health.suspect()
        log.debug("%s: rendering: %s", self._site.name, error)

    # -- one page ------------------------------------------------------------------------------

    def is_fresh(self, path: bytes) -> bool:
        """Whether the page is in the store, and not to be rendered yet; raises StoreError."""
        page = self.pages.get(path)
        if page is None:
            return False
        if self.records.visits([path])[0] is None:
            self.pages.discard(path)  # evicted, or removed with its records by a sync
            return False
        return page.fresh > now() and not page.again

    def is_kept(self, path: bytes) -> bool:
        """Whether the page is to be in memory although nobody may ask for it."""
        return path in self.listed or path in self.named

    def name(self, pages: Mapping[bytes, str]) -> None:
        """Take `pages` for those that the sitemaps name now; see `named`."""
        self.named = pages
        self._in_vain.clear()

    def want(self, path: bytes) -> bool:
        """Have a page that is to be kept rendered, which is not in memory; False: it cannot be."""
        if self.is_refused(path) or is_file(self._site, path):
            return False
        if path in self.listed:
            return self.queue.add(path, Priority.LISTED)
        if path not in self.named or path in self._in_vain:
            return False
        if len(self.pages) + len(self.queue) >= self._php.max_pages:
            return False
        return self.queue.add(path, Priority.SITEMAP)

    def renew(self, path: bytes, priority: Priority) -> None:
        """Have the page rendered again, fresh or not."""
        page = self.pages.get(path)
        if page is not None:
            page.again = True
            self.queue.add(path, priority)

    def put(
        self,
        path: bytes,
        page: Page,
        size: int,
        freshness: Freshness,
        answer: Answer | None = None,
    ) -> None:
        """Write the page at `path`, of `size` bytes of content, its record, and its `answer`.

        Raises StoreRefusedError where there is no room for it, StoreError.
        """
        moment = now()
        old = self.pages.get(path)
        new = self._rendered(path, page.flags, size, freshness, moment)
        if old is not None and _is_same(old, new) and old.recorded + RECORDED > moment:
            new.entry, new.recorded = old.entry, old.recorded
        else:
            self.records.record(path, new.entry)
        ttl = freshness.lifetime + (freshness.revalidate or 0)
        self.records.write(path, page, ttl, answer)
        self._refused.pop(path, None)
        self.pages.add(path, new, moment + check_after(freshness.lifetime))
        self.figures.renders += 1
        if is_file(self._site, path):
            self.make_way(path)

    def _rendered(
        self, path: bytes, flags: int, size: int, freshness: Freshness, moment: float
    ) -> RenderedPage:
        stale = self._php.stale_if_error if freshness.stale is None else freshness.stale
        revalidate = freshness.revalidate or 0
        entry = self.records.entry(
            path, flags, size, now=time.time(), stale=stale > 0, revalidate=revalidate
        )
        fresh = moment + freshness.lifetime
        return RenderedPage(entry, fresh, fresh + stale, moment, moment, revalidate)

    def make_way(self, path: bytes) -> None:
        """Take the page away; if there is a file now, its own page is written at once, if any.

        Raises StoreError.
        """
        self.pages.discard(path)
        self.records.remove([path])
        if is_file(self._site, path):
            plain = decoded(path)
            self._rewrite_files(plain[: plain.rfind(b"/") + 1])

    def make_way_for_files(self, names: Iterable[bytes], trees: tuple[bytes, ...]) -> None:
        """Take the pages away whose URL a file has now, which may stay out of memory itself.

        `names`: what changed, below the web root, without a slash in front; `trees`: URL paths of
        new directories.
        """
        paths = [path for path in self.pages if decoded(path).startswith(trees)] if trees else []
        for name in names:
            directory, _, last = (b"/" + name).rpartition(b"/")
            paths += self.pages.of(b"/" + name)
            if os.fsdecode(last) in self._site.index:
                paths += self.pages.of(directory + b"/")
        try:
            for path in paths:
                if path in self.pages and is_file(self._site, path):
                    self.make_way(path)
        except StoreError as error:
            self.store_failed(error)

    # -- what could not be stored ----------------------------------------------------------------

    def refuse(self, path: bytes, refusal: Refusal) -> None:
        """Count why the page is not stored; what was stored before is not right any more.

        Raises StoreError.
        """
        self.figures.refuse(shown_url(path), refusal)
        self.postpone(path, self._php.lifetime)
        if path in self.named:
            self._in_vain.add(path)
        if path in self.pages:
            self.make_way(path)

    def postpone(self, path: bytes, seconds: float) -> None:
        """Ignore hints of the page for `seconds`."""
        self._refused.pop(path, None)
        self._refused[path] = now() + seconds
        if len(self._refused) > REMEMBERED:
            del self._refused[next(iter(self._refused))]

    def is_refused(self, path: bytes) -> bool:
        """Whether hints of the page are ignored, as it could not be stored lately."""
        return self._refused.get(path, 0.0) > now()

    # -- purges ----------------------------------------------------------------------------------

    def purge(self, pattern: Pattern) -> Iterator[list[bytes]]:
        """Remove the pages that `pattern` fits; what is being rendered of them is not stored.

        It begins at once, and is done when all was iterated over: yields the paths of those that
        went, where other things may be done in between. What is rendered from now on stays. nginx's
        microcache is purged too, and pages that are to be kept are queued again. Raises StoreError.
        """
        self.queue.purge(pattern)
        return self._purge(pattern, now())

    def _purge(self, pattern: Pattern, began: float) -> Iterator[list[bytes]]:
        for paths in self.pages.fitting(pattern):
            yield self._take_off(paths, began)
        for _ in self._microcache.purge(pattern.exact):
            yield []
        for paths in pattern.among(self._refused):
            for path in paths:
                self._refused.pop(path, None)
            yield []
        for paths in pattern.among(self._in_vain):
            self._in_vain.difference_update(paths)
            yield []
        for kept in (self.listed, self.named):
            for paths in pattern.among(kept):
                for path in paths:
                    if path not in self.pages:
                        self.want(path)
                yield []

    def _take_off(self, paths: Collection[bytes], began: float) -> list[bytes]:
        """Remove those of `paths` that were rendered before `began`; return what was there."""
        newer = {path for path in paths if self._is_newer(path, began)}
        old = [path for path in paths if path not in newer]
        known = [path for path in old if path in self.pages]
        for path in known:
            self.pages.discard(path)
        self.records.remove(old)
        self.figures.purged += len(known)
        return known

    def _is_newer(self, path: bytes, began: float) -> bool:
        page = self.pages.get(path)
        return page is not None and page.rendered > began


def _is_same(old: RenderedPage, new: RenderedPage) -> bool:
    """Whether the records of both say the same but for the time."""
    return (old.entry.flags, old.entry.size, old.entry.extended) == (
        new.entry.flags,
        new.entry.size,
        new.entry.extended,
    )


def check_after(lifetime: int) -> float:
    """Return after how many seconds a page of that lifetime (seconds) is checked.

    The store counts whole seconds: an item may end nearly two before we would think so.
    """
    return max(lifetime / 3, min(lifetime * AHEAD, lifetime - 2))


def now() -> float:
    """Return the event loop's time, in seconds."""
    return asyncio.get_running_loop().time()
