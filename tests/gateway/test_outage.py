"""Couchbase is slow, frozen, gone or refuses: never a false miss, and nobody waits."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.couchbase_mock import PASSWORD, CouchbaseMock
from support.directory import reachable_directory
from support.gateway import Gateway
from support.gocaves import mock_under_test
from support.nginx import Nginx, Site
from support.process import wait_for
from support.raw import Raw


@pytest.fixture
def directory() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture
def mock(directory: Path) -> Iterator[CouchbaseMock]:
    mock = mock_under_test(directory)
    mock.start()
    yield mock
    mock.close()


@pytest.fixture
def gateway(directory: Path, mock: CouchbaseMock) -> Iterator[Gateway]:
    gateway = Gateway(directory, mock, timeout=1.0, write_timeout=1.0)
    gateway.start()
    yield gateway
    gateway.end()
    assert "Traceback" not in gateway.log.read_text()


def test_frozen_it_is_an_error_soon_and_recovers_by_itself(
    gateway: Gateway, mock: CouchbaseMock
) -> None:
    with Raw(gateway.socket) as client:
        assert client.ask(b"set k 0 0 1\r\nx\r\n") == b"STORED\r\n"
        mock.freeze()
        asked = (b"get k\r\n", b"get never\r\n", b"set k 0 0 1\r\ny\r\n", b"mg k s c\r\n")
        for command in asked:
            assert client.ask(command).startswith(b"SERVER_ERROR "), command
        assert gateway.stats()[b"breaker"] == b"open"
        started = time.monotonic()
        for _ in range(50):
            assert client.ask(b"get k\r\n").startswith(b"SERVER_ERROR Couchbase is away")
        assert time.monotonic() - started < 50 * 0.3  # nobody waits any more
        mock.thaw()
        wait_for(lambda: gateway.stats()[b"breaker"] == b"closed", "the breaker to close")
        wait_for(lambda: client.ask(b"get never\r\n") == b"END\r\n", "an answer")
        assert client.ask(b"get k\r\n").startswith(b"VALUE k 0 1\r\n")


def test_away_at_the_start_it_is_an_error_until_it_comes(
    directory: Path, mock: CouchbaseMock
) -> None:
    gateway = Gateway(directory, mock, timeout=1.0)
    mock.freeze()
    gateway.start_alone()
    try:
        with Raw(gateway.socket) as client:
            assert client.ask(b"get k\r\n").startswith(b"SERVER_ERROR ")
            assert client.ask(b"set k 0 0 1\r\nx\r\n").startswith(b"SERVER_ERROR ")
            mock.thaw()
            wait_for(lambda: client.ask(b"get k\r\n") == b"END\r\n", "the connection")
            assert client.ask(b"set k 0 0 1\r\nx\r\n") == b"STORED\r\n"
    finally:
        gateway.end()


def test_a_socket_that_is_taken_is_said_and_the_exit_code_is_2(
    mock: CouchbaseMock, gateway: Gateway
) -> None:
    mock.freeze()  # while the attempt to connect is underway
    done = subprocess.run(gateway.command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "another process listens there" in done.stderr
    mock.thaw()


def test_a_bucket_that_is_not_there_is_said_and_no_miss(
    directory: Path, mock: CouchbaseMock
) -> None:
    said = b"no such bucket" if mock.tells_what_is_missing else b"SERVER_ERROR "
    gateway = Gateway(directory, mock, bucket="other")
    gateway.start_alone()
    try:
        with Raw(gateway.socket) as client:
            wait_for(lambda: said in client.ask(b"get k\r\n"), "it to be told")
            assert client.ask(b"get k\r\n").startswith(b"SERVER_ERROR ")
        if mock.tells_what_is_missing:
            assert "no such bucket" in gateway.log.read_text()
        assert PASSWORD not in gateway.log.read_text()
    finally:
        gateway.end()


def test_a_wrong_password_is_said_and_no_miss(directory: Path, mock: CouchbaseMock) -> None:
    if not mock.is_current:
        pytest.skip("CouchbaseMock takes any password")
    mock.password_file.write_text("another\n")
    gateway = Gateway(directory, mock)
    gateway.start_alone()
    try:
        with Raw(gateway.socket) as client:
            said = b"Couchbase does not know this user or password\r\n"
            wait_for(lambda: client.ask(b"get k\r\n").endswith(said), "it to be told")
            for command in (b"get k\r\n", b"set k 0 0 1\r\nx\r\n", b"mg k s f u\r\n"):
                answer = client.ask(command)
                assert answer.startswith(b"SERVER_ERROR "), answer
                assert answer.endswith(said), answer
        assert "another" not in gateway.log.read_text()
    finally:
        gateway.end()


def test_visitors_get_their_pages_from_disk_meanwhile_and_then_from_memory_again(
    directory: Path, gateway: Gateway, mock: CouchbaseMock
) -> None:
    site = Site(directory, gateway, "site.example")
    page = b"<p>page</p>" * 1000
    site.write("page.html", page)
    site.put("/page.html", page)
    nginx = Nginx(directory, site)
    nginx.start()
    try:
        assert (site.get("/page.html").source, site.get("/page.html").body) == ("HIT", page)
        mock.freeze()
        time.sleep(2.5)  # it is hot no more
        for _ in range(20):
            answer = site.get("/page.html")
            assert (answer.status, answer.body, answer.source) == (200, page, "FALLBACK")
        mock.thaw()
        wait_for(lambda: site.get("/page.html").source == "HIT", "memory again")
    finally:
        nginx.end()


def test_figures_for_prometheus(directory: Path, mock: CouchbaseMock) -> None:
    gateway = Gateway(directory, mock, metrics=f"unix:{directory}/metrics.sock")
    gateway.start()
    try:
        with Raw(gateway.socket) as client:
            for command in (b"set k 0 0 1\r\nx\r\n", b"get k\r\n", b"get none\r\n"):
                client.ask(command)
        figures = gateway.figures()
        for name, figure in (
            ('memfis_gateway_hits_total{tier="backend"}', 1.0),
            ("memfis_gateway_misses_total", 1.0),
            ('memfis_gateway_errors_total{kind="timeout"}', 0.0),
            ("memfis_gateway_breaker_open", 0.0),
            ('memfis_gateway_couchbase_seconds_count{operation="store"}', 1.0),
        ):
            assert figures[name] == figure, name
    finally:
        gateway.end()
