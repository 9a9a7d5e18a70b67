"""A real Prometheus, from the distribution's package, which is unpacked and not installed."""

import json
import os
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from signal import SIGHUP
from typing import Any

from support.documentation import documentation
from support.ports import free_port
from support.process import PATIENCE, Process


def program(name: str) -> Path:
    """Return the path of `prometheus` or `promtool`."""
    return documentation("prometheus") / "usr" / "bin" / name


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return what it said; it must be content."""
    command = [program("promtool"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Prometheus:
    """Asks, and evaluates, as the configuration prometheus.yml in `directory` says."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        command: list[str | Path] = [
            program("prometheus"),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'series'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        environment = {**os.environ, "GOMAXPROCS": "2"}
        self._process = Process(command, directory / "prometheus.log", environment)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process.start(self._ready)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=PATIENCE):
                return True
        except OSError:  # not there, or 503
            return False

    def reload(self) -> None:
        """Let it read its configuration and rules again."""
        self._process.signal(SIGHUP)

    def end(self) -> None:
        """End it."""
        self._process.end()

    def ask(self, what: str, **arguments: str) -> Any:
        """Return the data that its HTTP API has for `what`."""
        form = urllib.parse.urlencode(arguments)
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{form}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{arguments}: {error.read().decode()}") from error

    def values(self, expression: str) -> list[Any]:
        """Return what `expression` has now, each with its labels; raises where it is none."""
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found

    def firing(self) -> dict[str, list[Any]]:
        """Return the alerts that fire, by name."""
        alerts: dict[str, list[Any]] = {}
        for each in self.ask("alerts")["alerts"]:
            if each["state"] == "firing":
                alerts.setdefault(each["labels"]["alertname"], []).append(each)
        return alerts
