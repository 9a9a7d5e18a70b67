"""What the watcher says of files that are being written, with a clock that can be set."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memfis.watch import TreeWatcher
from memfis.watch.writing import FORSAKEN, HELD
from support.renaming import exchange


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watcher(tmp_path: Path, clock: Clock) -> Iterator[TreeWatcher]:
    (tmp_path / "page.html").write_text("page")
    watcher = TreeWatcher(os.fsencode(tmp_path), clock)
    watcher.start()
    yield watcher
    watcher.close()


def test_a_file_that_is_held_open_is_told_of_once(
    watcher: TreeWatcher, clock: Clock, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    with page.open("w") as file:
        file.write("half")
        file.flush()
        assert not watcher.read()
        assert list(watcher.writing()) == [(os.fsencode(page), False)]
        assert watcher.due == clock.now + HELD
        clock.now += HELD
        assert list(watcher.writing()) == [(os.fsencode(page), True)]
        assert watcher.read().directories == {os.fsencode(tmp_path)}
        assert not watcher.read()
    assert watcher.read().names == {os.fsencode(page)}
    assert list(watcher.writing()) == []
    assert watcher.due is None


def test_a_file_that_nobody_closes_is_taken_for_whole_in_the_end(
    watcher: TreeWatcher, clock: Clock, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    os.truncate(page, 2)
    assert not watcher.read()
    clock.now += HELD
    assert watcher.read().names == {os.fsencode(page)}
    clock.now += FORSAKEN / 2
    os.truncate(page, 1)
    assert not watcher.read()  # that was a sign of life
    clock.now += FORSAKEN / 2
    assert not watcher.read()
    clock.now += FORSAKEN / 2
    assert watcher.read().names == {os.fsencode(page)}
    assert list(watcher.writing()) == []


def test_a_file_that_is_linked_to_its_name_needs_no_writer(
    watcher: TreeWatcher, clock: Clock, tmp_path: Path
) -> None:
    descriptor = os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY, 0o644)
    here = f"/proc/self/fd/{descriptor}"
    os.link(here, tmp_path / "linked.html", src_dir_fd=descriptor)
    os.close(descriptor)
    watcher.read()
    clock.now += HELD
    assert os.fsencode(tmp_path / "linked.html") in watcher.read().names
    assert list(watcher.writing()) == []


def test_a_written_hard_link_may_have_changed_other_pages(
    watcher: TreeWatcher, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text("one name")
    assert not watcher.read().elsewhere
    os.link(tmp_path / "page.html", tmp_path / "other.html")
    assert not watcher.read().elsewhere  # nothing was written
    (tmp_path / "other.html").write_text("two names")
    assert watcher.read().elsewhere


def test_a_renamed_directory_is_watched_where_it_is(watcher: TreeWatcher, tmp_path: Path) -> None:
    (tmp_path / "one" / "below").mkdir(parents=True)
    watcher.read()
    (tmp_path / "one").rename(tmp_path / "two")
    watcher.read()
    (tmp_path / "two" / "below" / "page.html").write_text("page")
    assert watcher.read().names == {os.fsencode(tmp_path / "two" / "below" / "page.html")}
    assert watcher.directories == 3


def test_exchanged_directories_are_watched_where_they_are(
    watcher: TreeWatcher, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name / f"below {name}").mkdir(parents=True)
    watcher.read()
    exchange(tmp_path / "one", tmp_path / "two")
    assert watcher.read().trees >= {os.fsencode(tmp_path / name) for name in ("one", "two")}
    assert watcher.directories == 5
    pages = [tmp_path / "one" / "page.html", tmp_path / "two" / "page.html"]
    pages += [tmp_path / "one" / "below two" / "page.html"]
    for page in pages:
        page.write_text("page")
    assert watcher.read().names == {os.fsencode(page) for page in pages}


def test_a_link_in_the_place_of_a_directory_is_not_taken_for_it(
    watcher: TreeWatcher, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    watcher.read()
    (tmp_path / "here").mkdir()
    (tmp_path / "here").rmdir()
    (tmp_path / "here").symlink_to("there")
    watcher.read()
    (tmp_path / "there" / "page.html").write_text("page")
    assert watcher.read().names == {os.fsencode(tmp_path / "there" / "page.html")}


def calls_to_forget(watcher: TreeWatcher, top: Path, number: int) -> int:
    """Return how many functions are called while `number` directories at `top` are removed."""
    branch = top
    for each in range(number):  # some beside each other, some below
        branch = (top if each % 10 == 0 else branch) / f"d{each}"
        branch.mkdir(parents=True)
    watcher.read()
    watched = watcher.directories
    shutil.rmtree(top)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        changes = watcher.read()
    finally:
        sys.setprofile(None)
    assert not changes.everything
    assert watcher.directories == watched - number - 1
    return calls


def test_removing_twice_as_many_directories_is_twice_as_much_work(
    watcher: TreeWatcher, tmp_path: Path
) -> None:
    for each in range(300):
        (tmp_path / "stays" / str(each)).mkdir(parents=True)
    few = calls_to_forget(watcher, tmp_path / "few", 200)
    many = calls_to_forget(watcher, tmp_path / "many", 400)
    assert many < 2.2 * few


def test_files_that_are_written_cost_nothing_where_directories_go(
    watcher: TreeWatcher, tmp_path: Path
) -> None:
    before = calls_to_forget(watcher, tmp_path / "before", 100)
    (tmp_path / "held").mkdir()
    watcher.read()
    with contextlib.ExitStack() as stack:
        for each in range(200):
            held = stack.enter_context((tmp_path / "held" / str(each)).open("w"))
            held.write("half")
            held.flush()
        watcher.read()
        assert len(list(watcher.writing())) == 200
        assert (
            calls_to_forget(watcher, tmp_path / "later", 100) < before + 10 * 200
        )  # not 100 * 200


def test_what_is_written_in_a_directory_that_goes_is_forgotten(
    watcher: TreeWatcher, tmp_path: Path
) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    watcher.read()
    with (below / "page.html").open("w") as file:
        file.write("half")
        file.flush()
        watcher.read()
        assert len(list(watcher.writing())) == 1
        (tmp_path / "a").rename(tmp_path.with_suffix(".away"))
        watcher.read()
        assert list(watcher.writing()) == []


class Followed:
    """A web root, and a directory outside that links in it may lead into."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.root.mkdir()
        self.shared = directory / "shared"
        self.watcher = TreeWatcher(
            os.fsencode(self.root), follow=[os.fsencode(directory / "shared")]
        )

    def write(self, path: Path) -> None:
        """Write a file, and hear of it."""
        path.write_text("page")
        assert self.watcher.read().names == {os.fsencode(path.resolve())}


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    followed = Followed(tmp_path)
    yield followed
    followed.watcher.close()


def test_what_links_may_lead_into_is_watched(followed: Followed) -> None:
    (followed.shared / "uploads").mkdir(parents=True)
    followed.watcher.start()
    assert followed.watcher.directories == 3
    followed.write(followed.shared / "uploads" / "photo.html")
    followed.write(followed.root / "page.html")


def test_what_links_may_lead_into_may_come_and_go(followed: Followed) -> None:
    followed.watcher.start()
    for _ in range(2):
        (followed.shared / "uploads").mkdir(parents=True)
        assert followed.watcher.read().everything
        followed.write(followed.shared / "uploads" / "photo.html")
        shutil.rmtree(followed.shared)
        assert followed.watcher.read().everything
        followed.write(followed.root / "page.html")


def test_what_links_may_lead_into_may_be_switched(followed: Followed, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        followed.shared.unlink(missing_ok=True)
        followed.shared.symlink_to(name)
        if name == "one":
            followed.watcher.start()
        else:
            assert str(followed.shared) in followed.watcher.read().everything
        followed.write(tmp_path / name / "photo.html")
    (tmp_path / "one" / "photo.html").write_text("nobody looks there any more")
    assert not followed.watcher.read()


@pytest.mark.parametrize("target", ["root", "root/below", ".", "/"])
def test_links_may_not_be_led_around_the_root(
    followed: Followed, tmp_path: Path, target: str
) -> None:
    (followed.root / "below").mkdir()
    followed.shared.symlink_to(target)
    followed.watcher.start()
    assert followed.watcher.left_out == [os.fsencode(followed.shared)]
    assert followed.watcher.directories == 2
    followed.shared.unlink()
    assert followed.watcher.read().everything
    followed.shared.mkdir()
    assert followed.watcher.read().everything
    assert followed.watcher.left_out == []
    followed.write(followed.shared / "photo.html")
