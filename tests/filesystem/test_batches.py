"""Where appends are dear, what is closed or removed in a directory is written together."""

import errno
import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from filesystem.conftest import Mount
from filesystem.files import ROOT, get, put
from memfis.catalog.catalog import Catalog
from memfis.filesystem import Filesystem
from memfis.layout.keys import directory_key, page_key
from memfis.layout.pages import Page, content_of
from memfis.layout.records import encode_log
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site
from memfis.store import Store


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A mount that collects for a second, and what others see of it."""

    def __init__(self, mount: Mount, site: Site, store: Store) -> None:
        self.clock = Clock()
        self.files: Filesystem = mount(site, batch=1.0, timeout=0.0, clock=self.clock)
        self.site, self.store = site, store

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.files.write_pending()

    def page(self, path: bytes) -> bytes | None:
        found = self.store.get(page_key(self.site.name, path))
        return content_of(Page(*found)) if found else None

    def records(self, path: bytes = b"/") -> dict[str, int]:
        [log] = Catalog(self.store, self.site.name).logs([path])
        assert log is not None
        return {name: entry.size for name, entry in log.entries.items()}

    def token(self, path: bytes = b"/") -> bytes | None:
        return self.store.gets(directory_key(self.site.name, path))[1]


@pytest.fixture
def store(site: Site) -> Iterator[Store]:
    with closing(Store(StoreAddress.parse(site.store))) as store:
        yield store


@pytest.fixture
def scene(mount: Mount, site: Site, store: Store) -> Scene:
    return Scene(mount, site, store)


def test_closed_files_come_together_after_a_second(scene: Scene) -> None:
    before = scene.token()
    for number in range(50):
        put(scene.files, b"/%d.html" % number, b"<p>%d</p>" % number)
        scene.pass_time(0.015)
    assert scene.token() == before
    assert scene.page(b"/0.html") is None
    assert get(scene.files, b"/0.html") == b"<p>0</p>"  # here it is seen at once
    assert len(scene.files.names(b"/")) == 50
    scene.pass_time(0.5)
    once = scene.token()
    assert len(scene.records()) == 50
    assert [scene.page(b"/%d.html" % n) for n in range(50)] == [b"<p>%d</p>" % n for n in range(50)]
    scene.pass_time(5)
    assert scene.token() == once


def test_what_is_removed_is_gone_at_once_and_recorded_together(scene: Scene) -> None:
    for number in range(20):
        put(scene.files, b"/%d.html" % number, b"x")
    scene.pass_time(1.1)
    before = scene.token()
    for number in range(15):
        scene.files.remove(b"/%d.html" % number)
        assert scene.page(b"/%d.html" % number) is None
        scene.pass_time(0.01)
    assert scene.token() == before
    assert len(scene.files.names(b"/")) == 5  # although the log says more
    put(scene.files, b"/3.html", b"again")
    scene.files.remove(b"/19.html")
    scene.pass_time(1)
    assert scene.records().keys() == {"3.html", *(f"{n}.html" for n in range(15, 19))}
    assert scene.page(b"/3.html") == b"again"


def test_what_is_synced_does_not_wait(scene: Scene) -> None:
    handle = scene.files.create(b"/a.html", os.O_RDWR | os.O_CREAT, 0o644, ROOT)
    scene.files.write(handle, b"a", 0)
    scene.files.flush(handle)
    assert scene.page(b"/a.html") is None
    scene.files.sync(handle)
    assert scene.page(b"/a.html") == b"a"
    scene.files.release(handle)
    handle = scene.files.create(b"/b.html", os.O_RDWR | os.O_CREAT | os.O_SYNC, 0o644, ROOT)
    scene.files.write(handle, b"b", 0)
    scene.files.flush(handle)
    assert scene.page(b"/b.html") == b"b"
    scene.files.release(handle)
    put(scene.files, b"/c.html", b"c")
    scene.files.write_all()
    assert scene.page(b"/c.html") == b"c"


def test_a_file_that_waits_is_published_as_it_was_closed(scene: Scene) -> None:
    handle = scene.files.create(b"/a.html", os.O_RDWR | os.O_CREAT, 0o644, ROOT)
    scene.files.write(handle, b"whole", 0)
    scene.files.flush(handle)  # one of two descriptors
    scene.files.write(handle, b"half ", 0)
    scene.pass_time(2)
    assert scene.page(b"/a.html") == b"whole"
    scene.files.flush(handle)
    scene.files.release(handle)
    scene.files.truncate(b"/a.html", 4)
    scene.pass_time(2)
    assert scene.page(b"/a.html") == b"half"


def test_a_name_over_another_is_never_without_content(scene: Scene) -> None:
    put(scene.files, b"/page.html", b"old")
    scene.pass_time(2)
    put(scene.files, b"/.page.tmp", b"new")
    scene.files.rename(b"/.page.tmp", b"/page.html")
    assert scene.page(b"/page.html") == b"new"
    assert scene.records() == {"page.html": 3}
    put(scene.files, b"/page.html", b"newer")
    scene.files.make_directory(b"/d", 0o755, ROOT)
    put(scene.files, b"/d/one.html", b"one")
    scene.files.rename(b"/d", b"/e")
    assert (scene.page(b"/e/one.html"), scene.records(b"/e/")) == (b"one", {"one.html": 3})
    scene.files.remove(b"/e/one.html")
    scene.files.remove_directory(b"/e")
    scene.pass_time(2)
    assert scene.records() == {"page.html": 5}
    assert scene.page(b"/page.html") == b"newer"


def test_what_may_no_longer_be_read_is_gone_at_once(scene: Scene) -> None:
    put(scene.files, b"/a.html", b"a")
    scene.files.change_mode(b"/a.html", 0o600)
    scene.pass_time(2)
    assert scene.page(b"/a.html") is None
    assert scene.records() == {"a.html": 1}
    scene.files.change_mode(b"/a.html", 0o644)
    assert scene.page(b"/a.html") == b"a"


def test_all_that_waits_is_written_at_the_end(scene: Scene) -> None:
    put(scene.files, b"/a.html", b"a")
    put(scene.files, b"/b.html", b"b")
    scene.files.write_all()
    put(scene.files, b"/c.html", b"c")
    scene.files.remove(b"/b.html")
    assert scene.files.close() == []
    assert scene.records() == {"a.html": 1, "c.html": 1}
    assert scene.page(b"/c.html") == b"c"


def test_a_directory_that_another_removed_takes_what_waits_with_it(scene: Scene) -> None:
    scene.files.make_directory(b"/d", 0o755, ROOT)
    put(scene.files, b"/d/a.html", b"a")
    scene.store.delete_many([directory_key(scene.site.name, b"/d/")])
    scene.store.set(directory_key(scene.site.name, b"/"), encode_log(()))
    scene.pass_time(2)
    assert scene.page(b"/d/a.html") is None  # no page without a record
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        scene.files.attributes(b"/d")
