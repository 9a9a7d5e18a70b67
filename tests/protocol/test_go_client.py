"""Go's client as programs use it (tests/goclient): memcached and the gateway are one to it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import Gateway
from support.go import client
from support.memcached import Memcached


@pytest.fixture(params=["memcached", "gateway"])
def server(request: pytest.FixtureRequest, directory: Path) -> Iterator[Memcached]:
    server = Memcached(directory)
    if request.param == "gateway":
        server = Gateway(directory, allow_flush=True)
    server.start()
    yield server
    server.end()


def test_gomemcache(server: Memcached) -> None:
    done = subprocess.run([client(), server.socket], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
