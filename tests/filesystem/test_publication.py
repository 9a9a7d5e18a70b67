"""What visitors get of what is done, and when."""

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from filesystem.conftest import Mount
from filesystem.files import ROOT, get, put
from memfis.filesystem import Filesystem
from memfis.layout.keys import directory_key, page_key, private_key
from memfis.layout.pages import Page, content_of
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site
from memfis.store import Store


class Visitor:
    """Reads pages as nginx does: by their keys."""

    def __init__(self, store: Store, site: str) -> None:
        self._store = store
        self._site = site

    def page(self, path: bytes) -> bytes | None:
        found = self._store.get(page_key(self._site, path))
        return content_of(Page(*found)) if found else None

    def private(self, path: bytes) -> bytes | None:
        found = self._store.get(private_key(self._site, path))
        return content_of(Page(*found)) if found else None


@pytest.fixture
def filesystem(site: Site, mount: Mount) -> Filesystem:
    return mount(site)


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    with closing(Store(StoreAddress.parse(site.store))) as store:
        yield Visitor(store, site.name)


def test_a_file_is_published_when_it_is_closed(filesystem: Filesystem, visitor: Visitor) -> None:
    put(filesystem, b"/page.html", b"old")
    handle = filesystem.open(b"/page.html", os.O_RDWR | os.O_TRUNC)
    filesystem.write(handle, b"half ", 0)
    assert visitor.page(b"/page.html") == b"old"
    filesystem.write(handle, b"and half", 5)
    filesystem.flush(handle)
    assert visitor.page(b"/page.html") == b"half and half"
    filesystem.write(handle, b"more", 0)
    filesystem.sync(handle)
    assert visitor.page(b"/page.html") == b"more and half"
    filesystem.release(handle)


def test_whoever_reads_publishes_nothing_of_who_writes(
    filesystem: Filesystem, visitor: Visitor
) -> None:
    put(filesystem, b"/page.html", b"old")
    writer = filesystem.open(b"/page.html", os.O_RDWR)
    filesystem.write(writer, b"new", 0)
    assert get(filesystem, b"/page.html") == b"new"
    assert visitor.page(b"/page.html") == b"old"
    filesystem.flush(writer)
    filesystem.release(writer)
    assert visitor.page(b"/page.html") == b"new"


def test_a_new_file_is_not_there_until_it_is_closed(
    filesystem: Filesystem, visitor: Visitor
) -> None:
    handle = filesystem.create(b"/page.html", os.O_RDWR | os.O_CREAT, 0o644, ROOT)
    filesystem.write(handle, b"content", 0)
    assert visitor.page(b"/page.html") is None
    filesystem.rename(b"/page.html", b"/other.html")
    assert visitor.page(b"/other.html") is None
    filesystem.flush(handle)
    filesystem.release(handle)
    assert visitor.page(b"/page.html") is None
    assert visitor.page(b"/other.html") == b"content"


def test_a_file_without_a_name_is_never_published(filesystem: Filesystem, visitor: Visitor) -> None:
    put(filesystem, b"/page.html", b"old")
    handle = filesystem.open(b"/page.html", os.O_RDWR)
    filesystem.remove(b"/page.html")
    assert visitor.page(b"/page.html") is None
    filesystem.write(handle, b"new", 0)
    filesystem.flush(handle)
    assert filesystem.read(handle, 10, 0) == b"new"
    assert visitor.page(b"/page.html") is None
    put(filesystem, b"/page.html", b"another file")
    filesystem.write(handle, b"newer", 0)
    filesystem.sync(handle)
    filesystem.release(handle)
    assert visitor.page(b"/page.html") == b"another file"


def test_modes_move_files_in_and_out_of_sight(filesystem: Filesystem, visitor: Visitor) -> None:
    filesystem.make_directory(b"/d", 0o755, ROOT)
    put(filesystem, b"/d/page.html", b"content")
    for path, hidden, shown in ((b"/d/page.html", 0o600, 0o644), (b"/d", 0o700, 0o711)):
        filesystem.change_mode(path, hidden)
        assert visitor.page(b"/d/page.html") is None
        assert visitor.private(b"/d/page.html") == b"content"
        assert get(filesystem, b"/d/page.html") == b"content"
        filesystem.change_mode(path, shown)
        assert visitor.page(b"/d/page.html") == b"content"
        assert visitor.private(b"/d/page.html") is None


@pytest.mark.parametrize("name", [b".htaccess", b"login.php", b"backup~", b"dump.sql"])
def test_some_names_are_never_published(
    filesystem: Filesystem, visitor: Visitor, name: bytes
) -> None:
    put(filesystem, b"/" + name, b"secret")
    assert visitor.page(b"/" + name) is None
    filesystem.rename(b"/" + name, b"/page.html")
    assert visitor.page(b"/page.html") == b"secret"
    filesystem.rename(b"/page.html", b"/" + name)
    assert visitor.page(b"/page.html") is None
    assert visitor.page(b"/" + name) is None
    assert get(filesystem, b"/" + name) == b"secret"


def test_an_index_is_the_page_of_its_directory(filesystem: Filesystem, visitor: Visitor) -> None:
    filesystem.make_directory(b"/d", 0o755, ROOT)
    put(filesystem, b"/d/index.html", b"content")
    assert visitor.page(b"/d/") == b"content"
    assert visitor.page(b"/d/index.html") is None
    filesystem.rename(b"/d/index.html", b"/d/old.html")
    assert visitor.page(b"/d/") is None
    filesystem.rename(b"/d", b"/e")
    assert visitor.page(b"/e/old.html") == b"content"


def test_a_link_follows_what_it_points_to(filesystem: Filesystem, visitor: Visitor) -> None:
    filesystem.make_directory(b"/v1", 0o755, ROOT)
    filesystem.make_link(b"/page.html", b"current/page.html", ROOT)
    filesystem.make_link(b"/current", b"v1", ROOT)
    assert visitor.page(b"/page.html") is None
    put(filesystem, b"/v1/page.html", b"one")
    assert visitor.page(b"/page.html") == b"one"
    put(filesystem, b"/v1/page.html", b"one, changed")
    assert visitor.page(b"/page.html") == b"one, changed"
    filesystem.change_mode(b"/v1/page.html", 0o600)
    assert visitor.page(b"/page.html") is None
    filesystem.rename(b"/v1", b"/v2")
    filesystem.change_mode(b"/v2/page.html", 0o644)
    assert visitor.page(b"/page.html") is None
    filesystem.make_link(b"/v1", b"v2", ROOT)
    assert visitor.page(b"/page.html") == b"one, changed"
    filesystem.remove(b"/v2/page.html")
    assert visitor.page(b"/page.html") is None


@pytest.mark.parametrize(
    "target", [b"/etc/passwd", b"../../../etc/passwd", b"page.html", b".", b"nothing", b"secret"]
)
def test_a_link_that_leads_to_no_page(
    filesystem: Filesystem, visitor: Visitor, target: bytes
) -> None:
    put(filesystem, b"/secret", b"secret", 0o600)
    filesystem.make_link(b"/page.html", target, ROOT)
    assert filesystem.target(b"/page.html") == target
    assert visitor.page(b"/page.html") is None


def test_nothing_stays_public_of_a_removed_directory_whose_records_were_lost(
    filesystem: Filesystem, visitor: Visitor, site: Site
) -> None:
    for path in (b"/lost", b"/lost/below", b"/lostandfound"):
        filesystem.make_directory(path, 0o755, ROOT)
        put(filesystem, path + b"/page.html", b"text")
        put(filesystem, path + b"/secret.html", b"text", 0o600)
    with closing(Store(StoreAddress.parse(site.store))) as store:
        store.delete_many([directory_key(site.name, b"/lost/")])
    filesystem.remove_directory(b"/lost")
    for path in (b"/lost", b"/lost/below"):
        assert visitor.page(path + b"/page.html") is None
        assert visitor.private(path + b"/secret.html") is None
    assert visitor.page(b"/lostandfound/page.html") == b"text"
    assert [name for name, _ in filesystem.names(b"/")] == [b"lostandfound"]
