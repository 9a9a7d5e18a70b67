"""What is rendered between a sync's look at a directory and its writing of it keeps its record."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.catalog.directory_log import Compacted, DirectoryLog
from memfis.keeper import SiteKeeper
from memfis.layout.keys import directory_key
from memfis.layout.pages import make_page
from memfis.layout.records import Entry, encode_records
from memfis.render.pages import RenderedPage
from memfis.render.records import Records
from memfis.settings.addresses import StoreAddress
from memfis.store import Store
from memfis.sync import Options, sync, walk
from memfis.sync.deletions import Marks
from memfis.verify import verify_webroot
from render.conftest import Rendered
from support.memcached import Memcached, small_items
from support.origin import Origin


@dataclass
class Renderer:
    """Renders pages as an agent's does, over a connection of its own."""

    rendered: Rendered
    paths: Sequence[bytes]
    done: list[bytes] = field(default_factory=list)

    def keep(self, missing: Mapping[bytes, Marks], compared: Collection[bytes] | None) -> bool:
        """As `Options.keep`: render when all is compared and nothing written; keep nothing."""
        self.render()
        return False

    def render(self) -> Entry:
        """Render them, and return the record of the last."""
        store = Store(StoreAddress.parse(self.rendered.site.store))
        records = Records(self.rendered.site, store)
        for path in self.paths:
            body = b"rendered " + path
            page = make_page(b"page.html", body, self.rendered.site.compression)
            entry = records.entry(path, page.flags, len(body), now=1e9, stale=True)
            records.record(path, entry)
            records.write(path, page, 300)
            self.done.append(path)
        store.close()
        return entry


def is_well(rendered: Rendered, *paths: bytes) -> None:
    """Every page is there, and what `memfis verify` finds nothing wrong with."""
    found = list(verify_webroot(rendered.site, rendered.store))
    assert [each.discrepancy for each in found if each.discrepancy] == []
    assert {each.path for each in found} >= set(paths)


def new_directories(root: Path, number: int) -> None:
    for name in range(number):
        (root / f"new {name}").mkdir()
        (root / f"new {name}" / "file.html").write_text(f"file {name}")


@pytest.mark.parametrize("jobs", [1, 2])
def test_directories_that_are_new_on_disk(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setattr(walk, "ALONE", (0, 0.0))
    (rendered.root / "old.html").write_text("old")
    sync(rendered.site, rendered.store, Options())
    new_directories(rendered.root, 40)
    paths = [b"/new 3/page", b"/new 3/", b"/new 39/below/page"]
    renderer = Renderer(rendered, paths)
    report = sync(rendered.site, rendered.store, Options(jobs=jobs, keep=renderer.keep))
    assert (report.added, renderer.done) == (40, paths)
    is_well(rendered, *paths, b"/new 3/file.html", b"/new 39/file.html")


def test_a_new_directory_whose_files_cannot_be_read(rendered: Rendered) -> None:
    sync(rendered.site, rendered.store, Options())
    new_directories(rendered.root, 1)

    def render(missing: Mapping[bytes, Marks], compared: Collection[bytes] | None) -> bool:
        Renderer(rendered, [b"/new 0/page"]).render()
        (rendered.root / "new 0" / "file.html").unlink()
        return False

    sync(rendered.site, rendered.store, Options(keep=render))
    is_well(rendered, b"/new 0/page")


def test_records_that_are_damaged(rendered: Rendered) -> None:
    new_directories(rendered.root, 1)
    Renderer(rendered, [b"/new 0/page"]).render()
    sync(rendered.site, rendered.store, Options())
    rendered.store.set(directory_key(rendered.NAME, b"/new 0/"), b"something else")
    sync(rendered.site, rendered.store, Options())
    is_well(rendered, b"/new 0/file.html")


def test_a_directory_that_goes(rendered: Rendered, origin: Origin) -> None:
    """Its records go with it, so the agent writes them again for what was rendered meanwhile."""
    site = replace(rendered.site, origin=str(origin.socket))
    new_directories(rendered.root, 20)
    page = b"/new 0/page"

    async def keep() -> None:
        keeper = SiteKeeper(site, rendered.directory / "run")
        renderer = keeper._dynamic.renderer
        assert renderer is not None
        pages = renderer.shelf.pages

        def render(missing: Mapping[bytes, Marks], compared: Collection[bytes] | None) -> bool:
            entry = Renderer(rendered, [page]).render()
            moment = asyncio.get_running_loop().time()
            pages.add(
                page, RenderedPage(entry, moment + 300, moment + 300, moment, moment), moment + 150
            )
            return False

        keeping = asyncio.create_task(keeper.keep())
        await keeper.begun.wait()
        shutil.rmtree(rendered.root / "new 0")
        report = await keeper.ask(Options(keep=render))
        assert report.removed == 1
        async with asyncio.timeout(10):
            while Catalog(rendered.store, rendered.NAME).logs([b"/new 0/"]) == [None]:
                await asyncio.sleep(0.05)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    asyncio.run(keep())
    is_well(rendered, page)


@pytest.fixture
def small(directory: Path, rendered: Rendered) -> Iterator[None]:
    """Let the store take no item of more than 16 KiB."""
    rendered.memcached.end()
    memcached = Memcached(directory, *small_items())
    memcached.start()
    yield
    memcached.end()


def fill(rendered: Rendered) -> None:
    """Let the records of `/` grow until nothing can be appended, all of them overtaken but one."""
    key = directory_key(rendered.NAME, b"/")
    page = Entry("/page", 0o100644, origin="rendered")
    for number in (100, 1):
        while rendered.store.append(key, encode_records([page] * number)):
            pass


@pytest.mark.usefixtures("small")
def test_records_that_have_no_room_for_more(rendered: Rendered) -> None:
    sync(rendered.site, rendered.store, Options())
    (rendered.root / "file.html").write_text("a file")

    def render(missing: Mapping[bytes, Marks], compared: Collection[bytes] | None) -> bool:
        Renderer(rendered, [b"/page"]).render()
        fill(rendered)
        return False

    sync(rendered.site, rendered.store, Options(keep=render))
    is_well(rendered, b"/page", b"/file.html")


@pytest.mark.usefixtures("small")
def test_what_others_record_while_a_renderer_makes_room(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(rendered.site, rendered.store, Options())
    fill(rendered)
    catalog = Catalog(rendered.store, rendered.NAME)
    compact = DirectoryLog.compact

    def after_another(log: DirectoryLog) -> Compacted | None:
        """Read what is there once a sync has found no room and made some."""
        monkeypatch.setattr(DirectoryLog, "compact", compact)
        file = Entry("file.html", 0o100644)
        catalog.append(b"/", [file] * 20, {file.name: file})
        return compact(log)

    monkeypatch.setattr(DirectoryLog, "compact", after_another)
    Renderer(rendered, [b"/other"]).render()
    [log] = catalog.logs([b"/"])
    assert log is not None
    assert log.entries.keys() == {"/page", "/other", "file.html"}


def before_it(monkeypatch: pytest.MonkeyPatch, name: str, other: Callable[[], object]) -> None:
    """Let `other` happen just before the first call of the method `name` of a log."""
    method = getattr(DirectoryLog, name)

    def late(log: DirectoryLog, *arguments: object, **options: object) -> object:
        monkeypatch.setattr(DirectoryLog, name, method)
        other()
        return method(log, *arguments, **options)

    monkeypatch.setattr(DirectoryLog, name, late)


OF_A_SYNC = Entry("docs", 0o040750, 0, 1, 33, 33)


def test_a_directory_that_a_sync_records_while_a_renderer_does(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(rendered.site, rendered.store, Options())
    catalog = Catalog(rendered.store, rendered.NAME)
    before_it(monkeypatch, "append", lambda: catalog.log(b"/").append([OF_A_SYNC]))
    Renderer(rendered, [b"/docs/page"]).render()
    root, docs = catalog.logs([b"/", b"/docs/"])
    assert root is not None
    assert root.entries == {"docs": OF_A_SYNC}
    assert docs is not None
    assert docs.entries.keys() == {"/page"}


def test_the_first_records_that_a_sync_makes_while_a_renderer_does(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog(rendered.store, rendered.NAME)
    before_it(monkeypatch, "make", lambda: catalog.log(b"/").make([OF_A_SYNC]))
    Renderer(rendered, [b"/docs/page"]).render()
    [root] = catalog.logs([b"/"])
    assert root is not None
    assert root.entries == {"docs": OF_A_SYNC}


@pytest.mark.parametrize("where", [b"/docs/", b"/"])
def test_what_a_sync_records_while_a_renderer_takes_a_directory_away(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch, where: bytes
) -> None:
    sync(rendered.site, rendered.store, Options())
    Renderer(rendered, [b"/docs/page"]).render()
    catalog = Catalog(rendered.store, rendered.NAME)
    file = Entry("file.html", 0o100644)
    theirs = {b"/": OF_A_SYNC, b"/docs/": file}[where]
    before_it(monkeypatch, "remove", lambda: catalog.log(where).append([theirs]))
    Records(rendered.site, rendered.store).forget(b"/docs/", ["/page"])
    [log] = catalog.logs([where])
    assert log is not None
    assert log.entries[theirs.name] == theirs


@pytest.mark.usefixtures("small")
def test_records_without_room_are_not_taken_for_lost(rendered: Rendered) -> None:
    sync(rendered.site, rendered.store, Options())
    fill(rendered)
    Renderer(rendered, [b"/other"]).render()
    item = Catalog(rendered.store, rendered.NAME).site_item()
    assert item is not None
    assert item.whole
