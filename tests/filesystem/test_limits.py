"""Where the filesystem ends: names, sizes, room, and a store that is not there."""

import errno
import os
from collections.abc import Callable
from contextlib import closing

import pytest

from filesystem.conftest import Mount
from filesystem.dying import dying
from filesystem.files import ROOT, get, put
from memfis.errors import StoreError, UsageError
from memfis.filesystem import RENAME_EXCHANGE, RENAME_NOREPLACE, Filesystem, open_site
from memfis.settings.values import Site
from support.directory import reachable_directory
from support.memcached import Memcached

MEGABYTE = 1 << 20


def raises(number: int) -> "pytest.RaisesExc[OSError]":
    return pytest.raises(OSError, check=lambda error: error.errno == number)


@pytest.fixture
def filesystem(site: Site, mount: Mount) -> Filesystem:
    return mount(site)


@pytest.mark.parametrize("name", [b"n" * 256, b"%" * 80, b"n" * 240])
def test_a_name_that_a_key_has_no_room_for(filesystem: Filesystem, name: bytes) -> None:
    with raises(errno.ENAMETOOLONG):
        put(filesystem, b"/" + name, b"")
    with raises(errno.ENAMETOOLONG):
        filesystem.make_directory(b"/" + name, 0o755, ROOT)
    with raises(errno.ENAMETOOLONG):
        filesystem.make_link(b"/" + name, b"target", ROOT)
    assert filesystem.names(b"/") == []


def test_a_rename_that_a_key_below_has_no_room_for_changes_nothing(filesystem: Filesystem) -> None:
    filesystem.make_directory(b"/d", 0o755, ROOT)
    put(filesystem, b"/d/" + b"n" * 200, b"content")
    with raises(errno.ENAMETOOLONG):
        filesystem.rename(b"/d", b"/" + b"e" * 50)
    assert [name for name, _ in filesystem.names(b"/")] == [b"d"]
    assert get(filesystem, b"/d/" + b"n" * 200) == b"content"


def test_a_file_larger_than_an_item(filesystem: Filesystem) -> None:
    put(filesystem, b"/f", b"content")
    handle = filesystem.open(b"/f", os.O_RDWR)
    with raises(errno.EFBIG):
        filesystem.write(handle, b"x", 20 * MEGABYTE)
    with raises(errno.EFBIG):
        filesystem.truncate(None, 20 * MEGABYTE, handle)
    with raises(errno.EFBIG):
        filesystem.allocate(handle, 0, 0, 20 * MEGABYTE)
    filesystem.truncate(None, 20 * MEGABYTE - 1024, handle)
    filesystem.flush(handle)
    filesystem.release(handle)
    assert len(get(filesystem, b"/f")) == 20 * MEGABYTE - 1024


@pytest.mark.parametrize("flags", [RENAME_EXCHANGE, RENAME_EXCHANGE | RENAME_NOREPLACE, 8])
def test_renames_that_there_are_not(filesystem: Filesystem, flags: int) -> None:
    put(filesystem, b"/a", b"1")
    put(filesystem, b"/b", b"2")
    with raises(errno.EINVAL):
        filesystem.rename(b"/a", b"/b", flags)
    assert (get(filesystem, b"/a"), get(filesystem, b"/b")) == (b"1", b"2")


def test_the_top_directory_stays(filesystem: Filesystem) -> None:
    filesystem.make_directory(b"/d", 0o755, ROOT)
    with raises(errno.EBUSY):
        filesystem.remove_directory(b"/")
    with raises(errno.EBUSY):
        filesystem.rename(b"/", b"/d/e")
    with raises(errno.EBUSY):
        filesystem.rename(b"/d", b"/")


@pytest.mark.parametrize("name", [b"trusted.a", b"security.capability", b"system.posix_acl_access"])
def test_attributes_that_mean_something_to_the_kernel(filesystem: Filesystem, name: bytes) -> None:
    put(filesystem, b"/f", b"")
    with raises(errno.EOPNOTSUPP):
        filesystem.set_extended(b"/f", name, b"value", 0)


def test_more_attributes_than_there_is_room_for(filesystem: Filesystem) -> None:
    put(filesystem, b"/f", b"")
    filesystem.set_extended(b"/f", b"user.a", b"\0\xff" * 15_000, 0)
    with raises(errno.ENOSPC):
        filesystem.set_extended(b"/f", b"user.b", b"x" * 40_000, 0)
    assert filesystem.extended(b"/f") == {b"user.a": b"\0\xff" * 15_000}


def test_a_mount_that_may_only_read(site: Site, mount: Mount) -> None:
    writer = mount(site)
    writer.make_directory(b"/d", 0o755, ROOT)
    put(writer, b"/f", b"content")
    reader = mount(site, read_only=True)
    assert get(reader, b"/f") == b"content"
    changes: list[Callable[[], object]] = [
        lambda: put(reader, b"/g", b""),
        lambda: reader.open(b"/f", os.O_RDWR),
        lambda: reader.open(b"/f", os.O_RDONLY | os.O_TRUNC),
        lambda: reader.truncate(b"/f", 0),
        lambda: reader.make_directory(b"/e", 0o755, ROOT),
        lambda: reader.remove_directory(b"/d"),
        lambda: reader.remove(b"/f"),
        lambda: reader.rename(b"/f", b"/g"),
        lambda: reader.make_link(b"/l", b"f", ROOT),
        lambda: reader.change_mode(b"/f", 0o600),
        lambda: reader.change_owner(b"/f", 1, 1),
        lambda: reader.change_times(b"/f", 0, 0),
        lambda: reader.set_extended(b"/f", b"user.a", b"", 0),
    ]
    for change in changes:
        with raises(errno.EROFS):
            change()
    assert get(writer, b"/f") == b"content"


def test_a_site_that_nobody_has_made_is_not_made_by_who_may_only_read(
    site: Site, mount: Mount
) -> None:
    with pytest.raises(UsageError, match="is not in store"):
        mount(site, read_only=True)


def test_a_store_that_is_away_and_comes_back(site: Site, mount: Mount) -> None:
    store = dying(site.store)
    filesystem = open_site(store, site, ROOT, timeout=0)
    put(filesystem, b"/f", b"before")
    store.left = 0
    with raises(errno.EIO):
        filesystem.names(b"/")
    store.left = 1 << 60
    put(filesystem, b"/f", b"after")
    assert filesystem.close() == []
    assert get(mount(site), b"/f") == b"after"


def test_what_could_not_be_written_is_written_when_the_store_is_back(
    site: Site, mount: Mount
) -> None:
    seconds = 0.0
    store = dying(site.store)
    filesystem = open_site(store, site, ROOT, clock=lambda: seconds)
    put(filesystem, b"/f", b"before")
    handle = filesystem.open(b"/f", os.O_WRONLY | os.O_TRUNC)
    filesystem.write(handle, b"after", 0)
    store.left = 0
    with raises(errno.EIO):
        filesystem.flush(handle)
    filesystem.release(handle)
    store.left = 1 << 60
    seconds += 10
    filesystem.write_pending()
    assert get(mount(site), b"/f") == b"after"
    assert filesystem.close() == []


def test_what_can_never_be_written_is_told_in_the_end(site: Site) -> None:
    store = dying(site.store)
    filesystem = open_site(store, site, ROOT)
    handle = filesystem.create(b"/page.html", os.O_WRONLY, 0o644, ROOT)
    filesystem.write(handle, b"content", 0)
    store.left = 0
    with raises(errno.EIO):
        filesystem.flush(handle)
    filesystem.release(handle)
    lost = filesystem.close()
    assert len(lost) >= 1
    assert lost[0].startswith("/page.html: ")


def test_no_store(site: Site) -> None:
    with closing(dying(site.store)) as store:
        store.left = 0
        with pytest.raises(StoreError):
            open_site(store, site, ROOT)


def test_a_store_without_room(mount: Mount) -> None:
    """What did not fit is kept, told, and written when there is room."""
    with reachable_directory() as directory:
        memcached = Memcached(directory, "-M", "-m", "8", "-I", "1m")
        memcached.start()
        site = Site(name="full.example", source="store", store=f"memcached://{memcached.socket}")
        seconds = 0.0
        filesystem = mount(site, clock=lambda: seconds)
        written, refused = fill(filesystem)
        for name, content in {**written, **refused}.items():
            assert get(filesystem, name) == content

        first, second, *_ = written
        written[first] = os.urandom(SIZE)  # takes the place of the old one
        put(filesystem, first, written[first])
        filesystem.remove(second)
        del written[second]
        seconds += 10
        filesystem.write_pending()
        assert filesystem.close() == []
        again = mount(site)
        for name, content in {**written, **refused}.items():
            assert get(again, name) == content
        memcached.end()


SIZE = 100_000


def fill(filesystem: Filesystem) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Write files until the store is full; return those before the last one, and that."""
    before = filesystem.space()
    assert 0 < before.free <= before.total
    written: dict[bytes, bytes] = {}
    while len(written) < 200:
        name, content = b"/%d.bin" % len(written), os.urandom(SIZE)
        handle = filesystem.create(name, os.O_WRONLY, 0o644, ROOT)
        filesystem.write(handle, content, 0)
        try:
            filesystem.flush(handle)
        except OSError as error:
            reason = error.errno
            break
        finally:
            filesystem.release(handle)
        written[name] = content
    assert reason == errno.ENOSPC
    assert filesystem.space().free < before.free
    assert len(written) > 5
    return written, {name: content}


def test_a_file_that_is_cut_to_the_size_it_has_keeps_its_times(filesystem: Filesystem) -> None:
    """As in a tmpfs (truncate(2): "if the size changed")."""
    put(filesystem, b"/page", b"content")
    filesystem.change_times(b"/page", None, 10**18)
    before = filesystem.attributes(b"/page")
    filesystem.truncate(b"/page", len(b"content"))
    assert filesystem.attributes(b"/page") == before
    filesystem.truncate(b"/page", 3)
    assert filesystem.attributes(b"/page").mtime_ns > 10**18
    assert get(filesystem, b"/page") == b"con"
