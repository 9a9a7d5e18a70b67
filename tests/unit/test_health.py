"""What became of a store, told by its figures from one second to the next."""

import asyncio
from collections.abc import Iterator

import pytest

from memfis.errors import StoreError
from memfis.keeper import health as module
from memfis.keeper.health import ITEM, Health, StoreEvent
from memfis.keeper.journal import Journal
from memfis.settings.addresses import StoreAddress

KEY = b"memfis-site://a.example"
ADDRESS = StoreAddress.parse("memcached:///nowhere")
WELL = {"pid": "7", "uptime": "100", "cmd_flush": "0", "evictions": "0"}

Answer = dict[str, str] | None
"""What a store answers to `stats`; None: nothing."""


class _EndError(Exception):
    """Nothing more is answered."""


def events(
    monkeypatch: pytest.MonkeyPatch, *answers: Answer, has_item: bool = True, filled: bool = False
) -> list[StoreEvent | str]:
    """Return what is told of a store that answers so."""
    found: list[StoreEvent | str] = []
    left: Iterator[Answer] = iter(answers)
    keys: list[bytes | None] = []

    async def probe(
        address: StoreAddress, timeout: float, key: bytes | None
    ) -> tuple[dict[str, str], bool]:
        keys.append(key)
        try:
            answer = next(left)
        except StopIteration:
            raise _EndError from None
        if answer is None:
            raise StoreError("no answer in time")
        return answer, has_item or key is None

    monkeypatch.setattr(module, "probe", probe)
    monkeypatch.setattr(module, "PROBE", 0.0)
    health = Health(ADDRESS, KEY, Journal("a.example"))
    health.filled = filled
    with pytest.raises(_EndError):
        asyncio.run(health.watch(found.append, lambda: found.append("evicted")))
    assert health.is_down is (answers[-1] is None)
    assert bool(health.figures) is not health.is_down
    assert keys == [None if turn % ITEM else KEY for turn in range(len(keys))]
    return found


def like(**figures: str) -> dict[str, str]:
    return WELL | figures


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([WELL, like(uptime="101"), like(uptime="102")], []),
        ([None, None, WELL], [StoreEvent.FIRST_ANSWER]),
        ([WELL, None, like(uptime="102")], [StoreEvent.BACK]),
        ([WELL, like(uptime="1")], [StoreEvent.RESTARTED]),
        ([WELL, like(pid="8", uptime="101")], [StoreEvent.RESTARTED]),
        ([WELL, None, like(pid="8", uptime="1")], [StoreEvent.RESTARTED]),
        ([WELL, like(cmd_flush="1")], [StoreEvent.FLUSHED]),
        ([WELL, None, like(cmd_flush="1")], [StoreEvent.FLUSHED]),
        ([WELL, like(evictions="3"), like(evictions="3")], ["evicted"]),
        ([WELL, {"version": "1"}, {"version": "1"}], [StoreEvent.RESTARTED]),
    ],
)
def test_events(
    monkeypatch: pytest.MonkeyPatch, answers: list[Answer], told: list[StoreEvent | str]
) -> None:
    assert events(monkeypatch, *answers) == told


@pytest.mark.parametrize("filled", [False, True])
def test_the_site_is_only_lost_where_it_was_filled(
    monkeypatch: pytest.MonkeyPatch, filled: bool
) -> None:
    told = events(monkeypatch, *[WELL] * (ITEM + 1), has_item=False, filled=filled)
    assert told == ([StoreEvent.LOST_SITE] if filled else [])


def test_which_events_mean_that_items_are_gone() -> None:
    assert {event for event in StoreEvent if event.is_loss} == {
        StoreEvent.RESTARTED,
        StoreEvent.FLUSHED,
        StoreEvent.LOST_SITE,
    }


def test_a_failure_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    events(monkeypatch, WELL, None, None, None)
    assert caplog.messages == ["a.example: no answer in time"]


def test_a_store_that_is_suspected_is_down_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    health = Health(ADDRESS, KEY, Journal("a.example"))
    found: list[StoreEvent] = []

    async def probe(*_: object) -> tuple[dict[str, str], bool]:
        return WELL, True

    async def watch() -> None:
        watching = asyncio.create_task(health.watch(found.append, lambda: None))
        while not health.figures:
            await asyncio.sleep(0)
        health.suspect()
        assert health.is_down
        while not found:
            await asyncio.sleep(0.001)
        assert not health.is_down
        watching.cancel()

    monkeypatch.setattr(module, "probe", probe)
    asyncio.run(asyncio.wait_for(watch(), 20))
    assert found == [StoreEvent.BACK]
