"""Loads that would take all of the gateway: limits hold, others are served, all is given back."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import Gateway
from support.gateway_loads import (
    MIB,
    Readers,
    Stalled,
    many_files,
    others,
    percentile,
    put,
    resident,
)
from support.process import wait_for
from support.raw import Raw

BUFFERS = 64 * MIB
HOT = 16 * MIB

OUTGOING = BUFFERS // 2
"""Bytes that may be on their way to clients; a quarter of them is kept for what is small."""

LIMIT = BUFFERS + HOT + 48 * MIB
"""Bytes that the process may grow by: 48 MiB are what the allocator keeps, and copies underway."""


@pytest.fixture(scope="module")
def fair(directory: Path) -> Iterator[Gateway]:
    """A gateway with little memory, and a database whose answers are bytes of their own."""
    place = directory / "fair"
    place.mkdir()
    gateway = Gateway(
        place, copies=True, buffer_bytes=BUFFERS, hot_bytes=HOT, timeout=1.0, client_timeout=20.0
    )
    gateway.start()
    yield gateway
    assert "Traceback" not in gateway.log.read_text()
    gateway.end()


@pytest.fixture(scope="module")
def small(fair: Gateway) -> list[bytes]:
    """Keys of small pages."""
    return put(fair, "small", 300, 10_000)


@pytest.fixture(scope="module")
def megabytes(fair: Gateway) -> list[bytes]:
    """Keys of pages of 1 MB: more than may be on their way."""
    return put(fair, "mb", 100, MIB)


@pytest.fixture(scope="module")
def largest(fair: Gateway) -> list[bytes]:
    """Keys of pages of 20 MB: one of them fits at a time."""
    return put(fair, "largest", 3, 20 * MIB)


def figure(gateway: Gateway, name: str) -> int:
    return int(gateway.stats().get(name.encode(), 0))


def all_given_back(gateway: Gateway) -> None:
    """Wait until nothing is on its way any more."""

    def done() -> bool:
        stats = gateway.stats()
        return stats[b"outgoing_bytes"] == stats[b"incoming_bytes"] == 0

    wait_for(done, "all bytes to be given back")


def served(gateway: Gateway, small: list[bytes], seconds: float, before: int) -> None:
    """Have others ask meanwhile; none is refused, and the gateway does not grow beyond LIMIT."""
    got = others(gateway, small, seconds)
    assert got.refused == 0
    assert got.largest - before < LIMIT
    # Not seconds: the machine has other things to do. bench/gateway_fairness.py measures those.
    assert percentile(got.work, 0.5) < 0.05


def shuffled(keys: list[bytes], number: int) -> list[bytes]:
    """Return a request each for many clients: all keys, one after the other, in any order."""
    order = random.Random(number)
    return [
        b"".join(b"get %b\r\n" % key for key in order.sample(keys, len(keys)))
        for _ in range(number)
    ]


def test_readers_who_ask_for_more_than_fits(
    fair: Gateway, small: list[bytes], megabytes: list[bytes]
) -> None:
    before = resident(fair)
    readers = Readers(fair.socket, shuffled(megabytes, 50))
    served(fair, small, 3, before)
    readers.go()
    all_given_back(fair)
    served(fair, small, 0.2, before)


def test_readers_who_do_not_read(fair: Gateway, small: list[bytes], megabytes: list[bytes]) -> None:
    before, cut = resident(fair), figure(fair, "slow_clients")
    stalled = Stalled(fair.socket, shuffled(megabytes, 50))
    served(fair, small, 3, before)
    assert figure(fair, "outgoing_bytes") <= OUTGOING
    assert figure(fair, "slow_clients") > cut  # others waited for what they had
    stalled.go()
    all_given_back(fair)


def test_downloads_that_are_slow_but_go_on_are_whole(
    fair: Gateway, small: list[bytes], largest: list[bytes]
) -> None:
    before = resident(fair)
    downloads = Readers(fair.socket, [b"get %b\r\n" % largest[0]] * 10, rate=5 * MIB)
    wait_for(lambda: figure(fair, "outgoing_bytes") >= 20 * MIB, "the downloads to begin")
    stalled = [Stalled(fair.socket, [b"get %b\r\n" % key for key in largest])]
    served(fair, small, 1, before)
    stalled.append(Stalled(fair.socket, [b"get %b\r\n" % key for key in largest[1:]]))
    served(fair, small, 1, before)
    assert figure(fair, "outgoing_bytes") <= OUTGOING  # however many read it, it is one value
    assert downloads.wait(60)
    for end in downloads.go():
        assert end.endswith(b"\r\nEND\r\nMN\r\n")
    for each in stalled:
        each.go()
    all_given_back(fair)


def test_what_does_not_fit_is_refused_alone(
    fair: Gateway, small: list[bytes], largest: list[bytes]
) -> None:
    first, second, _ = largest
    with Raw(fair.socket) as reader, Raw(fair.socket) as client:
        reader.send(b"get %b\r\n" % first)
        wait_for(lambda: figure(fair, "outgoing_bytes") >= 20 * MIB, "the first to be answered")
        commands = (
            *(b"get %b\r\n" % second, b"mg %b v q\r\n" % second, b"gets a %b\r\n" % second),
            *(b"get %b\r\n" % small[0], b"mg %b s\r\n" % second, b"get %b\r\n" % first),
        )
        refused = b"SERVER_ERROR out of memory: too much is on its way to others\r\n"
        stop = threading.Event()

        def read_slowly() -> None:
            while not stop.wait(0.01):
                reader.socket.recv(20_000)

        slow = threading.Thread(target=read_slowly)
        slow.start()
        try:
            answers = [client.ask(command) for command in commands]
        finally:
            stop.set()
            slow.join()
        assert answers[:3] == [refused] * 3
        assert answers[3].startswith(b"VALUE %b 0 10000\r\n" % small[0])
        assert answers[4] == b"HD s%d\r\n" % (20 * MIB)
        assert len(answers[5]) > 20 * MIB  # it is in memory already
    assert figure(fair, "errors_busy") >= 3
    all_given_back(fair)


def test_values_that_do_not_come_on_keep_nobody_from_writing(fair: Gateway) -> None:
    value = bytes(20 * MIB)
    head = b"set large 0 0 %d\r\n" % len(value)
    cut = figure(fair, "slow_clients")
    hung = [Raw(fair.socket) for _ in range(3)]
    for each in hung:
        each.send(head + b"x" * MIB)
    with Raw(fair.socket) as client:
        assert client.ask(b"set other 0 0 1\r\nx\r\n") == b"STORED\r\n"
        wait_for(lambda: client.ask(head + value + b"\r\n") == b"STORED\r\n", "its turn")
    assert figure(fair, "slow_clients") > cut
    for each in hung:
        each.socket.close()
    all_given_back(fair)


def test_a_value_that_there_is_no_room_for_is_read_and_refused(fair: Gateway) -> None:
    length = 20 * MIB
    head = b"set mine 0 0 %d\r\n" % length
    with Raw(fair.socket) as slow, Raw(fair.socket) as client:
        client.ask(b"set mine 0 0 3\r\nold\r\n")
        slow.send(head)
        stop = threading.Event()

        def send_slowly() -> None:
            while not stop.wait(0.01):
                slow.send(b"x" * 1000)

        sender = threading.Thread(target=send_slowly)
        sender.start()
        try:
            wait_for(lambda: figure(fair, "incoming_bytes") >= length - MIB, "the first to be let")
            said = client.ask(head + bytes(length) + b"\r\nget mine\r\n")
            assert said == (
                b"SERVER_ERROR out of memory storing object\r\nVALUE mine 0 3\r\nold\r\nEND\r\n"
            )
            assert client.ask(b"set more 0 0 300000\r\n%b\r\n" % bytes(300_000)) == b"STORED\r\n"
        finally:
            stop.set()
            sender.join()
    all_given_back(fair)


def test_ten_thousand_connections_that_ask_and_do_not_read(
    directory: Path, fair: Gateway, small: list[bytes]
) -> None:
    """What is large, many small ones, nothing, and half a command, all at once."""
    before, total = resident(fair), figure(fair, "total_connections")
    kinds = (
        *(b"get mb1\r\n", b"get small1\r\n" * 30, b"get " + b" ".join(small[:100]) + b"\r\n"),
        *(b"set k 0 0 1000\r\n" + b"x" * 500, *[b"get sma"] * 6),
    )
    with many_files(10_300) as allowed:
        number = min(9_900, allowed - 300)
        stalled = Stalled(fair.socket, [kinds[n % len(kinds)] for n in range(number)])
        try:
            got = others(fair, small, 3)  # it has to wait until all before it are accepted
            assert got.refused == 0
            assert got.largest - before < LIMIT + number * 24 * 1024
            assert figure(fair, "total_connections") - total > number
            # What the kernel holds for them counts as the service's memory too.
            assert sum(stalled.unread()) < 1000 * 256 * 1024 + number * 32 * 1024
        finally:
            stalled.go()
    wait_for(lambda: figure(fair, "curr_connections") < 10, "all to be gone")
    all_given_back(fair)
