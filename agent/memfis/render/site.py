"""One site whose pages PHP makes: what is rendered, when, and what becomes of it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from memfis.errors import StoreError, StoreRefusedError, UsageError
from memfis.layout.keys import normal_path
from memfis.layout.pages import DENSEST, make_page
from memfis.layout.paths import shown_url
from memfis.nginx.hints import Bucket
from memfis.nginx.media_types import DEFAULT_TYPE, MediaTypes
from memfis.nginx.microcache import Microcache, cache_key
from memfis.render.expiring import HOLD, RETRY, Expiring, look_after, now
from memfis.render.fetch import Answer, Origin, OriginError
from memfis.render.figures import Figures
from memfis.render.pages import RenderedPage, RenderedPages
from memfis.render.paths import is_file, kept_at, obstacle
from memfis.render.patterns import EVERYTHING, Pattern
from memfis.render.preload import Ahead
from memfis.render.queue import Job, Priority, Queue
from memfis.render.records import Records
from memfis.render.reproducible import check
from memfis.render.rules import Fields, Freshness, Refusal, judge
from memfis.render.trouble import Trouble
from memfis.settings.load import PhpSettings, Site
from memfis.store import Store

FAILED = 10.0
"""Seconds in which hints of a page are not heard that could not be rendered."""

OWN = 30.0
"""Seconds that the headers nginx adds to every answer are taken to stay the same."""

REMEMBERED = 10_000
"""Pages that could not be stored, and are not rendered again at once when somebody asks."""

RECORDED = 3600.0
"""Seconds that a record may say when its page was last rendered without being written anew."""

BODY = 16 * 1024 * 1024
"""Bytes of an answer that are read at most."""

log = logging.getLogger("memfis")


class SiteRenderer:
    """Keeps rendered pages of `site` in the store. Times are of the event loop's clock."""

    def __init__(
        self,
        site: Site,
        php: PhpSettings,
        store: Store,
        mime_types: str,
        is_down: Callable[[], bool],
        suspect: Callable[[], None],
        look_at: Callable[[bytes], None],
    ) -> None:
        """Prepare it.

        `mime_types`: the path of nginx's list. `is_down`: whether the store is away.
        `suspect`: called when it could not be asked. `look_at`: called with a directory (URL path)
        where a file may need its page written again.
        """
        self.figures = Figures()
        self.pages = RenderedPages()
        self.queue = Queue()
        self.trouble = Trouble(now)
        self.records = Records(site, store)
        self.site, self.php = site, php
        self.not_before = 0.0
        """Pages rendered before (seconds since the epoch) were made with other code."""
        self.always = {kept_at(site, normal_path(path)) for path in php.render}
        self._types = self._read_types(mime_types)
        self.is_down, self._suspect, self._look_at = is_down, suspect, look_at
        self._origin: Origin
        self._microcache = Microcache(php.microcache)
        self._bucket: Bucket | None = None
        self._refused: dict[bytes, float] = {}
        self._own: tuple[float, Fields] = (0.0, [])
        self._own_lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._expiring = Expiring(self)
        self._ahead = Ahead(self)

    # -- its life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Render until cancelled."""
        assert self.site.origin is not None
        self._origin = Origin(self.site.origin, self.php)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ahead.look_over())
                tasks.create_task(self._ahead.keep_listed())
                tasks.create_task(self._ahead.read_sitemaps())
                tasks.create_task(self._expiring.look())
                await self._render_all(tasks)
        finally:
            await self._origin.close()

    def wake(self) -> None:
        """Let what was queued be begun."""
        self._wake.set()

    def store_lost(self) -> None:
        """Look soon what is left in the store: items have gone."""
        self._ahead.look_over_soon()

    def say(self, level: int, message: str) -> None:
        """Log `message` of this site."""
        log.log(level, "%s: %s", self.site.name, message)

    def store_failed(self, error: StoreError) -> None:
        """Note that the store could not be asked; its keeper says so once."""
        self.records.lost()
        self._suspect()
        log.debug("%s: rendering: %s", self.site.name, error)

    async def _render_all(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            pause = RETRY if self.is_down() else self.trouble.pause()
            limit = 1 if self.trouble.is_there else self.php.concurrency
            while not pause and len(self.queue.active) < limit:
                job = self.queue.take()
                if job is None:
                    break
                tasks.create_task(self._do(job))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause or None):
                    await self._wake.wait()

    async def _do(self, job: Job) -> None:
        try:
            await self._render(job)
        except StoreRefusedError as error:
            self._refuse(job.path, Refusal("refused by the store", str(error)))
        except StoreError as error:
            self.store_failed(error)
        finally:
            self.queue.done(job)
            self._wake.set()

    def _read_types(self, path: str) -> MediaTypes:
        try:
            return MediaTypes.read(path, self.site.default_type, self.site.charset)
        except UsageError as error:
            self.say(logging.ERROR, f"{error}; of what has an extension nothing is rendered")
            return MediaTypes({}, self.site.default_type or DEFAULT_TYPE, self.site.charset)

    # -- one page ------------------------------------------------------------------------------

    async def _render(self, job: Job) -> None:
        path = job.path
        why = obstacle(self.site, path)
        if why is not None:
            self._refuse(path, Refusal(why))
            return
        if job.priority is not Priority.REFRESH and self._is_fresh(path):
            return
        try:
            own = await self._own_fields()
            answer = await self._origin.fetch(path, min(BODY, self.site.max_page * DENSEST))
        except OriginError as error:
            self._failed(path, str(error), surely=True)
            return
        if answer.status >= 500 or answer.status == 429:
            surely = answer.status in (429, 502, 503, 504)
            self._failed(path, f"status {answer.status}", surely=surely)
            return
        if self.trouble.answered():
            self.say(logging.INFO, "the origin answers again; pages are rendered")
            self.pages.schedule_all(now())
            self._expiring.soon()
        if job.purged:
            return
        self._take(path, answer, own)

    def _is_fresh(self, path: bytes) -> bool:
        """Whether the page is in the store, and not to be rendered yet."""
        known = self.pages.get(path)
        if known is None:
            return False
        if self.records.visits([path])[0] is None:
            self.pages.discard(path)  # evicted, or removed with its records by a sync
            return False
        return known.fresh > now()

    async def _own_fields(self) -> Fields:
        async with self._own_lock:
            if not self._own[0] or now() - self._own[0] > OWN:
                self._own = now(), await self._origin.own_fields()
            return self._own[1]

    def _take(self, path: bytes, answer: Answer, own: Fields) -> None:
        """Store what the origin answered, or say why not."""
        site = self.site
        verdict = judge(answer.status, answer.fields, self.php.lifetime, time.time())
        if isinstance(verdict, Refusal):
            self._refuse(path, verdict)
            return
        refusal = check(path, answer.fields, self._types, own)
        if refusal is not None:
            self._refuse(path, refusal)
            return
        page = make_page(_file_name(path), answer.body, site.compression) if answer.whole else None
        if page is None or len(page.value) > site.max_page:
            self._refuse(path, Refusal(f"larger than {site.max_page} bytes as stored"))
            return
        old = self.pages.get(path)
        if old is None and len(self.pages) >= self.php.max_pages:
            self._refuse(path, Refusal(f"more than {self.php.max_pages} pages"))
            return
        if is_file(site, path):  # since it was asked for
            self._refuse(path, Refusal("a file on disk"))
            return
        moment = now()
        new = self._known(path, verdict, page.flags, len(answer.body), moment)
        changed = old is None or (old.entry.flags, old.entry.size, old.entry.extended) != (
            new.entry.flags,
            new.entry.size,
            new.entry.extended,
        )
        if old is not None and not changed and old.recorded + RECORDED > moment:
            new.entry, new.recorded = old.entry, old.recorded
        else:
            self.records.record(path, new.entry)
        self.records.write(path, page, verdict.lifetime)
        self._refused.pop(path, None)
        self.pages.add(path, new, moment + look_after(verdict.lifetime))
        self._expiring.soon()
        self.figures.renders += 1
        if is_file(site, path):
            self.make_way(path)

    def _known(
        self, path: bytes, verdict: Freshness, flags: int, size: int, now: float
    ) -> RenderedPage:
        stale = self.php.stale_if_error if verdict.stale is None else verdict.stale
        entry = self.records.entry(path, flags, size, now=time.time(), stale=stale > 0)
        fresh = now + verdict.lifetime
        return RenderedPage(entry, fresh, fresh + stale, now)

    def make_way(self, path: bytes) -> None:
        """Take the page away; if there is a file now, its own page is written at once, if any."""
        self.pages.discard(path)
        self.records.remove([path])
        if is_file(self.site, path):
            self._look_at(path[: path.rfind(b"/") + 1])

    def _refuse(self, path: bytes, refusal: Refusal) -> None:
        """Count why the page is not stored; what was stored before is not right any more."""
        self.figures.refuse(shown_url(path), refusal)
        self._refused.pop(path, None)
        self._refused[path] = now() + self.php.lifetime
        if len(self._refused) > REMEMBERED:
            del self._refused[next(iter(self._refused))]
        if path in self.pages:
            self.make_way(path)

    def _failed(self, path: bytes, why: str, *, surely: bool) -> None:
        """Note that the backend failed at `path`: an old page stays for a while."""
        self.figures.failures += 1
        if self.trouble.failed(surely=surely):
            self.pages.schedule_expiring(now() + HOLD, now())
            self._expiring.soon()
            self.say(
                logging.ERROR,
                f"the origin is in trouble: {shown_url(path)}: {why}; old pages stay up to"
                f" {self.php.stale_if_error} s",
            )
        elif not self.trouble.is_there:
            self.say(logging.WARNING, f"{shown_url(path)} could not be rendered: {why}")
        known = self.pages.get(path)
        if known is not None:
            known.failing = True
            known.pause = min(HOLD, 2 * known.pause or 1.0)
            known.retry = now() + known.pause
            self._expiring.soon()
            self.pages.schedule(path, now())
        else:
            self._refused[path] = now() + FAILED

    # -- what others want ----------------------------------------------------------------------

    def hint(self, path: bytes) -> None:
        """Somebody says that PHP answered for `path`, and that others might get it from memory."""
        self._bucket = self._bucket or Bucket(now)
        path = kept_at(self.site, path)
        if not self._bucket.let():
            self.figures.hinted("dropped")
        elif self._refused.get(path, 0.0) > now():
            self.figures.hinted("refused before")
        elif path in self.queue and not self.queue.is_purged(path):
            self.figures.hinted("known")
        elif self.queue.add(path, Priority.HINT):
            self.figures.hinted("queued")
            self._wake.set()
        else:
            self.figures.hinted("dropped")

    def fitting(self, pattern: Pattern) -> list[bytes]:
        """Return the known pages that a purge of `pattern` would be for."""
        return self.pages.fitting(pattern)

    def purge(self, pattern: Pattern) -> Sequence[bytes]:
        """Remove the pages that `pattern` fits; what is being rendered of them is not stored.

        Returns the paths of those that were known. Raises StoreError.
        """
        self.queue.purge(pattern)
        paths = self.pages.fitting(pattern)
        for path in paths:
            self.pages.discard(path)
        self.records.remove(paths)
        if pattern.exact is not None:
            self._refused.pop(pattern.exact, None)
            self._microcache.purge(cache_key(self.site.name, pattern.exact))
        else:
            self._refused = {p: until for p, until in self._refused.items() if not pattern.fits(p)}
            self._microcache.purge(None)
        for path in self.always:
            if pattern.fits(path):
                self.queue.add(path, Priority.LISTED)
        self._wake.set()
        self.figures.purged += len(paths)
        return paths

    def purge_all(self, why: str) -> None:
        """Remove everything rendered; what the store keeps of it is not taken up again."""
        self.not_before = time.time()
        paths = self.purge(EVERYTHING)
        self.say(logging.INFO, f"{why}: {len(paths)} rendered pages purged")

    async def fetch(self, path: bytes, limit: int) -> Answer:
        """Ask the origin for what is no page; raises OriginError."""
        return await self._origin.fetch(path, limit)

    def is_refused(self, path: bytes) -> bool:
        """Whether the page could not be stored lately."""
        return self._refused.get(path, 0.0) > now()


def _file_name(path: bytes) -> bytes:
    """Return a file name that says how well the page compresses."""
    name = path.rpartition(b"/")[2]
    return name if b"." in name else b"page.html"
