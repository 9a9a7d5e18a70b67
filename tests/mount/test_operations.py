"""What the kernel asks of a filesystem, each as POSIX has it."""

import ctypes
import errno
import fcntl
import mmap
import os
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from mount.conftest import Items, Mounts
from support.mount import Mount, run
from support.process import wait_for

KEEP_SIZE, PUNCH_HOLE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


def errno_of(call: Callable[[], object]) -> int:
    """Return the errno that `call` fails with."""
    try:
        call()
    except OSError as error:
        return error.errno or 0
    pytest.fail("it did not fail")


def rename(old: Path, new: Path, flags: int) -> None:
    """Call renameat2(2); raises OSError."""
    if _libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def test_reading_and_writing_at_any_offset(root: Path, items: Items) -> None:
    file = os.open(root / "a", os.O_RDWR | os.O_CREAT)
    assert os.pwrite(file, b"world", 10) == 5
    assert os.pwrite(file, b"hello", 0) == 5
    assert os.pread(file, 100, 0) == b"hello\0\0\0\0\0world"
    assert os.pread(file, 3, 11) == b"orl"
    assert os.pread(file, 3, 15) == b""
    assert os.fstat(file).st_size == 15
    os.close(file)
    assert items.page("/a") == b"hello\0\0\0\0\0world"
    with (root / "a").open("r+b") as again:
        again.seek(4)
        again.write(b"O, ")
    assert (root / "a").read_bytes() == b"hellO, \0\0\0world"


def test_large_files_in_pieces(root: Path) -> None:
    content = os.urandom(3_000_001)
    with (root / "large.bin").open("wb", buffering=0) as file:
        for start in range(0, len(content), 65_537):
            file.write(content[start : start + 65_537])
    assert (root / "large.bin").read_bytes() == content


def test_append_and_truncate(root: Path) -> None:
    path = root / "log"
    path.write_bytes(b"one\n")
    with path.open("ab") as first, path.open("ab") as second:
        first.write(b"two\n")
        first.flush()
        second.write(b"three\n")
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    os.truncate(path, 3)
    assert path.read_bytes() == b"one"
    os.truncate(path, 5)
    assert path.read_bytes() == b"one\0\0"
    with path.open("r+b") as file:
        file.truncate(1)
        assert os.fstat(file.fileno()).st_size == 1
    assert path.stat().st_size == 1
    path.write_bytes(b"new")
    assert path.read_bytes() == b"new"


def test_a_file_is_published_when_it_is_closed_or_synced(root: Path, items: Items) -> None:
    (root / "page.html").write_text("old")
    file = os.open(root / "page.html", os.O_WRONLY | os.O_TRUNC)
    os.write(file, b"ne")
    assert items.page("/page.html") == b"old"
    os.write(file, b"w")
    os.fsync(file)
    assert items.page("/page.html") == b"new"
    os.write(file, b"er")
    os.fdatasync(file)
    assert items.page("/page.html") == b"newer"
    os.write(file, b"!")
    os.close(file)
    assert items.page("/page.html") == b"newer!"


def test_create_exclusively(root: Path) -> None:
    exclusive = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    os.close(os.open(root / "a", exclusive))
    assert errno_of(lambda: os.open(root / "a", exclusive)) == errno.EEXIST
    os.close(os.open(root / "a", os.O_CREAT | os.O_WRONLY))
    assert errno_of(lambda: os.open(root / "none", os.O_RDONLY)) == errno.ENOENT
    assert errno_of(lambda: os.open(root, os.O_WRONLY)) == errno.EISDIR
    assert errno_of(lambda: os.open(root / "a" / "b", os.O_RDONLY)) == errno.ENOTDIR


def test_directories(root: Path) -> None:
    assert root.stat().st_nlink == 2
    (root / "d").mkdir(mode=0o750)
    (root / "d" / "e").mkdir()
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o750
    assert (root.stat().st_nlink, (root / "d").stat().st_nlink) == (3, 3)
    assert errno_of((root / "d").mkdir) == errno.EEXIST
    assert errno_of((root / "d").rmdir) == errno.ENOTEMPTY
    assert errno_of((root / "none" / "d").mkdir) == errno.ENOENT
    (root / "d" / "e").rmdir()
    (root / "d").rmdir()
    assert os.listdir(root) == []
    assert root.stat().st_nlink == 2
    (root / "file").touch()
    assert errno_of((root / "file").rmdir) == errno.ENOTDIR
    assert errno_of(lambda: os.unlink(root / "none")) == errno.ENOENT


def test_many_names_are_listed_with_what_they_are(root: Path) -> None:
    names = {f"file-{number:04}" for number in range(1000)}
    for name in names:
        (root / name).touch()
    (root / "directory").mkdir()
    (root / "link").symlink_to("directory")
    with os.scandir(root) as found:
        kinds = {e.name: (e.is_dir(follow_symlinks=False), e.is_symlink()) for e in found}
    assert set(kinds) == names | {"directory", "link"}
    assert kinds["directory"] == (True, False)
    assert kinds["link"] == (False, True)
    assert all(os.lstat(root / name).st_ino for name in kinds)
    with os.scandir(root) as found:
        assert all(entry.inode() == os.lstat(entry.path).st_ino for entry in found)


def test_a_directory_that_is_renamed_while_it_is_listed(root: Path) -> None:
    (root / "old").mkdir()
    (root / "old" / "file").touch()
    descriptor = os.open(root / "old", os.O_RDONLY)
    (root / "old").rename(root / "new")
    assert os.listdir(descriptor) == ["file"]
    os.close(descriptor)


def test_names_of_any_bytes(root: Path) -> None:
    names = [b"caf\xe9", "café".encode(), b"\xff\xfe", b"a\nb", b"100%", b"a b?c#d", b"*", b"\x7f"]
    for name in names:
        path = os.fsencode(root) + b"/" + name
        with open(path, "wb") as file:
            file.write(name)
        with open(path, "rb") as file:
            assert file.read() == name
    assert set(os.listdir(os.fsencode(root))) == set(names)


def test_links(root: Path) -> None:
    (root / "page").write_text("content")
    (root / "link").symlink_to("page")
    assert os.readlink(root / "link") == "page"
    assert (root / "link").read_text() == "content"
    assert stat.S_ISLNK(os.lstat(root / "link").st_mode)
    assert os.lstat(root / "link").st_size == 4
    os.symlink(b"\xff" * 1000, os.fsencode(root) + b"/long")
    assert os.readlink(os.fsencode(root) + b"/long") == b"\xff" * 1000
    (root / "circle").symlink_to("circle")
    assert errno_of((root / "circle").read_text) == errno.ELOOP
    assert errno_of(lambda: os.readlink(root / "page")) == errno.EINVAL
    assert errno_of(lambda: os.link(root / "page", root / "hard")) == errno.EPERM


def test_modes_owners_and_times(root: Path, mount: Mount) -> None:
    path = root / "file"
    path.touch()
    path.chmod(0o4751)
    assert stat.S_IMODE(path.stat().st_mode) == 0o4751
    os.utime(path, ns=(1_000_000_001, 1_234_567_890_123_456_789))
    assert path.stat().st_mtime_ns == 1_234_567_890_123_456_789
    os.utime(path, ns=(0, -1_500_000_000))  # before 1970
    assert path.stat().st_mtime_ns == -1_500_000_000
    before = time.time_ns()
    os.utime(path)
    assert before - 10**9 < path.stat().st_mtime_ns < time.time_ns() + 10**9
    run("touch", "-a", path)
    now = path.stat().st_mtime_ns
    run("touch", "-a", "-d", "2001-02-03", path)
    assert path.stat().st_mtime_ns == now
    run("touch", "-m", "-d", "2001-02-03 04:05:06.789 UTC", path)
    assert path.stat().st_mtime_ns == 981_173_106_789_000_000
    (root / "link").symlink_to("file")
    os.utime(root / "link", ns=(5, 5), follow_symlinks=False)
    assert os.lstat(root / "link").st_mtime_ns == 5
    if os.geteuid() == 0:
        os.chown(path, 1234, -1)
        os.chown(path, -1, 2345)
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)
        os.chown(path, 4_000_000_000, -1)
        assert (path.stat().st_uid, path.stat().st_gid) == (4_000_000_000, 2345)
        os.chown(root / "link", 11, 12, follow_symlinks=False)
        assert (os.lstat(root / "link").st_uid, os.lstat(root / "link").st_gid) == (11, 12)


def test_writing_changes_the_times_of_file_and_directory(root: Path) -> None:
    (root / "d").mkdir()
    os.utime(root / "d", ns=(0, 0))
    (root / "d" / "file").write_text("a")
    assert (root / "d").stat().st_mtime_ns > 0
    os.utime(root / "d" / "file", ns=(0, 0))
    with (root / "d" / "file").open("a") as file:
        file.write("b")
    assert (root / "d" / "file").stat().st_mtime_ns > 0


def test_permissions_hold(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    (root / "secret").write_text("secret")
    (root / "secret").chmod(0o600)
    (root / "page").write_text("page")
    drop = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    assert run(*drop, "cat", root / "page") == "page"
    refused = subprocess.run([*drop, "cat", root / "secret"], capture_output=True, text=True)
    assert "Permission denied" in refused.stderr
    refused = subprocess.run([*drop, "touch", root / "new"], capture_output=True, text=True)
    assert "Permission denied" in refused.stderr
    root.chmod(0o777)
    run(*drop, "touch", root / "new")
    assert ((root / "new").stat().st_uid, (root / "new").stat().st_gid) == (65534, 65534)


def test_the_mask_of_the_caller_counts(root: Path) -> None:
    before = os.umask(0o027)
    try:
        (root / "file").touch()
        (root / "directory").mkdir()
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "directory").stat().st_mode) == 0o750


def test_rename(root: Path, items: Items) -> None:
    (root / "a").write_text("a")
    (root / "b").write_text("b")
    (root / "a").rename(root / "c")
    assert items.pages() == {"/b", "/c"}
    (root / "c").rename(root / "b")
    assert (root / "b").read_text() == "a"
    assert items.page("/b") == b"a"
    (root / "d").mkdir()
    (root / "b").rename(root / "d" / "b")
    assert items.pages() == {"/d/b"}
    assert errno_of(lambda: (root / "d").rename(root / "d" / "e")) == errno.EINVAL
    (root / "file").touch()
    assert errno_of(lambda: (root / "file").rename(root / "d")) == errno.EISDIR
    assert errno_of(lambda: (root / "d").rename(root / "file")) == errno.ENOTDIR
    (root / "full").mkdir()
    (root / "full" / "x").touch()
    assert errno_of(lambda: (root / "d").rename(root / "full")) == errno.ENOTEMPTY


def test_rename_a_directory_with_all_that_is_in_it(root: Path, items: Items) -> None:
    for name in ("old", "old/sub", "old/sub/deeper", "old/empty"):
        (root / name).mkdir()
    for name in ("old/one.html", "old/sub/two.html", "old/sub/deeper/.hidden"):
        (root / name).write_text(name)
    (root / "old/sub/link").symlink_to("two.html")
    (root / "old").rename(root / "new")
    assert items.pages() == {"/new/one.html", "/new/sub/two.html", "/new/sub/link"}
    assert items.privates() == {"/new/sub/deeper/.hidden"}
    assert (root / "new/sub/link").read_text() == "old/sub/two.html"
    assert sorted(os.listdir(root / "new")) == ["empty", "one.html", "sub"]
    assert os.listdir(root) == ["new"]
    (root / "empty").mkdir()
    (root / "new").rename(root / "empty")  # over an empty one
    assert (root / "empty/one.html").read_text() == "old/one.html"


def test_the_flags_of_rename(root: Path) -> None:
    (root / "a").write_text("a")
    (root / "b").write_text("b")
    no_replace, exchange, whiteout = 1, 2, 4
    assert errno_of(lambda: rename(root / "a", root / "b", no_replace)) == errno.EEXIST
    rename(root / "a", root / "c", no_replace)
    assert (root / "c").read_text() == "a"
    assert errno_of(lambda: rename(root / "b", root / "c", exchange)) == errno.EINVAL
    assert errno_of(lambda: rename(root / "b", root / "c", whiteout)) == errno.EINVAL
    assert sorted(os.listdir(root)) == ["b", "c"]


def test_a_file_lives_on_without_its_name(root: Path, items: Items) -> None:
    file = os.open(root / "a", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    os.unlink(root / "a")
    assert os.listdir(root) == []
    os.write(file, b"hello")
    assert os.fstat(file).st_size == 5
    assert os.pread(file, 9, 0) == b"hello"
    os.ftruncate(file, 2)
    os.fchmod(file, 0o600)
    os.utime(file, ns=(3, 4))
    os.fchown(file, 7, 8)
    found = os.fstat(file)
    assert (found.st_size, stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (2, 0o600, 4)
    assert (found.st_uid, found.st_gid) == (7, 8)
    os.setxattr(file, b"user.a", b"one")
    os.setxattr(file, b"user.b", b"two")
    os.removexattr(file, b"user.b")
    assert os.listxattr(file) == ["user.a"]
    assert os.getxattr(file, b"user.a") == b"one"
    assert errno_of(lambda: os.setxattr(file, b"trusted.a", b"")) == errno.EOPNOTSUPP
    with open(f"/proc/self/fd/{file}", "rb") as again:
        assert again.read() == b"he"
    assert os.pread(file, 9, 0) == b"he"
    (root / "a").write_text("another")
    assert os.pread(file, 9, 0) == b"he"
    os.close(file)
    assert items.page("/a") == b"another"
    assert items.pages() | items.privates() == {"/a"}


def test_attributes_of_as_many_bytes_as_are_promised(root: Path) -> None:
    (root / "a").touch()
    os.setxattr(root / "a", "user.a", bytes(65_536))
    assert os.getxattr(root / "a", "user.a") == bytes(65_536)
    assert errno_of(lambda: os.setxattr(root / "a", "user.b", b"x")) == errno.ENOSPC
    os.setxattr(root / "a", "user.a", b"")
    os.setxattr(root / "a", "user.b", b"x")


def test_a_file_is_made_while_others_remove_it(root: Path) -> None:
    """open(2) with O_CREAT finds a file or makes one, whatever happens between both."""
    ended = threading.Event()

    def remove() -> int:
        done = 0
        while not ended.is_set():
            with suppress(FileNotFoundError):
                os.unlink(root / "a")
                done += 1
        return done

    with ThreadPoolExecutor() as other:
        removed = other.submit(remove)
        try:
            for _ in range(500):
                (root / "a").write_text("content")
        finally:
            ended.set()
        assert removed.result() > 10


def test_a_file_lives_on_when_another_is_renamed_over_it(root: Path, items: Items) -> None:
    (root / "a").write_text("old")
    (root / "b").write_text("newer")
    with (root / "a").open("r+") as file:
        (root / "b").rename(root / "a")
        assert os.fstat(file.fileno()).st_size == 3
        assert file.read() == "old"
        assert os.listdir(root) == ["a"]
        file.write(" and changed")
    assert (root / "a").read_text() == "newer"
    assert items.pages() | items.privates() == {"/a"}


def test_nothing_is_left_of_a_directory_with_nameless_files(root: Path, items: Items) -> None:
    (root / "d").mkdir()
    file = os.open(root / "d" / "a", os.O_RDWR | os.O_CREAT)
    os.write(file, b"content")
    os.unlink(root / "d" / "a")
    (root / "d").rename(root / "e")
    assert os.fstat(file).st_size == 7
    (root / "e").rmdir()
    assert os.pread(file, 9, 0) == b"content"
    os.close(file)
    assert os.listdir(root) == []
    assert items.pages() | items.privates() == set()


def test_a_name_like_those_of_libfuse_is_a_name_like_any_other(root: Path) -> None:
    hidden = ".fuse_hidden0000000200000001"
    (root / "a").write_text("a")
    with (root / "a").open() as file:
        (root / "a").rename(root / hidden)
        assert os.listdir(root) == [hidden]
        os.unlink(root / hidden)
        assert file.read() == "a"
    assert os.listdir(root) == []


def test_unmounting_with_a_nameless_file(root: Path, mount: Mount, items: Items) -> None:
    file = os.open(root / "a", os.O_RDWR | os.O_CREAT)
    os.unlink(root / "a")
    run("fusermount3", "-u", "-z", root)  # it is in use
    os.write(file, b"content")
    assert os.pread(file, 9, 0) == b"content"
    os.close(file)
    mount.ended()
    assert items.pages() | items.privates() == set()


def test_temporary_files(root: Path) -> None:
    with tempfile.TemporaryFile(dir=root) as file:
        file.write(b"x" * 100_000)
        file.seek(0)
        assert file.read() == b"x" * 100_000
    assert os.listdir(root) == []


def test_mapped_files(root: Path, items: Items) -> None:
    path = root / "mapped"
    path.write_bytes(b"a" * 10_000)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[5000:5003] = b"xyz"
        memory.flush()
    assert path.read_bytes()[4999:5004] == b"axyza"
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    memory[0:1] = b"!"  # after close(2)
    memory.close()
    wait_for(lambda: (items.page("/mapped") or b"")[:1] == b"!", "what was mapped to be published")


def test_extended_attributes(root: Path, mount: Mount, new_mount: Mounts) -> None:
    path = root / "file"
    path.touch()
    os.setxattr(path, "user.origin", b"https://example.org/\0\xff")
    os.setxattr(path, "user.empty", b"", os.XATTR_CREATE)
    assert sorted(os.listxattr(path)) == ["user.empty", "user.origin"]
    assert os.getxattr(path, "user.origin") == b"https://example.org/\0\xff"
    assert os.getxattr(path, "user.empty") == b""
    create, replace = os.XATTR_CREATE, os.XATTR_REPLACE
    assert errno_of(lambda: os.setxattr(path, "user.empty", b"", create)) == errno.EEXIST
    assert errno_of(lambda: os.setxattr(path, "user.none", b"", replace)) == errno.ENODATA
    assert errno_of(lambda: os.getxattr(path, "user.none")) == errno.ENODATA
    assert errno_of(lambda: os.removexattr(path, "user.none")) == errno.ENODATA
    assert errno_of(lambda: os.getxattr(path, "trusted.a")) == errno.EOPNOTSUPP
    value = ctypes.create_string_buffer(3)
    assert _libc.getxattr(os.fsencode(path), b"user.origin", value, 3) == -1
    assert ctypes.get_errno() == errno.ERANGE
    (root / "directory").mkdir()
    os.setxattr(root / "directory", "user.a", b"1")
    os.removexattr(path, "user.empty")
    path.rename(root / "renamed")
    mount.unmount()
    new_mount()
    assert os.listxattr(root / "renamed") == ["user.origin"]
    assert os.getxattr(root / "directory", "user.a") == b"1"


def test_allocation(root: Path) -> None:
    with (root / "file").open("w+b") as file:
        os.posix_fallocate(file.fileno(), 0, 1000)
        assert os.fstat(file.fileno()).st_size == 1000
        run("fallocate", "--keep-size", "--length", "2000", root / "file")
        assert os.fstat(file.fileno()).st_size == 1000
        file.write(b"x" * 1000)
        file.flush()
        run("fallocate", "--punch-hole", "--offset", "10", "--length", "5", root / "file")
        assert os.pread(file.fileno(), 7, 9) == b"x\0\0\0\0\0x"


def test_special_files_are_refused(root: Path) -> None:
    assert errno_of(lambda: os.mkfifo(root / "pipe")) == errno.EPERM
    assert os.listdir(root) == []
    os.mknod(root / "file")
    assert (root / "file").read_bytes() == b""


def test_locks_are_known_on_this_host(root: Path) -> None:
    with (root / "file").open("w") as one, (root / "file").open("w") as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        assert errno_of(lambda: fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)) == errno.EAGAIN


def test_room(root: Path) -> None:
    found = os.statvfs(root)
    assert found.f_blocks * found.f_frsize == 64 << 20  # memcached -m 64
    assert 0 < found.f_bavail <= found.f_blocks
    assert found.f_namemax == 255
    before = found.f_bfree * found.f_frsize
    (root / "large.bin").write_bytes(os.urandom(4 << 20))
    after = os.statvfs(root)
    assert before - after.f_bfree * after.f_frsize >= 4 << 20


def test_limits(root: Path) -> None:
    (root / ("n" * 180)).touch()
    assert errno_of((root / ("n" * 240)).touch) == errno.ENAMETOOLONG
    assert errno_of((root / ("n" * 240)).mkdir) == errno.ENAMETOOLONG
    assert errno_of((root / ("%" * 100)).touch) == errno.ENAMETOOLONG  # three bytes each in a key
    assert errno_of((root / ("n" * 256)).touch) == errno.ENAMETOOLONG
    with (root / "large").open("wb", buffering=0) as file:
        assert errno_of(lambda: os.pwrite(file.fileno(), b"x", 20 << 20)) == errno.EFBIG  # -I 20m
        assert errno_of(lambda: os.ftruncate(file.fileno(), 21 << 20)) == errno.EFBIG
        file.write(b"small")
    assert (root / "large").read_bytes() == b"small"


def test_all_is_there_after_mounting_again(root: Path, mount: Mount, new_mount: Mounts) -> None:
    (root / "d").mkdir(mode=0o751)
    (root / "d" / "page.html").write_text("page " * 1000)
    (root / "d" / "page.html").chmod(0o640)
    (root / "link").symlink_to("d/page.html")
    os.utime(root / "d" / "page.html", ns=(1, 2_000_000_003))
    os.utime(root / "d", ns=(4, 5_000_000_006))
    os.utime(root, ns=(7, 8_000_000_009))
    root.chmod(0o755)
    kept = ("st_mode", "st_size", "st_mtime_ns", "st_uid", "st_gid", "st_nlink")

    def attributes() -> list[list[int]]:
        paths = (root, root / "d", root / "d" / "page.html", root / "link")
        return [[getattr(os.lstat(path), name) for name in kept] for path in paths]

    before = attributes()
    mount.unmount()
    new_mount()
    assert attributes() == before
    assert (root / "link").read_text() == "page " * 1000
