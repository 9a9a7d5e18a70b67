"""The shelf of rendered pages, and who finds work with it, without a store and an origin."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memfis.errors import StoreError
from memfis.layout.records import Entry
from memfis.render import shelf as module
from memfis.render.fetch import OriginAnswer
from memfis.render.pages import RenderedPage, RenderedPages
from memfis.render.patterns import EVERYTHING, Pattern, exactly, parse
from memfis.render.preload import Preload
from memfis.render.queue import Priority
from memfis.render.rules import Refusal
from memfis.render.shelf import REMEMBERED, Shelf, check_after
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import PhpSettings, Site
from memfis.store import Store

PATHS = [b"/a", b"/b", b"/c/"]


def a_page(fresh: float = 0.0) -> RenderedPage:
    return RenderedPage(Entry("/a", 0o100644), fresh, fresh, 0.0, 0.0)


class StoreAway:
    """The health of a store that does not answer."""

    is_down = True
    suspected = 0

    def suspect(self) -> None:
        self.suspected += 1


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    php = PhpSettings(
        canonical="https://a.example", render=("/a", "/c/", "/\u00fc%2B", "/%61"), lifetime=60
    )
    site = Site(name="a.example", root=str(tmp_path), index=("index.html",), php=php)
    store = Store(StoreAddress.parse(f"memcached://{tmp_path}/none.sock"))
    return Shelf(site, php, store, StoreAway(), lambda _: None)


# -- when pages are checked ----------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(PATHS), st.integers(0, 20)),
    st.tuples(st.just("schedule"), st.sampled_from(PATHS), st.integers(0, 20)),
    st.tuples(st.just("discard"), st.sampled_from(PATHS), st.just(0)),
    st.tuples(st.just("schedule_all"), st.just(b""), st.integers(0, 20)),
    st.tuples(st.just("take"), st.just(b""), st.integers(0, 20)),
)


@given(st.lists(STEP, max_size=30))
def test_each_page_is_checked_when_it_was_last_said(steps: list[tuple[str, bytes, int]]) -> None:
    pages = RenderedPages()
    due: dict[bytes, float] = {}
    for what, path, time in steps:
        if what == "take":
            expected = {each for each, when in due.items() if when <= time}
            taken = pages.take_due(time, 10)
            assert sorted(taken) == sorted(expected)
            for each in taken:  # as must be done
                pages.schedule(each, 30)
                due[each] = 30
            continue
        waiting_until = pages.next_due()
        pages.sooner.clear()
        if what == "add":
            pages.add(path, a_page(), time)
            due[path] = time
        elif what == "discard":
            pages.discard(path)
            due.pop(path, None)
        elif what == "schedule_all":
            pages.schedule_all(time)
            due = {each: min(when, time) for each, when in due.items()}
        elif path in pages:
            pages.schedule(path, time)
            due[path] = time
        assert set(pages) == due.keys()
        assert pages.next_due() <= min(due.values(), default=float("inf"))
        assert pages.sooner.is_set() is (pages.next_due() < waiting_until)


def test_those_that_expire_soon_are_checked_at_once() -> None:
    pages = RenderedPages()
    for path, fresh in zip(PATHS, (5.0, 50.0, 10.0), strict=True):
        pages.add(path, a_page(fresh), 100)
    pages.schedule_expiring(10.0, 1.0)
    assert pages.take_due(2.0, 10) == [b"/a"]


@given(st.integers(1, 10**7))
def test_a_page_is_checked_before_it_ends(lifetime: int) -> None:
    after = check_after(lifetime)
    assert lifetime / 3 <= after <= lifetime * 3 / 4
    assert after <= lifetime - 2 or lifetime < 4  # the store counts whole seconds
    assert after < lifetime - 1 or lifetime == 1  # and a second is over when its tick comes


# -- the shelf -----------------------------------------------------------------------------------


def purged(shelf: Shelf, pattern: Pattern) -> list[bytes]:
    return [path for paths in shelf.purge(pattern) for path in paths]


def in_a_loop(use: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(use(), 20))


def test_what_could_not_be_stored_is_remembered_for_a_while(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [100.0]
    monkeypatch.setattr(module, "now", lambda: moments[-1])
    shelf.postpone(b"/a", 10)
    assert shelf.is_refused(b"/a")
    moments.append(110.0)
    assert not shelf.is_refused(b"/a")
    for number in range(REMEMBERED + 1):
        shelf.postpone(b"/%d" % number, 10)
    assert not shelf.is_refused(b"/0")  # the oldest had to go
    assert shelf.is_refused(b"/1")


def test_a_purge_forgets_what_was_refused_and_renders_the_list(shelf: Shelf) -> None:
    async def use() -> None:
        for path in (b"/a", b"/b", b"/c/d"):
            shelf.postpone(path, 60)
        assert purged(shelf, exactly(b"/b")) == []
        assert not shelf.is_refused(b"/b")
        assert shelf.queue.take() is None
        purged(shelf, parse("/c/**"))
        assert (shelf.is_refused(b"/a"), shelf.is_refused(b"/c/d")) == (True, False)
        assert shelf.queue.changed.is_set()
        job = shelf.queue.take()
        assert job
        assert (job.path, job.priority, job.purged) == (b"/c/", Priority.LISTED, False)
        purged(shelf, EVERYTHING)
        assert job.purged
        assert not shelf.is_refused(b"/a")

    in_a_loop(use)


def test_a_page_whose_store_is_away_is_not_fresh_and_the_keeper_is_told(shelf: Shelf) -> None:
    health = StoreAway()
    shelf._health = health

    async def use() -> None:
        assert not shelf.is_fresh(b"/a")  # nothing has to be asked for that
        shelf.pages.add(b"/a", a_page(1e9), 1e9)
        with pytest.raises(StoreError) as raised:
            shelf.is_fresh(b"/a")
        shelf.store_failed(raised.value)

    in_a_loop(use)
    assert shelf.store_is_down
    assert health.suspected == 1


# -- sitemaps ------------------------------------------------------------------------------------


HOST = "https://a.example"


class Sitemaps:
    """Documents by target, and what was asked for. Each reading follows the one before at once."""

    def __init__(
        self, shelf: Shelf, root: Path, monkeypatch: pytest.MonkeyPatch, **php: Any
    ) -> None:
        settings = PhpSettings(canonical=HOST, sitemaps=("/index.xml",), **php)
        site = Site(name="a.example", root=str(root), php=settings)
        self.documents: dict[bytes, str] = {}
        self.asked: list[bytes] = []
        self.preload = Preload(site, settings, shelf, self.fetch)
        monkeypatch.setattr("memfis.render.preload.SITEMAPS", 0.0)
        monkeypatch.setattr("memfis.render.preload.AGAIN", 0.0)

    async def fetch(self, target: bytes, _: int) -> OriginAnswer:
        self.asked.append(target)
        document = self.documents.get(target)
        return OriginAnswer(200 if document else 404, [], (document or "").encode(), whole=True)

    async def read(self, times: int) -> None:
        """Let all be read `times`."""
        self.asked.clear()
        reading = asyncio.create_task(self.preload.read_sitemaps())
        while self.asked.count(b"/index.xml") <= times and not reading.done():
            await asyncio.sleep(0.001)
        reading.cancel()


def urlset(*locations: str) -> str:
    return f"<urlset>{''.join(f'<url><loc>{each}</loc></url>' for each in locations)}</urlset>"


def index(*locations: str) -> str:
    named = "".join(f"<sitemap><loc>{each}</loc></sitemap>" for each in locations)
    return f"<sitemapindex>{named}</sitemapindex>"


def test_what_a_sitemap_names_and_is_not_rendered_is_told_once(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sitemaps = Sitemaps(shelf, tmp_path, monkeypatch)
    sitemaps.documents = {
        b"/index.xml": index(f"{HOST}/%0achild.xml", f"{HOST}/child.xml?page=1&amp;of=%C3%BC ü"),
        b"/%0achild.xml": urlset(
            *(f"{HOST}/one", "https://other.example/\u202e", f"{HOST}/?p=2", f"{HOST}/%61"),
            *(f"{HOST}/a.php", f"{HOST}/wiki/C%2B%2B", f"{HOST}/ü ö"),
        ),
        b"/child.xml?page=1&of=%C3%BC%20%C3%BC": urlset(f"{HOST}/two"),
    }
    caplog.set_level("INFO")
    in_a_loop(lambda: sitemaps.read(3))
    assert set(shelf.named) == {
        *(b"/one", b"/two", b"//wiki/C%2B%2B"),
        "/ü ö".encode(),
    }
    assert caplog.messages == [
        "a.example: sitemap /%0achild.xml: not rendered: 1 no URL of this host:"
        " https://other.example/\\u202e; 1 a URL with arguments: https://a.example/?p=2; 1 a URL"
        " that is not canonical: https://a.example/%61; 1 a name that is never served from memory:"
        " https://a.example/a.php"
    ]
    figures = shelf.figures
    assert figures.refusals == {
        "no URL of this host": 1,
        "a URL with arguments": 1,
        "a URL that is not canonical": 2,
        "a name that is never served from memory": 1,
    }
    assert figures.examples["a URL that is not canonical"] == {
        "/%61": "in 'render'",
        "https://a.example/%61": "in the sitemap /%0achild.xml",
    }


def test_sitemaps_that_lead_in_a_circle_or_on_and_on(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sitemaps = Sitemaps(shelf, tmp_path, monkeypatch)
    sitemaps.documents = {b"/index.xml": index(f"{HOST}/index.xml", f"{HOST}/n.xml?0")} | {
        b"/n.xml?%d" % n: index(f"{HOST}/index.xml", f"{HOST}/n.xml?{n + 1}") for n in range(1200)
    }
    caplog.set_level("INFO")
    in_a_loop(lambda: sitemaps.read(1))
    assert sitemaps.asked.index(b"/index.xml", 1) == 1000
    assert caplog.messages == [
        "a.example: sitemap /n.xml?998: not rendered: 1 a sitemap beyond the 1000 that are read:"
        " /n.xml?999"
    ]


def test_sitemaps_name_no_more_than_may_be(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sitemaps = Sitemaps(shelf, tmp_path, monkeypatch, max_pages=3)
    names = [f"{HOST}/{each}.xml" for each in "abc"]
    sitemaps.documents = {
        b"/index.xml": index(*names),
        b"/a.xml": urlset(f"{HOST}/1", f"{HOST}/2"),
        b"/b.xml": urlset(f"{HOST}/2", *(f"{HOST}/{n}" for n in range(3, 10))),
        b"/c.xml": urlset(f"{HOST}/c"),
    }
    caplog.set_level("INFO")
    in_a_loop(lambda: sitemaps.read(2))
    assert list(shelf.named) == [b"/1", b"/2", b"/3"]
    assert caplog.messages == [
        "a.example: sitemap /b.xml: not rendered: 6 beyond 3 pages (max_pages):"
        " https://a.example/5, https://a.example/6, https://a.example/7 …",
        "a.example: more sitemaps were not read, as 3 pages (max_pages) are named: 1, as /c.xml",
    ]
    assert shelf.figures.refusals["beyond 3 pages (max_pages)"] == 6


def test_pages_that_sitemaps_name_no_more_are_kept_no_more(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sitemaps = Sitemaps(shelf, tmp_path, monkeypatch)
    documents = sitemaps.documents

    async def use() -> None:
        documents[b"/index.xml"] = index(f"{HOST}/a.xml", f"{HOST}/b.xml")
        documents[b"/a.xml"] = urlset(f"{HOST}/1", f"{HOST}/2")
        documents[b"/b.xml"] = urlset(f"{HOST}/3")
        await sitemaps.read(1)
        assert set(shelf.named) == {b"/1", b"/2", b"/3"}
        documents[b"/a.xml"] = urlset(f"{HOST}/2")
        del documents[b"/b.xml"]  # it cannot be read: who knows
        await sitemaps.read(1)
        assert set(shelf.named) == {b"/1", b"/2", b"/3"}
        documents[b"/index.xml"] = index(f"{HOST}/a.xml")
        await sitemaps.read(1)
        assert set(shelf.named) == {b"/2"}
        assert (shelf.is_kept(b"/2"), shelf.is_kept(b"/3")) == (True, False)

    in_a_loop(use)


def test_pages_that_are_kept_come_after_visitors_and_no_more_than_may_be(shelf: Shelf) -> None:
    async def use() -> None:
        shelf.named = {b"/m%d" % n: "" for n in range(5)}
        shelf.pages.add(b"/a", a_page(1e9), 1e9)
        shelf.renew(b"/a", Priority.KEPT)
        for path in shelf.named:
            shelf.want(path)
        shelf.want(b"/other")
        shelf.queue.add(b"/hint", Priority.HINT)
        taken = []
        while job := shelf.queue.take():
            taken.append(job.path)
        assert taken == [b"/hint", b"/a", b"/m0", b"/m1"]

    shelf._php = PhpSettings(canonical="https://a.example", max_pages=4)
    in_a_loop(use)


def test_what_cannot_be_stored_is_not_rendered_again_and_again(shelf: Shelf) -> None:
    async def use() -> None:
        shelf.name({b"/map": ""})
        shelf.refuse(b"/map", Refusal("Set-Cookie"))
        shelf.postpone(b"/map", -1)  # hints count again
        assert not shelf.want(b"/map")
        purged(shelf, exactly(b"/map"))
        assert b"/map" in shelf.queue
        assert shelf.queue.take()
        shelf.queue.done(shelf.queue.active[b"/map"])
        shelf.refuse(b"/map", Refusal("Set-Cookie"))
        shelf.postpone(b"/map", -1)
        shelf.name({b"/map": ""})  # the sitemap was read again
        assert shelf.want(b"/map")

    in_a_loop(use)


def test_what_the_list_names(shelf: Shelf) -> None:
    assert shelf.listed == {b"/a", b"/c/", b"//%C3%BC%2B"}
    assert shelf.figures.examples == {"a URL that is not canonical": {"/%61": "in 'render'"}}
