"""When a site is synced: bursts, requests, and what comes while a sync goes on."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memfis.keeper import schedule as module
from memfis.keeper.journal import Journal
from memfis.keeper.schedule import BATCH, BURST, QUIET, Schedule
from memfis.keeper.times import NEVER, RETRY
from memfis.settings.values import Site
from memfis.sync import Options, Report
from memfis.watch import Changes
from memfis.webroot import Link, WebRoot


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "now", clock)
    return clock


def settled() -> Schedule:
    """Return the schedule of a site that was synced."""
    schedule = Schedule(Journal("a.example"))
    schedule.take_all()
    return schedule


@pytest.fixture
def webroot(tmp_path: Path) -> WebRoot:
    (tmp_path / "docs").mkdir()
    return WebRoot(Site(name="a.example", root=str(tmp_path)))


def a_change(webroot: WebRoot) -> Changes:
    return Changes({webroot.root + b"/docs"})


def never(_: bytes) -> bool:
    return False


def test_it_begins_with_a_sync_of_everything() -> None:
    schedule = Schedule(Journal("a.example"))
    assert schedule.due <= 0
    assert schedule.take_all()
    assert schedule.due == NEVER
    assert not schedule.take_all()


@pytest.mark.parametrize(
    ("gateway", "quiet", "burst"), [(False, QUIET, BURST), (True, BATCH, BATCH)]
)
@given(gaps=st.lists(st.floats(0, 0.5), min_size=1, max_size=30))
def test_a_burst_is_compared_when_it_is_over_or_long_enough(
    gateway: bool, quiet: float, burst: float, gaps: list[float]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(module, "now", clock)
        schedule = settled()
        schedule.collect(gateway=gateway)
        webroot = WebRoot(Site(name="a.example", root="/"))
        first = None
        for gap in gaps:
            clock.now += gap
            if schedule.some_due <= clock.now:  # as a keeper does
                schedule.take_some(webroot, never)
                first = None
            first = clock.now if first is None else first
            schedule.note(Changes({b"/"}), webroot)
            assert schedule.some_due == min(clock.now + quiet, first + burst)
            assert schedule.due == schedule.some_due
        assert schedule.all_due == NEVER


def test_nothing_is_due_after_it_was_taken(clock: Clock, webroot: WebRoot) -> None:
    schedule = settled()
    schedule.note(a_change(webroot), webroot)
    [task] = schedule.take_some(webroot, never)
    assert (task.directory.path, task.deep) == (b"/docs/", False)
    assert (schedule.due, schedule.take_some(webroot, never)) == (NEVER, [])


def test_what_somebody_works_on_is_due_again(clock: Clock, webroot: WebRoot) -> None:
    schedule = settled()
    schedule.note(a_change(webroot), webroot)
    assert schedule.take_some(webroot, lambda path: path == b"/docs/") == []
    assert schedule.some_due == clock.now + QUIET
    assert len(schedule.take_some(webroot, never)) == 1


def test_without_a_web_root_nothing_is_compared(clock: Clock, webroot: WebRoot) -> None:
    schedule = settled()
    schedule.compare_directory(b"/docs/")
    assert schedule.some_due == clock.now + QUIET
    assert schedule.take_some(None, never) == []
    assert schedule.due == NEVER
    schedule.note(a_change(webroot), None)
    assert (schedule.begin_anew, schedule.all_due) == (True, clock.now)


def test_when_everything_may_have_changed_a_sync_begins_anew(
    clock: Clock, webroot: WebRoot, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = settled()
    schedule.note(a_change(webroot), webroot)
    schedule.note(Changes(everything="the queue overflowed"), webroot)
    assert (schedule.begin_anew, schedule.all_due, schedule.much) == (True, clock.now, True)
    assert len(schedule.pending) == 0
    assert caplog.messages == ["a.example: the queue overflowed; looking at everything"]
    assert schedule.take_all()
    assert not schedule.begin_anew


def test_a_file_with_other_names_brings_a_sync_of_everything(
    clock: Clock, webroot: WebRoot
) -> None:
    schedule = settled()
    changes = a_change(webroot)
    changes.elsewhere = True
    schedule.note(changes, webroot)
    assert (schedule.all_due, schedule.much) == (clock.now + RETRY, False)
    assert schedule.some_due == clock.now + QUIET


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 400), st.floats(0, 10)), max_size=10))
def test_a_sync_is_never_put_off(wanted: list[tuple[bool, float, float]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(module, "now", clock)
        schedule = settled()
        soonest = NEVER
        for much, after, gap in wanted:
            clock.now += gap
            schedule.sync_soon(much=much, after=after)
            soonest = min(soonest, clock.now + after)
            assert schedule.all_due == soonest
        assert schedule.take_all() is any(much for much, _, _ in wanted)


def test_links_that_a_sync_finds_bring_back_what_changed_meanwhile(
    clock: Clock, tmp_path: Path, webroot: WebRoot
) -> None:
    """A page that a new link gives may have been read before its target changed."""
    elsewhere = webroot.root + b"/docs"
    link = Link(b"link", (), elsewhere)
    (tmp_path / "link").symlink_to("docs")
    schedule = settled()
    with schedule.noting():
        for _ in range(2):
            schedule.note(Changes({elsewhere}), webroot)
            schedule.take_some(webroot, never)
        assert schedule.noted == 2
        schedule.update_links(webroot, {b"/": [link]}, since=2)
        assert schedule.take_some(webroot, never) == []
        schedule.update_links(webroot, {b"/": [link]}, since=1)
        assert schedule.some_due == clock.now + QUIET
        tasks = schedule.take_some(webroot, never)
        assert {task.directory.path for task in tasks} == {b"/docs/", b"/link/"}
        schedule.update_links(webroot, {b"/": []}, since=0)
        assert schedule.due == NEVER
    assert schedule.noted == 0
    schedule.update_links(webroot, {b"/": [link]}, since=0)  # nothing changed since
    assert schedule.due == NEVER


def test_what_changed_before_a_sync_is_none_of_its_own(clock: Clock, webroot: WebRoot) -> None:
    schedule = settled()
    schedule.note(a_change(webroot), webroot)
    with schedule.noting():
        assert schedule.noted == 0
        schedule.note(a_change(webroot), webroot)
    with schedule.noting():
        assert schedule.noted == 0


def test_requests_are_answered_in_their_order() -> None:
    async def ask() -> None:
        schedule = settled()
        keeper = asyncio.create_task(schedule.wait(NEVER))
        await asyncio.sleep(0)
        waiting = [schedule.ask(Options(checksum=checksum)) for checksum in (False, True)]
        await asyncio.wait_for(keeper, 10)  # it was woken
        assert schedule.due == NEVER
        first, second = schedule.requests
        assert (first.options.checksum, second.options.checksum) == (False, True)
        report = Report(site="a.example", root="/", store="store", dry_run=False)
        second.answer.set_result(report)
        assert [future.done() for future in waiting] == [False, True]
        assert await waiting[1] is report

    asyncio.run(ask())


def test_waiting_ends_with_whatever_comes_up(webroot: WebRoot) -> None:
    async def wait() -> None:
        schedule = settled()
        loop = asyncio.get_running_loop()
        await schedule.wait(loop.time() - 1)  # it is due
        await schedule.wait(loop.time() + 0.01)
        for happens in (
            schedule.wake,
            schedule.sync_soon,
            lambda: schedule.compare_directory(b"/"),
            lambda: schedule.note(a_change(webroot), webroot),
        ):
            keeper = asyncio.create_task(schedule.wait(NEVER))
            await asyncio.sleep(0)
            assert not keeper.done()
            happens()
            await asyncio.wait_for(keeper, 10)

    asyncio.run(wait())
