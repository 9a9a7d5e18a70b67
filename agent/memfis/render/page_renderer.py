"""One page rendered: asked of the origin, judged, and put on the shelf or refused."""

import asyncio
import logging
import time

from memfis.errors import StoreError, StoreRefusedError
from memfis.layout.pages import DENSEST, make_page
from memfis.layout.paths import shown_url
from memfis.nginx.media_types import MediaTypes
from memfis.render.answer import OTHERS, make_answer
from memfis.render.fetch import Origin, OriginAnswer, OriginError
from memfis.render.paths import is_file, obstacle
from memfis.render.queue import Job, Priority
from memfis.render.reproducible import check
from memfis.render.rules import Fields, Freshness, Refusal, judge, values
from memfis.render.shelf import HOLD, Shelf, now
from memfis.render.trouble import Trouble
from memfis.render.whole import Wholeness
from memfis.settings.values import PhpSettings, Site

FAILED = 10.0
"""Seconds in which hints of a page are ignored that could not be rendered."""

OWN = 30.0
"""Seconds that the headers nginx adds to every answer are taken to stay the same."""

BODY = 16 * 1024 * 1024
"""Bytes of an answer that are read at most."""

log = logging.getLogger("memfis")


class PageRenderer:
    """Renders pages of `site`. Times are of the event loop's clock, in seconds."""

    def __init__(
        self,
        site: Site,
        php: PhpSettings,
        shelf: Shelf,
        origin: Origin,
        types: MediaTypes,
        trouble: Trouble,
    ) -> None:
        """Ask `origin`, of whose `trouble` note is taken; what nginx sends is said by `types`."""
        self._site, self._php = site, php
        self._shelf = shelf
        self._origin = origin
        self._types = types
        self._trouble = trouble
        self._wholeness = Wholeness(php.page_end)
        self._own: tuple[float, Fields] = (0.0, [])
        self._own_lock = asyncio.Lock()

    async def render(self, job: Job) -> None:
        """Do `job`; what goes wrong is counted and told."""
        try:
            await self._render(job)
        except StoreRefusedError as error:
            self._shelf.refuse(job.path, Refusal("refused by the store", str(error)))
        except StoreError as error:
            self._shelf.store_failed(error)

    async def _render(self, job: Job) -> None:
        path = job.path
        why = obstacle(self._site, path)
        if why is not None:
            self._shelf.refuse(path, Refusal(why))
            return
        if job.priority is not Priority.REFRESH and self._shelf.is_fresh(path):
            return
        old = self._shelf.pages.get(path)
        if old is not None and old.failing and old.retry > now():
            return  # nginx has it still: whoever hints at it is not a visitor
        try:
            own = await self._own_fields()
            answer = await self._origin.fetch(path, min(BODY, self._site.max_page * DENSEST))
        except OriginError as error:
            self._failed(path, str(error), surely=True)
            return
        if answer.status >= 500 or answer.status == 429:
            surely = answer.status in (429, 502, 503, 504)
            self._failed(path, f"status {answer.status}", surely=surely)
            return
        if self._trouble.answered():
            log.info("%s: the origin answers again; pages are rendered", self._site.name)
            self._shelf.pages.schedule_all(now())
        if job.purged:
            return
        self._take(path, answer, own)

    async def _own_fields(self) -> Fields:
        async with self._own_lock:
            if not self._own[0] or now() - self._own[0] > OWN:
                self._own = now(), await self._origin.own_fields()
            return self._own[1]

    def _take(self, path: bytes, answer: OriginAnswer, own: Fields) -> None:
        """Store what the origin answered, or say why not."""
        site, shelf = self._site, self._shelf
        others = OTHERS if site.has_heads else ()
        verdict = judge(answer.status, answer.fields, self._php.lifetime, time.time(), others)
        if isinstance(verdict, Refusal):
            shelf.refuse(path, verdict)
            return
        refusal = check(path, answer.fields, self._types, own)
        if refusal is not None and not site.has_heads:
            shelf.refuse(path, refusal)
            return
        media_type = ", ".join(values(answer.fields, "content-type"))
        if answer.whole:
            lack = self._wholeness.check(media_type, answer.body)
            if lack is not None:
                self._unfinished(path, lack)
                return
        name = _file_name(path, media_type)
        page = make_page(name, answer.body, site.compression) if answer.whole else None
        if page is None or len(page.value) > site.max_page:
            shelf.refuse(path, Refusal(f"larger than {site.max_page} bytes as stored"))
            return
        if path not in shelf.pages and len(shelf.pages) >= self._php.max_pages:
            shelf.refuse(path, Refusal(f"more than {self._php.max_pages} pages"))
            return
        if is_file(site, path):  # since it was asked for
            shelf.refuse(path, Refusal("a file on disk"))
            return
        verdict = self._bounded(verdict)
        beside = None
        if site.has_heads:
            made = make_answer(
                answer.status,
                answer.fields,
                own,
                page,
                len(answer.body),
                # memcached_pass cannot tell what is fresh.
                is_page=refusal is None and answer.status == 200 and not verdict.revalidate,
                lifetime=verdict.lifetime if verdict.revalidate else None,
            )
            if isinstance(made, Refusal):
                shelf.refuse(path, made)
                return
            beside = made
        shelf.put(path, page, len(answer.body), verdict, beside)

    def _bounded(self, freshness: Freshness) -> Freshness:
        """Return `freshness` with how long the page stays while it is rendered again.

        Only the reader in Lua can tell what is stale, and it has to tell us.
        """
        if not (self._site.has_heads and self._php.hints):
            return freshness._replace(revalidate=0)
        if freshness.revalidate is None:
            return freshness._replace(revalidate=self._php.stale_while_revalidate)
        return freshness

    def _failed(self, path: bytes, why: str, *, surely: bool) -> None:
        """Note that the backend failed at `path`: an old page stays for a while."""
        shelf = self._shelf
        shelf.figures.failures += 1
        if self._trouble.failed(surely=surely):
            shelf.pages.schedule_expiring(now() + HOLD, now())
            log.error(
                "%s: the origin is in trouble: %s: %s; old pages stay up to %d s",
                self._site.name,
                shown_url(path),
                why,
                self._php.stale_if_error,
            )
        elif not self._trouble.is_there:
            self._warn(path, why)
        self._keep_old(path)

    def _unfinished(self, path: bytes, lack: Refusal) -> None:
        """Note that the application failed halfway at `path`, though it answered.

        It is no sign of trouble for the others: some applications end pages so for good.
        """
        shelf = self._shelf
        shelf.figures.failures += 1
        shelf.figures.refuse(shown_url(path), lack)
        page = shelf.pages.get(path)
        if page is not None and not page.failing:
            self._warn(path, str(lack))
        self._keep_old(path)

    def _warn(self, path: bytes, why: str) -> None:
        log.warning("%s: %s could not be rendered: %s", self._site.name, shown_url(path), why)

    def _keep_old(self, path: bytes) -> None:
        """Leave the page at `path` as it is for a while, and try it again, less and less often."""
        shelf = self._shelf
        page = shelf.pages.get(path)
        if page is not None:
            page.failing = True
            page.pause = min(HOLD, 2 * page.pause or 1.0)
            page.retry = now() + page.pause
            shelf.pages.schedule(path, now())
        else:
            shelf.postpone(path, FAILED)


def _file_name(path: bytes, media_type: str) -> bytes:
    """Return a file name that says how well the page compresses."""
    is_html = media_type.partition(";")[0].strip().lower() == "text/html"
    return b"page.html" if is_html else path.rpartition(b"/")[2]
