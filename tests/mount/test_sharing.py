"""Several mounts of a site, and a mount beside an agent."""

import errno
import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from mount.conftest import SITE, Items, Mounts
from support.agent import Agent
from support.command import memfis
from support.memcached import Memcached
from support.mount import run
from support.process import wait_for


def has_names(root: Path, names: set[str]) -> bool:
    """Whether these and no others are in `root`."""
    return set(os.listdir(root)) == names


def test_no_entry_is_lost(new_mount: Mounts) -> None:
    one, two = new_mount(name="one").path, new_mount(name="two").path

    def fill(root: Path, name: str) -> None:
        for number in range(300):
            (root / f"{name}-{number}.html").write_text(f"{name} {number}")

    with ThreadPoolExecutor() as both:
        list(both.map(fill, (one, two), ("one", "two")))
    names = {f"{name}-{number}.html" for name in ("one", "two") for number in range(300)}
    for root in (one, two):
        wait_for(partial(has_names, root, names), "all names to be there")
        assert (root / "one-7.html").read_text() == "one 7"
        assert (root / "two-7.html").read_text() == "two 7"
    three = new_mount(name="three").path
    assert set(os.listdir(three)) == names


def test_a_directory_that_both_make(new_mount: Mounts) -> None:
    one, two = new_mount(name="one").path, new_mount(name="two").path

    def fill(root: Path, name: str) -> None:
        for number in range(30):
            (root / str(number)).mkdir(exist_ok=True)
            (root / str(number) / name).write_text(name)

    with ThreadPoolExecutor() as both:
        list(both.map(fill, (one, two), ("one", "two")))
    three = new_mount(name="three").path
    for number in range(30):
        assert sorted(os.listdir(three / str(number))) == ["one", "two"]


@pytest.mark.parametrize("seconds", [0, 0.5])
def test_a_change_is_seen_within_the_timeout(new_mount: Mounts, seconds: float) -> None:
    flags = ("--attribute-timeout", str(seconds))
    one, two = new_mount(*flags, name="one").path, new_mount(*flags, name="two").path

    def later() -> None:
        time.sleep(seconds)

    (one / "page").write_text("first")
    later()
    assert (two / "page").read_text() == "first"
    assert not (two / "none").exists()
    (one / "page").write_text("second, longer")
    (one / "none").touch()
    later()
    assert (two / "none").exists()
    assert (two / "page").stat().st_size == 14
    assert (two / "page").read_text() == "second, longer"
    (two / "page").chmod(0o600)
    (two / "none").rename(two / "page2")
    later()
    assert (one / "page").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(one)) == ["page", "page2"]
    (one / "page").unlink()
    (one / "page2").unlink()
    (one / "page2").mkdir()
    later()
    assert os.listdir(two) == ["page2"]
    assert (two / "page2").is_dir()
    (two / "page2").rmdir()
    later()
    assert not (one / "page2").exists()


def test_the_same_size_and_time_but_other_content(new_mount: Mounts) -> None:
    one, two = new_mount(name="one").path, new_mount(name="two").path
    (one / "page").write_text("one")
    os.utime(one / "page", ns=(0, 0))
    time.sleep(1)
    assert (two / "page").read_text() == "one"
    (one / "page").write_text("two")
    os.utime(one / "page", ns=(0, 0))
    time.sleep(1)
    assert (two / "page").read_text() == "two"


def test_what_another_host_closed_stays_closed(new_mount: Mounts, items: Items) -> None:
    a, b = new_mount(name="a").path, new_mount(name="b").path
    (a / "d").mkdir()
    (a / "f.txt").write_text("f")
    (a / "d" / "h.txt").write_text("h")
    time.sleep(1)
    with (b / "f.txt").open("a") as f, (b / "d" / "h.txt").open("a") as h:
        (a / "f.txt").chmod(0o600)
        (a / "d").chmod(0o700)
        f.write("written")
        h.write("written")
    assert items.pages() == set()
    assert items.private("/f.txt") == b"fwritten"
    assert items.private("/d/h.txt") == b"hwritten"
    time.sleep(1)
    for root in (a, b):
        assert stat.S_IMODE((root / "f.txt").stat().st_mode) == 0o600
        assert stat.S_IMODE((root / "d").stat().st_mode) == 0o700


@pytest.mark.parametrize("times", range(5))
def test_what_is_put_where_another_host_has_just_closed(
    new_mount: Mounts, items: Items, times: int
) -> None:
    a, b = new_mount(name="a").path, new_mount(name="b").path
    (a / "d").mkdir()
    (a / "d" / "old.txt").write_text("old")
    (a / "f.txt").write_text("f")
    wait_for((b / "f.txt").exists, "the other mount to see it")
    assert (b / "d" / "old.txt").read_text() == "old"
    (a / "d").chmod(0o700)
    (b / "d" / "new.txt").write_text("new")
    with (b / "d" / "old.txt").open("a") as file:
        file.write("appended")
    (b / "f.txt").rename(b / "d" / "f.txt")
    (b / "link").symlink_to("d/new.txt")
    assert items.pages() == set()
    assert items.privates() == {"/d/new.txt", "/d/old.txt", "/d/f.txt"}


def test_the_top_that_another_host_closed(new_mount: Mounts, items: Items) -> None:
    a, b = new_mount(name="a").path, new_mount(name="b").path
    (b / "page").write_text("page")
    a.chmod(0o700)
    (b / "new").write_text("new")
    time.sleep(1)
    assert items.pages() == set()
    assert stat.S_IMODE(b.stat().st_mode) == 0o700
    assert stat.S_IMODE(a.stat().st_mode) == 0o700


def test_a_file_that_another_host_has_removed_is_made_anew(new_mount: Mounts, items: Items) -> None:
    a, b = new_mount(name="a").path, new_mount(name="b").path
    for number in range(10):
        content = f"written {number}"
        (a / "f").write_text("f")
        wait_for((b / "f").exists, "the other mount to see it")
        time.sleep(0.6)
        assert not (b / str(number)).exists()  # so the mount has read the directory just now
        time.sleep(0.05 * number)
        assert (b / "f").exists()  # and the kernel relies on this name for longer
        (a / "f").unlink()
        time.sleep(0.45 - 0.04 * number)
        (b / "f").write_text(content)
        assert items.page("/f") == content.encode()
        wait_for((a / "f").exists, "the other mount to see it")


def test_a_file_that_another_host_has_taken_away_is_not_there(new_mount: Mounts) -> None:
    a, b = new_mount(name="a").path, new_mount(name="b").path

    def taken(change: Callable[[], object]) -> int | None:
        (a / "f").write_text("x")
        (a / "f").chmod(0o644)
        wait_for((b / "f").exists, "the other mount to see it")
        assert (a / "f").read_text() == "x"
        change()
        try:
            assert (a / "f").read_text() == "x"
        except OSError as error:
            return error.errno
        return None

    gone = (errno.ENOENT, errno.ESTALE)
    assert taken((b / "f").unlink) in gone
    assert taken(lambda: (b / "f").rename(b / "g")) in gone
    assert taken(lambda: (b / "f").chmod(0o600)) is None


def test_read_only(new_mount: Mounts) -> None:
    (new_mount(name="rw").path / "page").write_text("page")
    path = new_mount("--read-only", name="ro").path
    assert (path / "page").read_text() == "page"
    for call in (
        lambda: (path / "page").write_text("x"),
        lambda: (path / "new").mkdir(),
        lambda: (path / "page").unlink(),
        lambda: (path / "page").chmod(0),
    ):
        with pytest.raises(OSError, match="Read-only file system"):
            call()


def test_read_only_beside_an_agent(
    directory: Path, memcached: Memcached, new_mount: Mounts, items: Items
) -> None:
    web = directory / "root"
    (web / "docs").mkdir(parents=True)
    (web / "index.html").write_text("front page")
    (web / "docs" / "index.html").write_text("documentation " * 100)
    (web / "docs" / "logo.png").write_bytes(os.urandom(1000))
    (web / "link.html").symlink_to("index.html")
    site = {"name": SITE, "root": str(web), "store": f"memcached://{memcached.socket}"}
    agent = Agent(directory, {}, [site])
    try:
        agent.start()
        mount = new_mount()
        assert "read-only" in mount.said()
        assert str(web) in mount.said()
        assert run("diff", "-r", web, mount.path) == ""
        with pytest.raises(OSError, match="Read-only file system"):
            (mount.path / "new").touch()
        (web / "docs" / "new.html").write_text("new")
        (web / "docs" / "logo.png").unlink()
        (web / "index.html").write_text("changed")
        wait_for(lambda: items.page("/") == b"changed", "the agent to see it")
        wait_for(lambda: items.page("/docs/new.html") == b"new", "the agent to see it")
        time.sleep(1)
        assert run("diff", "-r", web, mount.path) == ""
        before = memcached.items()
        mount.unmount()
        assert memcached.items() == before
        verified = memfis("verify", "--root", web, "--name", SITE, "--store", site["store"])
        assert verified.returncode == 0, verified
    finally:
        agent.end()
