"""A clock that jumps: memfis is told another time than the files and the store, by libfaketime."""

import os
from pathlib import Path

import pytest

from integration.conftest import Agents, Filled
from support.command import environment, memfis, memfis_json
from support.process import wait_for

DAY = 24 * 3600


class Clock:
    """The time that a program believes in, as seconds away from the true one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.jump(0)

    def jump(self, seconds: int) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._path)

    @property
    def environment(self) -> dict[str, str]:
        """What a program must have (faketime(1)); clocks that only go forward stay as they are."""
        [library] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        return environment(
            LD_PRELOAD=os.fspath(library),
            FAKETIME_TIMESTAMP_FILE=os.fspath(self._path),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )


@pytest.fixture
def clock(directory: Path) -> Clock:
    """A clock that is right at first."""
    return Clock(directory / "clock")


@pytest.mark.parametrize("jump", [-DAY, DAY], ids=["back", "ahead"])
def test_a_clock_that_jumps_under_the_agent(
    clock: Clock, new_agent: Agents, filled: Filled, jump: int
) -> None:
    agent = new_agent(env=clock.environment)
    agent.start()
    clock.jump(jump)
    for number in range(3):
        (filled.root / "index.html").write_text(f"version {number}")
        (filled.root / f"{number}.html").write_text("new")
        wait_for(lambda n=number: filled.content(b"/") == f"version {n}".encode(), "the change")  # type: ignore[misc]
    (filled.root / "docs" / "index.html").unlink()
    wait_for(filled.is_equal, "the agent to follow")
    [report] = memfis_json("sync", "--config", agent.config, "--checksum")["sites"]
    assert (report["unchanged"], report["changed"], report["added"]) == (5, 0, 0)
    ttls = [state.ttl for state in filled.store.states([b"memfis://site.example/"]) if state]
    assert [ttl > 3000 for ttl in ttls] == [True]


def test_a_clock_that_was_a_day_ahead(clock: Clock, filled: Filled) -> None:
    clock.jump(DAY)
    [first] = memfis_json("sync", *filled.flags(), env=clock.environment)["sites"]
    assert first["added"] == 3
    assert "last synced in the future" in memfis("status", *filled.flags()).stdout
    page = filled.root / "index.html"
    size = page.stat().st_size
    page.write_bytes(b"x" * size)
    [second] = memfis_json("sync", *filled.flags())["sites"]
    assert (second["changed"], second["unchanged"]) == (1, 2)
    assert filled.content(b"/") == b"x" * size
    assert " s ago" in memfis("status", *filled.flags()).stdout


def test_what_was_written_tomorrow_is_compared_by_content(clock: Clock, filled: Filled) -> None:
    """A time in the future may come again, when the clock gets there for the second time."""
    clock.jump(-DAY)
    memfis_json("sync", *filled.flags(), env=clock.environment)
    page = filled.root / "index.html"
    status = page.stat()
    page.write_bytes(b"y" * status.st_size)
    os.utime(page, ns=(status.st_atime_ns, status.st_mtime_ns))
    [report] = memfis_json("sync", *filled.flags())["sites"]
    assert report["changed"] == 1
    assert filled.content(b"/") == b"y" * status.st_size
