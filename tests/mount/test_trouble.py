"""Stores that go away, begin anew, are full: no call hangs, and what cannot be is told."""

import errno
import os
import pwd
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event, Thread

from mount.conftest import SITE, Items, Mounts
from mount.test_operations import errno_of
from support.command import memfis, memfis_json
from support.memcached import Memcached
from support.mount import Mount, mounted
from support.process import wait_for

ANSWER = 12
"""Seconds within which every call must be answered: the store's timeout is five, asked twice."""


def errno_or_zero(call: Callable[[], object]) -> int:
    """Return the errno that `call` fails with, 0 when it does not."""
    try:
        call()
    except OSError as error:
        return error.errno or 0
    return 0


def succeeds(call: Callable[[], object]) -> bool:
    """Whether `call` does not fail for want of the store."""
    try:
        call()
    except OSError as error:
        assert error.errno in (errno.EIO, errno.ENOENT)  # noqa: PT017
        return False
    return True


def test_a_store_that_goes_and_comes_back(mount: Mount, memcached: Memcached) -> None:
    root = mount.path
    (root / "page").write_text("page")
    memcached.end()
    assert errno_of(lambda: (root / "new").write_text("new")) == errno.EIO
    assert "cannot be reached" in mount.said()
    memcached.start()  # empty
    wait_for(
        lambda: succeeds(lambda: (root / "other").write_text("other")), "the store to be used again"
    )
    assert (root / "other").read_text() == "other"
    assert "answers again" in mount.said()


def test_what_could_not_be_written_is_kept_and_written_later(
    mount: Mount, memcached: Memcached, items: Items
) -> None:
    root = mount.path
    (root / "page").write_text("old")
    file = os.open(root / "page", os.O_WRONLY | os.O_TRUNC)
    os.write(file, b"new")
    memcached.freeze()
    began = time.monotonic()
    assert errno_of(lambda: os.close(file)) == errno.EIO
    assert time.monotonic() - began < ANSWER
    memcached.thaw()
    wait_for(lambda: items.page("/page") == b"new", "the page to be written")
    wait_for(lambda: succeeds((root / "page").read_text), "the store to be asked again")
    assert (root / "page").read_text() == "new"


def test_a_frozen_store_lets_no_call_hang(mount: Mount, memcached: Memcached) -> None:
    root = mount.path
    (root / "d").mkdir()
    (root / "d" / "page").write_text("page")
    time.sleep(1)
    memcached.freeze()
    calls = (
        lambda: (root / "d" / "page").read_text(),
        lambda: (root / "d" / "new").write_text("x"),
        lambda: os.listdir(root / "d"),
        lambda: (root / "e").mkdir(),
        lambda: (root / "d" / "page").rename(root / "page"),
        lambda: (root / "d" / "page").unlink(),
    )
    for call in calls:
        began = time.monotonic()
        assert errno_of(call) == errno.EIO
        assert time.monotonic() - began < ANSWER
    memcached.thaw()
    wait_for(lambda: succeeds((root / "d" / "page").stat), "the store to be asked again")
    assert (root / "d" / "page").read_text() == "page"


def test_a_store_killed_and_started_while_files_are_copied(
    mount: Mount, memcached: Memcached, items: Items, new_mount: Mounts
) -> None:
    root = mount.path
    over = Event()
    slowest = 0.0
    reported: list[tuple[float, str]] = []
    failed: set[int] = set()

    def copy() -> None:
        nonlocal slowest
        for number in range(100_000):
            if over.is_set():
                return
            began = time.monotonic()
            try:
                (root / str(number % 10)).mkdir(exist_ok=True)
                (root / str(number % 10) / f"{number}.html").write_text(f"{number}" * 100)
                reported.append((time.monotonic(), f"/{number % 10}/{number}.html"))
            except OSError as error:
                failed.add(error.errno or 0)
            slowest = max(slowest, time.monotonic() - began)

    thread = Thread(target=copy)
    thread.start()
    try:
        restarted = 0.0
        for _ in range(3):
            time.sleep(0.5)
            memcached.end()
            time.sleep(0.5)
            memcached.start()
            restarted = time.monotonic()
        wait_for(lambda: bool(reported) and reported[-1][0] > restarted + 1, "copying to go on")
    finally:
        over.set()
        thread.join()
    assert slowest < ANSWER
    assert failed <= {errno.EIO, errno.ENOENT}
    kept = items.pages()
    lost = {page for when, page in reported if page not in kept}
    assert not {page for when, page in reported if when > restarted + 1} & lost
    mount.unmount()
    flags = ("--name", SITE, "--store", f"memcached://{memcached.socket}")
    again = new_mount(name="again").path
    for page in kept:
        assert (again / page[1:]).exists(), page
    assert memfis("verify", *flags).returncode in (0, 1)


def test_a_site_that_the_store_lost_as_a_whole_is_told_by_verify(
    mount: Mount, memcached: Memcached, new_mount: Mounts
) -> None:
    flags = ("--name", SITE, "--store", f"memcached://{memcached.socket}")
    (mount.path / "page.html").write_text("lost")
    assert memfis("verify", *flags).returncode == 0
    memcached.end()
    memcached.start()
    wait_for(lambda: succeeds(partial((mount.path / "new.html").write_text, "new")), "a new site")
    done = memfis("verify", *flags)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "lost /")
    mount.unmount()
    assert (new_mount(name="again").path / "new.html").read_text() == "new"
    assert memfis("verify", *flags).returncode == 0


def test_the_top_has_its_owner_again_when_the_store_was_lost(
    new_mount: Mounts, memcached: Memcached
) -> None:
    """Case R13, after a restart of a host: the store is empty, and nobody runs the play again."""
    for _ in range(2):
        mount = new_mount("--owner", "nobody", "--group", "4321", "--mode", "0775")
        top = mount.path.stat()
        user = pwd.getpwnam("nobody")
        assert (top.st_uid, top.st_gid, stat.S_IMODE(top.st_mode)) == (user.pw_uid, 4321, 0o775)
        mount.unmount()
        memcached.end()
        memcached.start()
    mount = new_mount()
    mount.path.chmod(0o700)
    mount.unmount()
    top = new_mount("--owner", "nobody", "--mode", "775").path.stat()
    assert (top.st_uid, stat.S_IMODE(top.st_mode)) == (os.geteuid(), 0o700)  # the site's own


def test_what_the_store_lost_is_told_by_verify(
    mount: Mount, memcached: Memcached, items: Items
) -> None:
    (mount.path / "kept.html").write_text("kept")
    (mount.path / "lost.html").write_text("lost")
    (mount.path / ".private").write_text("private")
    items.store.delete_many([b"memfis://site.example/lost.html"])
    mount.unmount()
    done = memfis("verify", "--name", SITE, "--store", f"memcached://{memcached.socket}")
    assert done.returncode == 1
    assert "/lost.html" in done.stdout
    assert "/kept.html" not in done.stdout


def test_a_page_that_the_store_lost_is_an_error_and_not_empty(root: Path, items: Items) -> None:
    (root / "page").write_text("page")
    items.store.delete_many([b"memfis://site.example/page"])
    time.sleep(1)
    assert errno_of((root / "page").read_text) == errno.EIO
    (root / "page").write_text("again")
    assert (root / "page").read_text() == "again"


def test_a_full_store(directory: Path, memcached: Memcached, items: Items) -> None:
    memcached.end()
    full = Memcached(directory, "-M", "-m", "32", "-I", "1m")
    full.start()
    try:
        with mounted(directory, full.socket) as mount:
            check_full(mount.path, items)
    finally:
        full.end()


def check_full(root: Path, items: Items) -> None:
    content = os.urandom(100_000)
    page = root / "page.bin"
    page.write_bytes(content)
    others = (root / f"{number}.bin" for number in range(1000))
    written = []
    for other in others:
        if errno_or_zero(partial(other.write_bytes, content)) == errno.ENOSPC:
            break
        written.append(other)
    assert 50 < len(written) < 400
    # memcached gives up an item that it has no room to overwrite: the mount must still have it.
    for size in range(200_000, 1_000_000, 100_000):
        data = os.urandom(size)
        if errno_or_zero(partial(page.write_bytes, data)) == errno.ENOSPC:
            break
    assert page.read_bytes() == data
    for other in written:
        other.unlink()
    wait_for(lambda: items.page("/page.bin") == data, "the page to be written")
    (root / "new.bin").write_bytes(content)
    assert items.page("/new.bin") == content


def test_a_web_root_on_a_mount_whose_process_was_killed_is_not_known(
    directory: Path, memcached: Memcached
) -> None:
    """What cannot be compared is told, and is no stray."""
    root = directory / "root"
    (root / "docs").mkdir(parents=True)
    for file in ("page.html", "docs/page.html"):
        (root / file).write_text(file)
    store = f"memcached://{memcached.socket}"
    flags = ("--name", "web.example", "--store", store, "--root")
    assert memfis("sync", *flags, root).returncode == 0
    (root / "docs" / "page.html").unlink()
    with mounted(root, memcached.socket, name="docs") as mount:
        mount.log.unlink()
        mount.kill()
        wait_for(lambda: errno_or_zero(lambda: (root / "docs").stat()) == errno.ENOTCONN, "its end")
        [site] = memfis_json("verify", *flags, root)["sites"]
        assert site["differences"] == [{"path": "/docs", "what": "unknown"}]
        done = memfis("verify", *flags, root / "docs")
        assert (done.returncode, done.stdout) == (2, "web.example: 0 compared, 0 differ\n")
        [line] = done.stderr.splitlines()
        assert "Transport endpoint is not connected" in line
