"""A gateway as a process of its own, in memcached's place."""

import os
import socket
import sys
from pathlib import Path
from signal import Signals

import msgspec

from memfis.settings.values import GatewaySettings
from support.agent import toml
from support.command import COMMAND
from support.couchbase_mock import BUCKET, CouchbaseMock, environment
from support.memcached import Memcached
from support.process import Process, listening

PATIENT = 20.0
"""Seconds for the database to answer where a test is about something else."""


class Gateway(Memcached):
    """A gateway in `directory`, over a database in memory or over CouchbaseMock."""

    def __init__(
        self,
        directory: Path,
        mock: CouchbaseMock | None = None,
        *,
        slow: float = 0.15,
        copies: bool = False,
        **settings: object,
    ) -> None:
        """Prepare it; `slow`: seconds of an answer of the database in memory after SIGUSR2.

        `copies`: the database in memory answers with bytes of their own, as one elsewhere does.
        """
        self.socket = directory / "gateway.sock"
        given: dict[str, object] = {
            "connection": "couchbase://nowhere" if mock is None else mock.connection,
            "bucket": BUCKET,
            "user": BUCKET,
            "password_file": "/nowhere" if mock is None else os.fspath(mock.password_file),
            "listen": [f"unix:{self.socket}"],
            "timeout": PATIENT,
            "write_timeout": PATIENT,
            **settings,
        }
        if mock is None:
            checked = msgspec.convert(given, GatewaySettings)
            encoded = msgspec.json.encode(checked).decode()
            command = [sys.executable, "-m", "support.memory_backend", encoded, str(slow)]
            command += ["copies"] if copies else []
        else:
            config = directory / "gateway.toml"
            config.write_text("[gateway]\n" + toml(given, []))
            command = [*mock.inside, *COMMAND, "gateway", "--config", os.fspath(config), "-v"]
        self.inside = () if mock is None else mock.inside
        """Put before the command of whatever asks it by TCP."""
        self.metrics = str(given.get("metrics", ""))
        self.log = directory / "gateway.log"
        self._mock = mock
        self.command = command
        self._process = Process(command, self.log, environment())

    def start(self) -> None:
        """Start it, and wait until it is connected."""
        begun = self.log.read_text().count("connected to") if self.log.exists() else 0

        def ready() -> bool:
            connected = self._mock is None or self.log.read_text().count("connected to") > begun
            return connected and listening(self.socket)

        self._process.start(ready)
        self.socket.chmod(0o777)  # for an nginx of another user

    def start_alone(self) -> None:
        """Start it, and wait until it listens, connected or not."""
        self._process.start(lambda: listening(self.socket))

    def stop(self) -> None:
        """End it as systemd does: it lets its clients end first."""
        self._process.end()

    def figures(self) -> dict[str, float]:
        """Return what it tells Prometheus, at the unix socket or the port of its settings."""
        path = self.metrics.removeprefix("unix:")
        family = socket.AF_UNIX if path.startswith("/") else socket.AF_INET
        host, _, port = path.rpartition(":")
        with socket.socket(family) as client:
            client.settimeout(10)
            client.connect(path if family == socket.AF_UNIX else (host, int(port)))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            with client.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
        return {name: float(figure) for name, _, figure in (line.rpartition(" ") for line in lines)}

    @property
    def over_couchbase(self) -> bool:
        """Whether the database is CouchbaseMock, which has no listing."""
        return self._mock is not None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.running

    def signal(self, number: Signals) -> None:
        """Send it a signal."""
        self._process.signal(number)


def store_under_test(directory: Path, *options: str) -> Memcached:
    """Return a memcached with `options`, or in its place a gateway: MEMFIS_TEST_STORE=gateway."""
    if os.environ.get("MEMFIS_TEST_STORE") == "gateway":
        return Gateway(directory, allow_flush=True, room=64 << 20)
    return Memcached(directory, *options)
