"""Gateways over a database in memory and over CouchbaseMock, and a memcached beside them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.couchbase_mock import CouchbaseMock
from support.directory import reachable_directory
from support.gateway import Gateway
from support.gocaves import mock_under_test
from support.memcached import Memcached


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def memcached(directory: Path) -> Iterator[Memcached]:
    memcached = Memcached(directory)
    memcached.start()
    yield memcached
    memcached.end()


@pytest.fixture(scope="module")
def mock(directory: Path) -> Iterator[CouchbaseMock]:
    mock = mock_under_test(directory)
    mock.start()
    yield mock
    mock.close()


@pytest.fixture(scope="module", params=["memory", "couchbase"])
def gateway(request: pytest.FixtureRequest, directory: Path) -> Iterator[Gateway]:
    mock = request.getfixturevalue("mock") if request.param == "couchbase" else None
    gateway = Gateway(directory, mock, allow_flush=True)
    gateway.start()
    yield gateway
    gateway.end()
