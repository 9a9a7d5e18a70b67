"""nginx is told what changed, after the store has it and before the caller has his answer."""

import logging
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from memfis.errors import StoreError, StoreRefusedError
from memfis.layout.keys import directory_key, head_key, page_key, private_key, site_key
from memfis.settings.addresses import StoreAddress
from memfis.store import Item, Store
from memfis.store import exchange as to
from memfis.store.told import Teller
from support.directory import reachable_directory
from support.first_level import FirstLevel
from support.process import wait_for

PAGE, OTHER = page_key("a.example", b"/a b"), page_key("a.example", b"/other")
HEAD = head_key("a.example", b"/a b")
UNREAD = (
    private_key("a.example", b"/a b"),
    directory_key("a.example", b"/"),
    site_key("a.example"),
)


def number(page: bytes) -> int:
    return zlib.crc32(page) & 4095


@pytest.fixture
def place() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory / "first-level.sock"


@pytest.fixture
def nginx(place: Path) -> Iterator[FirstLevel]:
    first_level = FirstLevel(place)
    yield first_level
    first_level.end()


@pytest.fixture
def told(address: StoreAddress, store: Store, nginx: FirstLevel) -> Iterator[Store]:
    """The emptied store, of which nginx is told."""
    store = Store(address, first_level=str(nginx.socket))
    yield store
    store.close()


def test_every_write_and_removal_is_told_when_the_store_has_it(
    told: Store, store: Store, nginx: FirstLevel
) -> None:
    seen: list[bool] = []

    def look() -> int:
        seen.append(store.get(PAGE) is not None)
        return 204

    nginx.answer = look
    changes: dict[str, tuple[Callable[[], object], bool]] = {
        "set": (lambda: told.set(PAGE, b"1"), True),
        "set_many": (lambda: told.set_many([Item(PAGE, b"2", 4)], 60), True),
        "append": (lambda: told.append(PAGE, b"3"), True),
        "cas": (lambda: told.cas(PAGE, b"4", told.gets(PAGE)[1] or b""), True),
        "put": (lambda: told.exchange(to.fetch(OTHER), to.put(PAGE, b"5")), True),
        "remove": (lambda: told.exchange(to.remove(PAGE)), False),
        "absent": (lambda: told.delete_many([PAGE]), False),
    }
    for name, (change, there) in changes.items():
        change()
        assert (seen, nginx.told) == ([there], [str(number(PAGE))]), name
        seen.clear()
        nginx.told.clear()
    assert nginx.connections == 1


def test_heads_count_as_their_pages_and_nothing_else_is_told(
    told: Store, nginx: FirstLevel
) -> None:
    told.set_many([Item(key, b"1", 0) for key in (PAGE, HEAD, OTHER)])
    assert len(nginx.told) == 1
    assert sorted(nginx.told[0].split(" ")) == sorted({str(number(PAGE)), str(number(OTHER))})
    told.delete_many([HEAD])
    assert nginx.told[1:] == [str(number(PAGE))]
    told.set_many([Item(key, b"1", 0) for key in UNREAD])
    told.touch_many([PAGE], 60)
    told.exchange(to.fetch(PAGE), to.state(OTHER))
    told.delete_many(UNREAD)
    assert len(nginx.told) == 2


def test_so_many_that_all_counters_move(nginx: FirstLevel) -> None:
    keys = [page_key("a.example", b"/%d" % each) for each in range(60_000)]
    assert len({number(key) for key in keys}) == 4096
    with closing(Teller(str(nginx.socket))) as teller:
        teller.tell(keys)
    assert nginx.told == ["all"]


def test_many_changes_are_told_together_at_the_end_or_now_and_then(
    address: StoreAddress, told: Store, nginx: FirstLevel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memfis.store.told.TOGETHER", 60.0)

    def change() -> None:
        with told.telling_together():
            told.set_many([Item(PAGE, b"1", 0)])
            told.delete_many([OTHER])
            assert nginx.told == []
            told.set(PAGE, b"x" * (told.statistics().item_limit + 1))

    with pytest.raises(StoreRefusedError):
        change()
    assert len(nginx.told) == 1
    assert nginx.numbers == {number(PAGE), number(OTHER)}
    monkeypatch.setattr("memfis.store.told.TOGETHER", 0.0)
    with told.telling_together():
        told.delete_many([OTHER])
        assert nginx.told[1:] == [str(number(OTHER))]
    told.delete_many([PAGE])
    assert nginx.told[2:] == [str(number(PAGE))]
    with Store(address).telling_together():
        pass


def test_what_was_refused_is_told_as_it_may_have_gone(told: Store, nginx: FirstLevel) -> None:
    large = b"x" * (told.statistics().item_limit + 1)
    told.set_many([Item(PAGE, b"before", 0), Item(OTHER, b"before", 0)])
    nginx.told.clear()
    assert [key for key, _ in told.set_many([Item(PAGE, large, 0), Item(OTHER, b"2", 0)])] == [PAGE]
    assert told.get(PAGE) is None
    assert nginx.numbers == {number(PAGE), number(OTHER)}
    nginx.told.clear()
    with pytest.raises(StoreRefusedError):
        told.set(PAGE, large)
    assert nginx.numbers == {number(PAGE)}


def test_what_may_have_been_done_is_told_although_the_store_is_away(nginx: FirstLevel) -> None:
    nowhere = StoreAddress("/nonexistent/memcached.sock")
    with closing(Store(nowhere, first_level=str(nginx.socket))) as away:
        with pytest.raises(StoreError):
            away.set(PAGE, b"")
        with pytest.raises(StoreError):
            away.delete_many([PAGE])
    assert nginx.told == [str(number(PAGE))] * 2


def test_a_connection_that_nginx_closed_is_opened_once_more(nginx: FirstLevel) -> None:
    teller = Teller(str(nginx.socket))
    nginx.closes = True
    for _ in range(3):
        teller.tell([PAGE])
    assert (len(nginx.told), nginx.connections) == (3, 3)
    teller.close()


def test_where_nobody_listens_nothing_is_said(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    teller = Teller(str(place))
    teller.tell([PAGE])
    nginx = FirstLevel(place)
    teller.tell([OTHER])
    assert nginx.told == [str(number(OTHER))]  # it has nothing of before it was started
    nginx.end()
    teller.tell([PAGE])
    teller.close()
    teller.tell([PAGE])
    assert caplog.messages == []


def test_a_failure_is_said_once_and_what_was_not_told_is_told_later(
    nginx: FirstLevel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    teller = Teller(str(nginx.socket))
    nginx.answer = lambda: 500
    teller.tell([PAGE])
    teller.tell([PAGE])
    [line] = caplog.messages
    assert f"nginx cannot be told at {nginx.socket} what changed: it answered 'HTTP/1.1 500" in line
    nginx.answer = lambda: 204
    teller.tell([OTHER])
    assert nginx.numbers == {number(PAGE), number(OTHER)}
    assert caplog.messages[1:] == [f"nginx is told again at {nginx.socket} what changed"]
    nginx.told.clear()
    teller.tell([OTHER])
    assert nginx.numbers == {number(OTHER)}
    teller.close()


def test_nobody_waits_twice_in_a_row_for_an_nginx_that_does_not_answer(
    nginx: FirstLevel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memfis.store.told.PATIENCE", 0.2)
    asked: list[float] = []

    def late() -> int:
        asked.append(time.monotonic())
        time.sleep(0.5)
        return 500

    nginx.answer = late
    teller = Teller(str(nginx.socket))
    teller.tell([PAGE])
    teller.tell([OTHER])
    assert len(asked) == 1
    [line] = caplog.messages
    assert "no answer in time" in line
    nginx.answer = lambda: 204

    def is_told() -> bool:
        teller.tell([PAGE])
        return bool(nginx.told)

    wait_for(is_told, "nginx to be asked again")
    assert nginx.numbers == {number(PAGE), number(OTHER)}
    teller.close()
