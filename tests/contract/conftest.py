"""Every store that the suite runs against."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pymemcache.client.base import Client

from memfis.settings.addresses import StoreAddress
from memfis.store import Store
from support.directory import reachable_directory
from support.gateway import Gateway
from support.gocaves import mock_under_test
from support.memcached import Memcached
from support.ports import answers, free_port
from support.process import Process, unprivileged, wait_for

STORES = ("memcached-unix", "memcached-tcp", "gateway", "gateway-couchbase")


@pytest.fixture(scope="module", params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def address(kind: str) -> Iterator[StoreAddress]:
    with reachable_directory() as directory:
        if kind == "memcached-tcp":
            yield from _memcached_at_a_port(directory)
        elif kind == "memcached-unix":
            yield from _started(Memcached(directory))
        elif kind == "gateway":
            yield from _started(Gateway(directory, allow_flush=True))
        else:
            mock = mock_under_test(directory)
            mock.start()
            try:
                yield from _started(Gateway(directory, mock, allow_flush=True))
            finally:
                mock.close()


def _started(memcached: Memcached) -> Iterator[StoreAddress]:
    memcached.start()
    yield StoreAddress(str(memcached.socket))
    memcached.end()


def _memcached_at_a_port(directory: Path) -> Iterator[StoreAddress]:
    port = free_port()
    user = unprivileged()
    command = ["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-I", "20m"]
    process = Process(
        [*command, *(("-u", user.pw_name) if user else ())], directory / "memcached.log"
    )
    process.start(lambda: answers(port))
    yield StoreAddress(None, "127.0.0.1", port)
    process.end()
    wait_for(lambda: not answers(port), "memcached to end")


@pytest.fixture
def store(kind: str, address: StoreAddress) -> Iterator[Store]:
    store = Store(address)
    if kind == "gateway-couchbase":
        with closing(Client(address.path)) as client:
            assert client.flush_all(noreply=False)
    else:
        store.delete_many(list(store.all_keys()))
    yield store
    store.close()


@pytest.fixture
def lists_keys(kind: str) -> None:
    """Leave out what needs a list of all keys where no mock can make one."""
    if kind == "gateway-couchbase":
        pytest.skip("CouchbaseMock has no scans")


@pytest.fixture
def large_values(kind: str) -> None:
    """Leave out what needs more than 2 MB/s of reads."""
    if kind == "gateway-couchbase" and os.environ.get("MEMFIS_TEST_COUCHBASE") == "gocaves":
        pytest.skip("gocaves sends 2 MB/s")
