"""Every store that the suite runs against."""

from collections.abc import Iterator

import pytest

from memfis.config import StoreAddress
from memfis.store import Store
from support.directory import reachable_directory
from support.memcached import Memcached
from support.ports import answers, free_port
from support.process import Process, unprivileged, wait_for


@pytest.fixture(scope="module", params=["memcached-unix", "memcached-tcp"])
def address(request: pytest.FixtureRequest) -> Iterator[StoreAddress]:
    with reachable_directory() as directory:
        if request.param == "memcached-unix":
            memcached = Memcached(directory)
            memcached.start()
            yield StoreAddress(str(memcached.socket))
            memcached.end()
            return
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
def store(address: StoreAddress) -> Iterator[Store]:
    store = Store(address)
    store.delete_many(list(store.all_keys()))
    yield store
    store.close()
