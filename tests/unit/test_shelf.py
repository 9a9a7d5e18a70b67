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
from memfis.render.patterns import EVERYTHING, exactly, parse
from memfis.render.preload import Preload
from memfis.render.queue import Priority
from memfis.render.shelf import REMEMBERED, Shelf, check_after
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import PhpSettings, Site
from memfis.store import Store

PATHS = [b"/a", b"/b", b"/c/"]


def a_page(fresh: float = 0.0) -> RenderedPage:
    return RenderedPage(Entry("/a", 0o100644), fresh, fresh, 0.0)


class StoreAway:
    """The health of a store that does not answer."""

    is_down = True
    suspected = 0

    def suspect(self) -> None:
        self.suspected += 1


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    php = PhpSettings(canonical="https://a.example", render=("/a", "/c/index.html"), lifetime=60)
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
    assert lifetime / 2 <= after <= lifetime * 3 / 4
    assert after <= lifetime - 2 or lifetime < 4  # the store counts whole seconds


# -- the shelf -----------------------------------------------------------------------------------


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
        assert shelf.listed == {b"/a", b"/c/"}  # the page of an index file is its directory's
        assert shelf.purge(exactly(b"/b")) == []
        assert not shelf.is_refused(b"/b")
        assert shelf.queue.take() is None
        shelf.purge(parse("/c/**"))
        assert (shelf.is_refused(b"/a"), shelf.is_refused(b"/c/d")) == (True, False)
        assert shelf.queue.changed.is_set()
        job = shelf.queue.take()
        assert job
        assert (job.path, job.priority, job.purged) == (b"/c/", Priority.LISTED, False)
        shelf.purge(EVERYTHING)
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


def test_what_a_sitemap_names_and_is_not_rendered_is_told_once(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host = "https://a.example"
    documents = {
        b"/index.xml": f"<sitemapindex><sitemap><loc>{host}/%0achild.xml</loc></sitemap>"
        f"<sitemap><loc>{host}/child.xml?page=1</loc></sitemap></sitemapindex>",
        b"/\nchild.xml": f"<urlset><url><loc>{host}/one</loc></url>"
        "<url><loc>https://other.example/</loc></url>"
        f"<url><loc>{host}/?p=2</loc></url></urlset>",
    }
    asked: list[bytes] = []

    async def fetch(path: bytes, _: int) -> OriginAnswer:
        asked.append(path)
        return OriginAnswer(200, [], documents[path].encode(), whole=True)

    php = PhpSettings(canonical=host, sitemaps=("/index.xml",))
    site = Site(name="a.example", root=str(tmp_path), php=php)
    monkeypatch.setattr("memfis.render.preload.SITEMAPS", 0.0)
    caplog.set_level("INFO")

    async def use() -> None:
        reading = asyncio.create_task(Preload(site, php, shelf, fetch).read_sitemaps())
        while asked.count(b"/index.xml") < 3:
            await asyncio.sleep(0.001)
        reading.cancel()

    in_a_loop(use)
    assert (len(shelf.queue), b"/one" in shelf.queue) == (1, True)
    end = "of its URLs are of other hosts or have a query, and are not rendered"
    assert caplog.messages == [
        f"a.example: sitemap /index.xml: 1 {end}",
        f"a.example: sitemap /%0Achild.xml: 2 {end}",
    ]
