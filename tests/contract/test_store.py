"""What memfis asks of every store."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from pymemcache.client.base import Client

from memfis.errors import StoreError, StoreRefusedError, UsageError
from memfis.settings.addresses import StoreAddress
from memfis.store import Item, Store
from memfis.store import exchange as to
from memfis.store.wire import MONTH, VALUES, WINDOW, WINDOW_BYTES


def test_bytes_and_any_flags_come_back_as_they_were_written(store: Store) -> None:
    for flags in (0, 1, 2, 0xFFFFFFFF):
        value = os.urandom(5000) + b"\r\nEND\r\n"
        store.set(b"k", value, flags)
        found = store.get(b"k")
        assert found is not None
        assert (found.value, found.flags) == (value, flags)


def test_what_is_absent_is_none(store: Store) -> None:
    assert store.get(b"absent") is None
    assert store.states([b"absent"]) == [None]
    assert store.get_many([b"absent", b"gone"]) == {}


def test_many_items_are_written_and_looked_at_in_their_order(store: Store) -> None:
    items = [Item(b"k%d" % n, b"v" * (n % 300), n) for n in range(2 * WINDOW + 7)]
    assert store.set_many(items) == []
    states = store.states([item.key for item in items])
    assert [(s.size, s.flags) for s in states if s] == [(len(i.value), i.flags) for i in items]
    found = store.get_many([item.key for item in items])
    assert {key: tuple(value) for key, value in found.items()} == {
        item.key: (item.value, item.flags) for item in items
    }


def test_many_items_are_confirmed_in_their_order(store: Store) -> None:
    items = [Item(b"k%d" % n, b"v" * (n % 300), n) for n in range(2 * WINDOW + 7)]
    assert store.set_many(items) == []
    keys = [item.key for item in items]
    sizes = [None if n % 3 else len(item.value) for n, item in enumerate(items)]
    expected = [(size, item.flags) for size, item in zip(sizes, items, strict=True)]
    assert store.confirm_many(keys, expected) == [True] * len(items)
    expected[0] = (1, 0)  # it has no bytes
    expected[1] = (None, 2)
    keys[WINDOW + 3] = b"absent"
    wrong = [n for n, same in enumerate(store.confirm_many(keys, expected)) if not same]
    assert wrong == [0, 1, WINDOW + 3]
    assert store.confirm_many([], []) == []


def test_small_values_are_confirmed_in_their_order(store: Store) -> None:
    items = [Item(b"k%d" % n, b"a value\r\nEN\r\n" * (n % 3), n) for n in range(2 * VALUES + 7)]
    assert store.set_many(items) == []
    keys = [item.key for item in items]
    expected = [(item.value, item.flags) for item in items]
    assert store.confirm_values(keys, expected) == [True] * len(items)
    keys[5] = b"absent"
    expected[6] = (expected[6][0], 0)
    expected[VALUES + 1] = (b"another", VALUES + 1)
    large = Item(keys[-1], b"x" * 500_000, len(items) - 1)
    assert store.set_many([large]) == []
    wrong = [n for n, same in enumerate(store.confirm_values(keys, expected)) if not same]
    assert wrong == [5, 6, VALUES + 1, len(items) - 1]
    assert store.confirm_values([], []) == []
    assert store.states([b"absent"]) == [None]  # nothing is left to be read


@pytest.mark.usefixtures("large_values")
def test_windows_hold_large_values_too(store: Store) -> None:
    items = [Item(b"large%d" % n, os.urandom(1) * (WINDOW_BYTES // 2 + n), n) for n in range(5)]
    assert store.set_many(items) == []
    assert [s and s.size for s in store.states([i.key for i in items])] == [
        len(i.value) for i in items
    ]


def test_a_refused_item_is_named_and_the_others_are_written(store: Store) -> None:
    limit = store.statistics().item_limit
    items = [Item(b"before", b"1", 0), Item(b"big", b"x" * (limit + 1), 0), Item(b"after", b"2", 0)]
    [(key, reason)] = store.set_many(items)
    assert key == b"big"
    assert "large" in reason
    assert [state is not None for state in store.states([b"before", b"big", b"after"])] == [
        True,
        False,
        True,
    ]
    with pytest.raises(StoreRefusedError):
        store.set(b"big", b"x" * (limit + 1))


def test_a_failed_write_does_not_leave_the_old_value(store: Store) -> None:
    store.set(b"big", b"old")
    store.set_many([Item(b"big", b"x" * (store.statistics().item_limit + 1), 0)])
    assert store.get(b"big") is None


def test_deleting_what_is_absent_is_no_error(store: Store) -> None:
    store.set(b"a", b"1")
    store.delete_many([b"a", b"never"])
    assert store.get(b"a") is None


def test_time_to_live(store: Store) -> None:
    store.set_many([Item(b"ever", b"", 0)], 0)
    store.set_many([Item(b"hour", b"", 0)], 3600)
    store.set_many([Item(b"year", b"", 0)], 12 * MONTH)
    ever, hour, year = store.states([b"ever", b"hour", b"year"])
    assert ever is not None
    assert hour is not None
    assert year is not None
    assert ever.ttl == -1
    assert 3590 < hour.ttl <= 3600
    assert abs(year.ttl - 12 * MONTH) < 10  # memcached's clock ticks once a second
    store.touch_many([b"hour", b"absent"], 7200)
    [hour] = store.states([b"hour"])
    assert hour is not None
    assert 7190 < hour.ttl <= 7200


def test_append_needs_an_item_to_append_to(store: Store) -> None:
    assert not store.append(b"log", b"x")
    store.set(b"log", b"a")
    assert store.append(b"log", b"b")
    found = store.get(b"log")
    assert found is not None
    assert found.value == b"ab"


@pytest.mark.usefixtures("large_values")
def test_append_over_the_limit_is_refused_and_keeps_the_item(store: Store) -> None:
    limit = store.statistics().item_limit
    store.set(b"log", b"x" * (limit // 2))
    assert not store.append(b"log", b"y" * (limit // 2 + 1))
    [state] = store.states([b"log"])
    assert state is not None
    assert state.size == limit // 2


def test_cas_gives_way_to_who_came_between(store: Store) -> None:
    store.set(b"log", b"a")
    _, token = store.gets(b"log")
    assert token is not None
    assert store.append(b"log", b"b")
    assert not store.cas(b"log", b"mine", token)
    _, token = store.gets(b"log")
    assert token is not None
    assert store.cas(b"log", b"mine", token)


@pytest.mark.usefixtures("lists_keys")
def test_all_keys_are_listed_as_they_were_written(store: Store) -> None:
    keys = {b"memfis://a/%20%25", b"memfis://a/caf\xe9", b"memfis://a/x?y&z=1", b"\x7f\xff"}
    store.set_many([Item(key, b"", 0) for key in keys])
    assert set(store.all_keys()) == keys


@pytest.mark.parametrize("key", [b"", b"x" * 251, b"a b", b"a\r\nflush_all", b"a\0b"])
@pytest.mark.usefixtures("lists_keys")
def test_a_key_that_could_be_read_as_commands_is_never_sent(store: Store, key: bytes) -> None:
    store.set(b"witness", b"1")
    for call in (
        lambda: store.get(key),
        lambda: store.set(key, b""),
        lambda: store.append(key, b""),
        lambda: store.set_many([Item(key, b"", 0)]),
        lambda: store.states([key]),
        lambda: store.delete_many([key]),
        lambda: store.get_many([key]),
    ):
        with pytest.raises(UsageError, match="cannot be a key"):
            call()
    assert list(store.all_keys()) == [b"witness"]


def test_a_look_does_not_count_as_being_asked_for(address: StoreAddress, store: Store) -> None:
    store.set(b"page", b"1")
    store.states([b"page"] * 10)
    assert store.statistics().items == 1
    assert store._wire is not None
    store._wire.send(b"mg page h u\r\n")
    assert store._wire.line() == b"HD h0"


@pytest.mark.parametrize(
    "nowhere", [StoreAddress("/nonexistent/memcached.sock"), StoreAddress(None, "127.0.0.1", 9)]
)
def test_a_store_that_is_not_there_is_an_error(nowhere: StoreAddress) -> None:
    absent = Store(nowhere, timeout=1)
    for call in (lambda: absent.get(b"a"), lambda: absent.states([b"a"])):
        with pytest.raises(StoreError, match="cannot be reached"):
            call()


def test_a_connection_is_opened_again_after_an_error(store: Store) -> None:
    store.set(b"a", b"1")
    store._wire.send(b"quit\r\n")
    with pytest.raises(StoreError, match=r"closed the connection|cannot be reached"):
        store.states([b"a"])
    assert store.states([b"a"])[0] is not None


@pytest.mark.usefixtures("lists_keys")
def test_two_listings_at_once_both_get_everything(address: StoreAddress, store: Store) -> None:
    items = [Item(b"k%d" % n, b"", 0) for n in range(50_000)]
    store.set_many(items)
    other = Store(address)
    with ThreadPoolExecutor(2) as pool:
        for listed in pool.map(lambda each: set(each.all_keys()), (store, other)):
            assert listed == {item.key for item in items}
    other.close()


def test_requests_in_one_round_trip_have_their_answers_in_order(store: Store) -> None:
    value = os.urandom(100_000) + b"\r\nEN\r\n"
    put, more, found, seen, none = store.exchange(
        to.put(b"k", value, 0xFFFFFFFC),
        to.append(b"k", b"more"),
        to.fetch(b"k"),
        to.state(b"k"),
        to.fetch(b"absent"),
    )
    assert put.done
    assert more.done
    assert seen.done
    assert (found.value, found.flags) == (value + b"more", 0xFFFFFFFC)
    assert (seen.size, seen.flags) == (len(value) + 4, 0xFFFFFFFC)
    assert more.cas == found.cas == seen.cas != put.cas
    assert none.status == b"EN"
    assert not none.done


def test_conditions_of_a_request_are_met_or_nothing_happens(store: Store) -> None:
    nothing, gone = store.exchange(to.append(b"k", b"x"), to.remove(b"k"))
    assert (nothing.status, gone.status) == (b"NS", b"NF")
    made, again = store.exchange(to.put(b"k", b"one", new=True), to.put(b"k", b"two", new=True))
    assert made.done
    assert again.status == b"NS"
    stale, kept, fresh = store.exchange(
        to.put(b"k", b"two", cas=made.cas + 1),
        to.remove(b"k", made.cas + 1),
        to.put(b"k", b"three", cas=made.cas),
    )
    assert (stale.status, kept.status, fresh.done) == (b"EX", b"EX", True)
    late, added = store.exchange(
        to.append(b"k", b" and", cas=made.cas), to.append(b"k", b" four", cas=fresh.cas)
    )
    assert (late.status, added.done) == (b"EX", True)
    [four] = store.exchange(to.fetch(b"k"))
    assert (four.value, four.cas) == (b"three four", added.cas)
    removed, found = store.exchange(to.remove(b"k", added.cas), to.fetch(b"k"))
    assert removed.done
    assert not found.done


def test_refused_request_says_why_and_the_others_are_served(store: Store) -> None:
    large = store.statistics().item_limit + 1
    refused, found = store.exchange(to.put(b"k", bytes(large)), to.fetch(b"k"))
    assert not refused.done
    assert "too large" in refused.refusal
    assert found.status == b"EN"


def test_request_with_an_impossible_key_is_not_sent(store: Store) -> None:
    for key in (b"a b", b"k" * 251, b""):
        with pytest.raises(UsageError):
            to.fetch(key)


def test_what_was_asked_for_since_it_was_written(store: Store, address: StoreAddress) -> None:
    store.set_many([Item(b"k%d" % n, b"v", 2) for n in range(3)], 100)
    store.set(b"for-ever", b"v")
    assert [v and v.asked for v in store.visit_many([b"k0", b"absent", b"k1"])] == [
        False,
        None,
        False,
    ]
    with closing(Client(address.path or (address.host, address.port))) as nginx:
        assert nginx.get(b"k1") == b"v"
    store.states([b"k2"])
    store.touch_many([b"k2"], 200)
    first, second, third, last = store.visit_many([b"k0", b"k1", b"k2", b"for-ever"])
    assert first
    assert second
    assert third
    assert last
    assert (first.asked, second.asked, third.asked) == (False, True, False)
    assert 95 <= first.ttl <= 100
    assert 195 <= third.ttl <= 200
    assert last.ttl == -1
    store.set_many([Item(b"k1", b"v", 2)], 100)
    [again] = store.visit_many([b"k1"])
    assert again
    assert not again.asked
    assert store.visit_many([]) == []
