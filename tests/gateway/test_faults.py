"""Faults between the SDK and Couchbase: an answer is right or an error, and then all is well."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.between import Behind, Between, Delay, half_and_no_more
from support.couchbase_mock import CouchbaseMock
from support.gateway import Gateway
from support.process import wait_for
from support.raw import Raw

LASTS = 3.0
"""Seconds of each fault; the SDK gives a connection up after longer."""

KEYS = [b"page%d" % number for number in range(20)]


def page(key: bytes) -> bytes:
    """Return what is at `key`: more than one read of the SDK."""
    return key * 5000


@pytest.fixture(scope="module")
def between(mock: CouchbaseMock) -> Between:
    if mock.inside:
        pytest.skip("the proxy is not in gocaves's network")
    return Between(mock)


@pytest.fixture(scope="module")
def gateway(directory: Path, mock: CouchbaseMock, between: Between) -> Iterator[Gateway]:
    gateway = Gateway(
        directory, Behind(mock, between), hot_ttl=0.0, hot_bytes=0, timeout=0.5, write_timeout=1.0
    )
    gateway.start()
    yield gateway
    gateway.end()
    assert "Traceback" not in gateway.log.read_text()


class Visitors:
    """Ask all the time; note every answer that is neither right nor an error."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._over = threading.Event()
        self.wrong: list[tuple[bytes, bytes]] = []
        self.right = self.errors = 0
        self.acknowledged = 0
        """The last number that was written for certain."""
        self._threads = [
            threading.Thread(target=each) for each in (self._read, self._look, self._write)
        ]

    def start(self) -> None:
        for each in self._threads:
            each.start()

    def end(self) -> None:
        self._over.set()
        for each in self._threads:
            each.join()

    def _judge(self, command: bytes, answer: bytes, fits: bool) -> None:
        if answer.startswith(b"SERVER_ERROR "):
            self.errors += 1
        elif fits:
            self.right += 1
        else:
            self.wrong.append((command, answer[:200]))

    def _ask_on(self, step: Callable[[Raw, int], None]) -> None:
        with Raw(self._gateway.socket) as client:
            number = 0
            while not self._over.is_set():
                number += 1
                step(client, number)
                time.sleep(0.002)

    def _read(self) -> None:
        def step(client: Raw, number: int) -> None:
            key = KEYS[number % len(KEYS)]
            answer = client.ask(b"get %b\r\n" % key)
            value = page(key)
            whole = b"VALUE %b 0 %d\r\n%b\r\nEND\r\n" % (key, len(value), value)
            self._judge(key, answer, answer == whole)
            answer = client.ask(b"get never\r\n")
            self._judge(b"never", answer, answer == b"END\r\n")

        self._ask_on(step)

    def _look(self) -> None:
        def step(client: Raw, number: int) -> None:
            key = KEYS[number % len(KEYS)]
            answer = client.ask(b"mg %b s f u\r\n" % key)
            self._judge(key, answer, answer == b"HD s%d f0\r\n" % len(page(key)))

        self._ask_on(step)

    def _write(self) -> None:
        def step(client: Raw, number: int) -> None:
            value = b"%d" % number
            answer = client.ask(b"set counted 0 0 %d\r\n%b\r\n" % (len(value), value))
            self._judge(b"set", answer, answer == b"STORED\r\n")
            if answer == b"STORED\r\n":
                self.acknowledged = number
            answer = client.ask(b"get counted\r\n")
            told = int(answer.split()[4]) if answer.startswith(b"VALUE ") else -1
            self._judge(b"counted", answer, self.acknowledged <= told <= number)

        self._ask_on(step)


def delayed(between: Between) -> None:
    between.begin(Delay(0.2))


def too_late(between: Between) -> None:
    between.begin(Delay(5.0))


def cut(between: Between) -> None:
    for _ in range(10):
        time.sleep(LASTS / 20)
        between.cut()


def refused(between: Between) -> None:
    between.refuse()


def half(between: Between) -> None:
    between.begin(half_and_no_more)


@pytest.mark.parametrize("fault", [delayed, too_late, cut, refused, half])
def test_nothing_wrong_is_answered_and_all_is_well_afterwards(
    fault: Callable[[Between], None], gateway: Gateway, between: Between
) -> None:
    def well() -> bool:
        with Raw(gateway.socket) as client:
            return client.ask(b"get never\r\n") == b"END\r\n"

    wait_for(well, "Couchbase")
    with Raw(gateway.socket) as client:
        assert client.ask(b"set counted 0 0 1\r\n0\r\n") == b"STORED\r\n"
        for key in KEYS:
            value = page(key)
            assert (
                client.ask(b"set %b 0 0 %d\r\n%b\r\n" % (key, len(value), value)) == b"STORED\r\n"
            )
    visitors = Visitors(gateway)
    visitors.start()
    try:
        fault(between)
        time.sleep(LASTS)
    finally:
        if fault is refused:
            between.accept()
        between.end()
    right = visitors.right
    try:
        wait_for(well, "Couchbase to be back")
        wait_for(lambda: visitors.right > right + 50, "pages")
        wait_for(lambda: gateway.stats()[b"breaker"] == b"closed", "the breaker to close")
    finally:
        visitors.end()
    assert visitors.wrong == []
    if fault is not delayed:
        assert visitors.errors
