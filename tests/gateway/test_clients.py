"""Clients of every kind: none can stop the gateway, or see what is another's."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from memfis.gateway.admin import VERSION
from support.couchbase_mock import CouchbaseMock
from support.gateway import Gateway
from support.ports import free_port
from support.process import wait_for
from support.raw import Raw

MIB = 1024 * 1024

EXAMPLES = int(os.environ.get("MEMFIS_GATEWAY_EXAMPLES", "50"))
"""A third of how many kinds of noise are tried."""


@pytest.fixture
def small(directory: Path) -> Iterator[Gateway]:
    """A gateway over a database in memory, with narrow limits."""
    place = directory / "small"
    place.mkdir(exist_ok=True)
    gateway = Gateway(
        place, max_connections=50, buffer_bytes=64 * MIB, client_timeout=2.0, allow_flush=True
    )
    gateway.start()
    yield gateway
    gateway.end()


def memory(gateway: Gateway) -> int:
    """Return the bytes that the gateway's process has resident."""
    lines = Path(f"/proc/{gateway.pid}/status").read_text().splitlines()
    [resident] = [line for line in lines if line.startswith("VmRSS")]
    return int(resident.split()[1]) * 1024


@pytest.mark.skipif(not shutil.which("memccapable"), reason="needs libmemcached-tools")
@pytest.mark.parametrize("backend", ["memory", "couchbase"])
def test_memccapable_finds_nothing(
    backend: str, directory: Path, request: pytest.FixtureRequest
) -> None:
    mock: CouchbaseMock | None = None
    if backend == "couchbase":
        mock = request.getfixturevalue("mock")
    port = free_port()
    place = directory / f"capable-{backend}"
    place.mkdir()
    gateway = Gateway(
        place, mock, listen=[f"127.0.0.1:{port}", f"unix:{place}/gateway.sock"], allow_flush=True
    )
    gateway.start()
    try:
        said = subprocess.run(
            [
                *(*gateway.inside, "memccapable", "-h", "127.0.0.1", "-p", str(port)),
                *("-a", "-t", "20", "-v"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert said.returncode == 0, said.stdout + said.stderr
        assert "All tests passed" in said.stdout
    finally:
        gateway.end()


noise = st.lists(
    st.one_of(
        st.binary(max_size=200),
        st.sampled_from(
            [
                *(b"get a", b"\r\n", b"\n", b"\0", b" ", b"set a 0 0 ", b"99999999999", b"-1"),
                *(b"set a 0 0 20971521\r\n", b"ms a 2147483646\r\n", b"mg a v\r\n", b"x" * 3000),
                *(b"get " + b"k " * 2000, b"mn\r\n", b"GET / HTTP/1.1\r\n", b"gets a b c\r\n"),
                *(b"ms a 5 q\r\n", b"stats\r\n", b"\x80\x00\x00\x01" * 6, b"set a 0 0 5\r\nab"),
                *(b"mg a O" + b"o" * 40, b"incr a 1\r\n", b"delete", b"lru_crawler metadump all"),
            ]
        ),
    ),
    max_size=20,
)


@settings(
    max_examples=3 * EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(noise)
def test_noise_kills_nothing_and_shows_nobody_elses_bytes(
    gateway: Gateway, pieces: list[bytes]
) -> None:
    # Hypothesis also tries bytes that stand in this file: what says so may change the item.
    assume(not any(word in b"".join(pieces) for word in (b"flush_all", b"mine")))
    with Raw(gateway.socket) as other:
        other.ask(b"set mine 7 0 6\r\nsecret\r\n")
        with Raw(gateway.socket) as noisy:
            try:
                for piece in pieces:
                    noisy.send(piece)
                noisy.socket.shutdown(socket.SHUT_WR)
                came = b""
                while data := noisy.socket.recv(65536):
                    came += data
            except (BrokenPipeError, ConnectionResetError):
                came = b""
        assert b"secret" not in came
        assert other.ask(b"get mine\r\n") == b"VALUE mine 7 6\r\nsecret\r\nEND\r\n"


def test_a_line_without_end_ends_the_connection(gateway: Gateway) -> None:
    with Raw(gateway.socket) as client:
        client.send(b"x" * 5000)
        assert client.until(b"never") == b"CLIENT_ERROR line too long\r\n"


def test_the_body_after_a_key_that_is_too_long_is_not_taken_for_commands(gateway: Gateway) -> None:
    with Raw(gateway.socket) as client:
        body = b"flush_all\r\nset hacked 0 0 1\r\nx"
        line = b"set %b 0 0 %d\r\n" % (b"k" * 251, len(body))
        assert client.ask(line + body + b"\r\n").startswith(b"CLIENT_ERROR bad command")
        assert client.ask(b"get hacked\r\n") == b"END\r\n"


def test_a_browser_that_was_told_to_come_here_is_sent_away(gateway: Gateway) -> None:
    with Raw(gateway.socket) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nset hacked 0 0 1\r\nx\r\n")
        assert client.until(b"never") == b""
    with Raw(gateway.socket) as client:
        assert client.ask(b"get hacked\r\n") == b"END\r\n"


def test_a_value_as_large_as_may_be_and_one_byte_more(gateway: Gateway) -> None:
    value = os.urandom(20 * MIB)
    with Raw(gateway.socket) as client:
        assert client.ask(b"set big 3 0 %d\r\n%b\r\n" % (len(value), value)) == b"STORED\r\n"
        answer = client.ask(b"get big\r\n")
        assert answer[:100].startswith(b"VALUE big 3 20971520\r\n")
        assert answer.endswith(b"\r\nEND\r\n")
        assert answer[22:-7] == value
        more = b"set big 3 0 %d\r\n%bx\r\n" % (len(value) + 1, value)
        assert client.ask(more) == b"SERVER_ERROR object too large for cache\r\n"
        assert client.ask(b"get big\r\n") == b"END\r\n"  # as memcached: no old value is left


def test_a_key_that_no_document_can_have_is_a_miss_and_refused(directory: Path) -> None:
    from memfis.gateway.couchbase.documents import document_id, key_of

    for key in (b"caf\xc3\xa9", b"caf\xe9", b"\xff" * 124, b"plain"):
        name = document_id(key)
        assert name is not None
        assert key_of(name) == key
    assert document_id(b"\xff" * 125) is None
    assert document_id("\xff".encode("latin-1")) != document_id("\xff".encode())


def test_clients_that_do_not_read_cost_no_more_than_the_limit(small: Gateway) -> None:
    with Raw(small.socket) as client:
        for number in range(8):
            value = os.urandom(4 * MIB)
            client.ask(b"set big%d 0 0 %d\r\n%b\r\n" % (number, len(value), value))
        before = memory(small)
        hanging = [Raw(small.socket) for _ in range(30)]
        for each in hanging:
            each.send(b"get %b\r\n" % b" ".join(b"big%d" % n for n in range(8)) * 10)
        for _ in range(30):
            assert client.ask(b"mg big0 s\r\n") == b"HD s%d\r\n" % (4 * MIB)
        # A part of an answer each, and what the kernel and uvloop hold for them.
        assert memory(small) - before < 30 * 5 * MIB + 64 * MIB
        wait_for(lambda: int(small.stats()[b"slow_clients"]) == 30, "the slow to be cut off")
        for each in hanging:
            each.socket.close()


def test_clients_that_do_not_send_on_cost_no_more_than_the_limit(small: Gateway) -> None:
    before = memory(small)
    hanging = [Raw(small.socket) for _ in range(40)]
    threads = []
    for each in hanging:

        def send(each: Raw = each) -> None:
            with suppress(OSError):  # it is cut off
                each.send(b"set k 0 0 20000000\r\n" + b"x" * 19_000_000)

        threads.append(threading.Thread(target=send))
        threads[-1].start()
    with Raw(small.socket) as client:
        assert client.ask(b"set other 0 0 1\r\nx\r\n") == b"STORED\r\n"
        time.sleep(1)
        assert client.ask(b"get other\r\n") == b"VALUE other 0 1\r\nx\r\nEND\r\n"
        assert memory(small) - before < (32 + 64) * MIB
        wait_for(lambda: int(small.stats()[b"slow_clients"]) >= 1, "the slow to be cut off")
    for each in hanging:
        each.socket.shutdown(socket.SHUT_RDWR)
        each.socket.close()
    for thread in threads:
        thread.join()


def test_connections_over_the_limit_are_told_so(small: Gateway) -> None:
    clients = [Raw(small.socket) for _ in range(50)]
    for client in clients:
        assert client.ask(b"version\r\n") == f"VERSION {VERSION}\r\n".encode()
    with Raw(small.socket) as more:
        assert more.until(b"never") == b"ERROR Too many open connections\r\n"
    clients.pop().socket.close()

    def served() -> bool:
        with Raw(small.socket) as again:
            again.send(b"version\r\n")
            return again.until(b"\r\n").startswith(b"VERSION")

    wait_for(served, "a place to be free")
    for client in clients:
        client.socket.close()


def test_what_was_asked_before_it_stops_is_answered(directory: Path) -> None:
    place = directory / "ending"
    place.mkdir()
    gateway = Gateway(place)
    gateway.start()
    with Raw(gateway.socket) as client:
        value = b"x" * MIB
        client.send(b"set k 0 0 %d\r\n%b\r\nget k\r\n" % (len(value), value))
        gateway.signal(signal.SIGTERM)
        assert client.until(b"END\r\n") == b"STORED\r\nVALUE k 0 %d\r\n%b\r\n" % (MIB, value)
        assert client.until(b"never") == b""
    wait_for(lambda: not gateway.running, "it to end")
    assert not gateway.socket.exists()
    assert "Traceback" not in gateway.log.read_text()


def test_ten_thousand_connections(directory: Path) -> None:
    import resource

    place = directory / "many"
    place.mkdir()
    gateway = Gateway(place)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(10_000, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    try:
        gateway.start()
        before = memory(gateway)
        clients = []
        for _ in range(number):
            client = socket.socket(socket.AF_UNIX)
            client.connect(os.fspath(gateway.socket))
            client.send(b"set k 0 0 1000\r\n" + b"x" * 500)
            clients.append(client)
        with Raw(gateway.socket) as last:
            last.send(b"version\r\n")
            assert last.until(b"\r\n")
        assert memory(gateway) - before < number * 30_000
        for client in clients:
            client.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        gateway.end()


def test_signals_end_it(directory: Path) -> None:
    place = directory / "signals"
    place.mkdir()
    gateway = Gateway(place)
    gateway.start()
    gateway.signal(signal.SIGINT)
    wait_for(lambda: not gateway.running, "it to end")


def test_a_read_only_gateway_changes_nothing(directory: Path, mock: CouchbaseMock) -> None:
    for name in ("writer", "reader"):
        (directory / name).mkdir()
    writer = Gateway(directory / "writer", mock)
    reader = Gateway(directory / "reader", mock, read_only=True, allow_flush=True)
    writer.start()
    reader.start()
    refused = b"CLIENT_ERROR this gateway is read-only: another host writes\r\n"
    changes = (
        *(b"set k 0 0 1\r\ny\r\n", b"add n 0 0 1\r\ny\r\n", b"replace k 0 0 1\r\ny\r\n"),
        *(b"append k 0 0 1\r\ny\r\n", b"prepend k 0 0 1\r\ny\r\n", b"cas k 0 0 1 1\r\ny\r\n"),
        *(b"delete k\r\n", b"incr k 1\r\n", b"decr k 1\r\n", b"touch k 0\r\n", b"gat 1 k\r\n"),
        *(b"flush_all\r\n", b"mg k T1\r\n", b"ms k 1\r\ny\r\n", b"ms k 1 MA q\r\ny\r\n"),
        *(b"md k q\r\n", b"set k 0 0 %d\r\n%b\r\n" % (21 * MIB, bytes(21 * MIB))),
    )
    try:
        with Raw(writer.socket) as client:
            assert client.ask(b"set k 0 0 1\r\n7\r\n") == b"STORED\r\n"
        with Raw(reader.socket) as client:
            for change in changes:
                assert client.ask(change) == refused, change[:40]
            client.send(b"set k 0 0 9 noreply\r\nget k\r\nxx\r\nmn\r\n")  # it is a value
            assert client.until(b"MN\r\n") == b""
            assert client.ask(b"mg k v s\r\n") == b"VA 1 s1\r\n7\r\n"
            assert client.ask(b"get n\r\n") == b"END\r\n"
        with Raw(writer.socket) as client:
            assert client.ask(b"get k\r\n") == b"VALUE k 0 1\r\n7\r\nEND\r\n"
    finally:
        reader.end()
        writer.end()


def test_a_gateway_with_boxes_lets_its_host_tell_others_and_remove_pages(
    directory: Path, mock: CouchbaseMock
) -> None:
    for name in ("other", "with boxes"):
        (directory / name).mkdir()
    other = Gateway(directory / "other", mock, hot_ttl=60)
    reader = Gateway(directory / "with boxes", mock, read_only=True, boxes=True, hot_ttl=60)
    other.start()
    reader.start()
    page, box, site = b"memfis://a/p", b"memfis-box://web2", b"memfis-site://a"
    refused = b"CLIENT_ERROR this gateway is read-only: another host writes\r\n"
    there = b"VALUE memfis://a/p 0 3\r\nold\r\nEND\r\n"
    try:
        with Raw(other.socket) as writer, Raw(reader.socket) as client:
            assert writer.ask(b"set %b 0 0 3\r\nold\r\n" % page) == b"STORED\r\n"
            assert writer.ask(b"set %b 0 0 3\r\nold\r\n" % site) == b"STORED\r\n"
            assert client.ask(b"set %b 0 60 1\r\nx\r\n" % box) == b"STORED\r\n"
            assert client.ask(b"ms %b 1 T60\r\ny\r\n" % box) == b"HD\r\n"
            for change in (
                *(b"set %b 0 0 1\r\ny\r\n" % page, b"append %b 0 0 1\r\ny\r\n" % page),
                *(b"md %b\r\n" % site, b"delete %b\r\n" % site, b"touch %b 1\r\n" % page),
                *(b"incr %b 1\r\n" % page, b"mg %b T1\r\n" % page, b"flush_all\r\n"),
            ):
                assert client.ask(change) == refused, change
            assert writer.ask(b"get %b\r\n" % page) == there
            assert client.ask(b"md %b\r\n" % page) == b"HD\r\n"
            assert client.ask(b"get %b\r\n" % page) == b"END\r\n"
            # The other one has it hot, and asks anew once it is told.
            assert writer.ask(b"get %b\r\n" % page) == there
            for forget in (b"forget %b\r\n" % page, b"forget\r\n"):
                assert writer.ask(forget) == b"OK\r\n"
                assert writer.ask(b"get %b\r\n" % page) == b"END\r\n"
            assert client.ask(b"get %b\r\n" % box) == b"VALUE %b 0 1\r\ny\r\nEND\r\n" % box
    finally:
        reader.end()
        other.end()


def test_looks_at_what_was_seen_let_no_value_travel(gateway: Gateway) -> None:
    value = os.urandom(MIB)
    with Raw(gateway.socket) as client:
        assert client.ask(b"set seen 6 0 %d\r\n%b\r\n" % (len(value), value)) == b"STORED\r\n"
        before = int(gateway.stats()[b"looks_without_value"])
        for _ in range(3):
            assert client.ask(b"mg seen s f u\r\n") == b"HD s%d f6\r\n" % len(value)
        head, _, cas = client.ask(b"mg seen s c u\r\n").strip().rpartition(b" c")
        assert head == b"HD s%d" % len(value)
        assert client.ask(b"gets seen\r\n").startswith(b"VALUE seen 6 %d %b\r\n" % (MIB, cas))
        assert int(gateway.stats()[b"looks_without_value"]) == before + 4
        assert client.ask(b"delete seen\r\nmg seen s f u\r\n") == b"DELETED\r\nEN\r\n"
