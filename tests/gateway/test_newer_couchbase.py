"""What Couchbase does and CouchbaseMock does not: seen with gocaves (MEMFIS_TEST_COUCHBASE)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.couchbase_mock import CouchbaseMock
from support.gateway import Gateway
from support.raw import Raw


@pytest.fixture
def hosts(directory: Path, mock: CouchbaseMock) -> Iterator[tuple[Gateway, Gateway]]:
    """Two hosts' gateways over one bucket."""
    if not mock.is_current:
        pytest.skip("CouchbaseMock cannot")
    gateways = []
    for name in ("one", "other"):
        (directory / name).mkdir()
        gateways.append(Gateway(directory / name, mock, hot_ttl=0.0))
        gateways[-1].start()
    yield gateways[0], gateways[1]
    for gateway in gateways:
        gateway.end()


def test_a_look_without_a_value_sees_what_another_host_wrote(
    hosts: tuple[Gateway, Gateway],
) -> None:
    with Raw(hosts[0].socket) as one, Raw(hosts[1].socket) as other:
        assert one.ask(b"set page 3 0 3\r\none\r\n") == b"STORED\r\n"
        assert other.ask(b"mg page s f u\r\n") == b"HD s3 f3\r\n"
        assert other.ask(b"mg page s f u\r\n") == b"HD s3 f3\r\n"
        assert one.ask(b"set page 4 0 5\r\nother\r\n") == b"STORED\r\n"
        assert other.ask(b"mg page s f u\r\n") == b"HD s5 f4\r\n"
        assert one.ask(b"delete page\r\n") == b"DELETED\r\n"
        assert other.ask(b"mg page s f u\r\n") == b"EN\r\n"


def test_a_version_is_one_at_every_host(hosts: tuple[Gateway, Gateway]) -> None:
    with Raw(hosts[0].socket) as one, Raw(hosts[1].socket) as other:
        first = one.ask(b"ms lease 3 c\r\none\r\n").split()[1]
        assert other.ask(b"mg lease c u\r\n").split()[1] == first
        token = first[1:]
        assert other.ask(b"ms lease 5 C%b\r\nother\r\n" % token) == b"HD\r\n"
        assert one.ask(b"ms lease 4 C%b\r\nlate\r\n" % token) == b"EX\r\n"
        assert one.ask(b"md lease C%b\r\n" % token) == b"EX\r\n"
        assert one.ask(b"get lease\r\n") == b"VALUE lease 0 5\r\nother\r\nEND\r\n"
