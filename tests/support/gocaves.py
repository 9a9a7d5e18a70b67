"""gocaves, Couchbase's own newer mock (docs/gateway.md says what it cannot do).

It listens on all interfaces, so it has a network of its own; so have the gateways that ask it.
"""

import os
import signal
from pathlib import Path

import pytest

from support.couchbase_mock import BUCKET, PASSWORD, CouchbaseMock, jar
from support.go import caves
from support.process import Process


class Gocaves(CouchbaseMock):
    """A cluster of one node with one bucket; may be frozen, killed and started again, empty."""

    is_current = True
    tells_what_is_missing = False

    def __init__(self, directory: Path) -> None:
        self.password_file = directory / "couchbase.password"
        self.password_file.write_text(f"{PASSWORD}\n")
        self._log = directory / "couchbase.log"
        ready = directory / "network"
        script = 'ip link set lo up && : >"$0" && exec sleep infinity'
        command = ("unshare", "--net", "sh", "-c", script, str(ready))
        self._network = Process(command, directory / "network.log")
        self._network.start(ready.exists)
        ready.unlink()
        self.inside = ("nsenter", f"--net=/proc/{self._network.pid}/ns/net")
        self._process = Process([*self.inside, caves(), BUCKET, PASSWORD], self._log)

    def start(self) -> None:
        """Start it, with an empty bucket."""
        begun = len(self._told())
        self._process.start(lambda: len(self._told()) > begun)

    def end(self) -> None:
        """End it, also when it is frozen; its network stays."""
        self._process.end(signal.SIGKILL)

    def close(self) -> None:
        """End its network, too."""
        self.end()
        self._network.end(signal.SIGKILL)

    def _told(self) -> list[str]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line for line in lines if line.startswith("couchbase://")]

    @property
    def connection(self) -> str:
        """The connection string; it changes when the mock is started again."""
        return self._told()[-1]


def mock_under_test(directory: Path) -> CouchbaseMock:
    """Return CouchbaseMock, or gocaves in its place: MEMFIS_TEST_COUCHBASE=gocaves."""
    if os.environ.get("MEMFIS_TEST_COUCHBASE") == "gocaves":
        if os.geteuid() != 0:
            pytest.skip("only root may make a network")
        return Gocaves(directory)
    if jar() is None:
        pytest.skip("needs Java and CouchbaseMock")
    return CouchbaseMock(directory)
