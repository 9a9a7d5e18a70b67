"""The watch on a web root: what is told, and what is tried again when it fails."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from memfis.keeper import watching as module
from memfis.keeper.journal import Journal
from memfis.keeper.times import NEVER, RETRY
from memfis.keeper.watching import POLL, RECONCILE, Watching
from memfis.service.mount_table import MountTable
from memfis.watch import Changes, TreeWatcher, WatchLimitError
from memfis.watch.mounts import Mount
from memfis.watch.writing import HELD

PATIENCE = 20.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "now", clock)
    return clock


class Keeper:
    """Whom a watch tells what it sees."""

    def __init__(self, root: Path) -> None:
        self.changes: list[Changes] = []
        self.missed = 0
        self.watching = Watching(str(root), Journal("a.example"), self, MountTable())
        self._told = asyncio.Event()

    def changed(self, changes: Changes) -> None:
        self.changes.append(changes)
        self._told.set()

    def missed_changes(self) -> None:
        self.missed += 1

    async def is_told(self) -> Changes:
        """Return the next changes that an event brings."""
        while not self.changes:
            self._told.clear()
            await asyncio.wait_for(self._told.wait(), PATIENCE)
        return self.changes.pop(0)


def watched(root: Path, use: Callable[[Keeper], Coroutine[Any, Any, None]]) -> None:
    """Call `use` within an event loop with a keeper of `root`, which watches in the end no more."""

    async def main() -> None:
        keeper = Keeper(root)
        try:
            await use(keeper)
        finally:
            keeper.watching.stop()
        assert keeper.watching.directories == 0

    asyncio.run(main())


def test_changes_are_told_without_being_asked_for(clock: Clock, tmp_path: Path) -> None:
    async def use(keeper: Keeper) -> None:
        assert (keeper.watching.due, keeper.watching.period) == (0.0, POLL)
        keeper.watching.start_or_read()
        assert keeper.missed == 1  # what happened before
        assert (keeper.watching.directories, keeper.watching.due) == (1, NEVER)
        assert keeper.watching.period == RECONCILE
        keeper.watching.start_or_read()  # nothing is due
        assert (keeper.missed, keeper.changes) == (1, [])
        page = tmp_path / "page.html"
        page.write_text("page")
        changes = await keeper.is_told()
        while not changes:
            changes = await keeper.is_told()
        assert changes.names == {os.fsencode(page)}

    watched(tmp_path, use)


def test_a_file_that_is_held_open_is_looked_after_in_time(clock: Clock, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("page")

    async def use(keeper: Keeper) -> None:
        clock.now = asyncio.get_running_loop().time()  # the clock of TreeWatcher is that one
        keeper.watching.start_or_read()
        with page.open("w") as file:
            file.write("half")
            file.flush()
            assert not await keeper.is_told()
            assert list(keeper.watching.writing()) == [(os.fsencode(page), False)]
            assert clock.now < keeper.watching.due <= asyncio.get_running_loop().time() + HELD

    watched(tmp_path, use)


def test_a_root_that_is_missing_is_tried_again(
    clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"

    async def use(keeper: Keeper) -> None:
        for number in range(1, 4):
            keeper.watching.start_or_read()
            assert (keeper.missed, keeper.watching.period) == (number, POLL)
            assert keeper.watching.due == clock.now + RETRY
            keeper.watching.start_or_read()  # it is not due
            assert keeper.missed == number
            clock.now += RETRY
        root.mkdir()
        keeper.watching.start_or_read()
        assert (keeper.missed, keeper.watching.period) == (4, RECONCILE)
        (root / "new.html").write_text("new")
        assert await keeper.is_told() is not None

    watched(root, use)
    assert caplog.messages == [
        f"a.example: {root} cannot be watched: No such file or directory"
    ]  # once


def test_where_watches_run_out_all_is_compared_often(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_: TreeWatcher) -> None:
        raise WatchLimitError("raise the limit")

    monkeypatch.setattr(TreeWatcher, "start", start)

    async def use(keeper: Keeper) -> None:
        keeper.watching.start_or_read()
        assert keeper.watching.period == POLL
        assert keeper.watching.due == clock.now + RECONCILE  # no limit is raised in a moment

    watched(tmp_path, use)
    assert caplog.messages == ["a.example: raise the limit"]


def test_so_it_is_where_others_change_files_unseen(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mounts = [Mount(b"/", "ext4"), Mount(b"/srv", "nfs4")]
    monkeypatch.setattr(module, "mounts_among", lambda *_: mounts)

    async def use(keeper: Keeper) -> None:
        keeper.watching.start_or_read()
        assert (keeper.watching.period, keeper.watching.directories) == (POLL, 1)

    watched(tmp_path, use)
    assert len(caplog.messages) == 1
    assert "/srv is nfs4" in caplog.messages[0]


def test_a_root_that_is_replaced_is_watched_anew(clock: Clock, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()

    async def use(keeper: Keeper) -> None:
        keeper.watching.start_or_read()
        root.rename(tmp_path / "old")
        root.mkdir()
        assert (await keeper.is_told()).everything
        keeper.changes.clear()
        (root / "new.html").write_text("new")
        changes = await keeper.is_told()
        while not changes:
            changes = await keeper.is_told()
        assert os.fsencode(root / "new.html") in changes.names or changes.everything

    watched(root, use)


def test_a_watch_that_breaks_is_begun_again(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(keeper: Keeper) -> None:
        keeper.watching.start_or_read()

        def read(_: TreeWatcher) -> Changes:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(TreeWatcher, "read", read)
        (tmp_path / "page.html").write_text("page")
        async with asyncio.timeout(PATIENCE):
            while keeper.missed < 2:
                await asyncio.sleep(0.01)
        monkeypatch.undo()
        assert (keeper.watching.directories, keeper.watching.period) == (0, POLL)

    watched(tmp_path, use)
