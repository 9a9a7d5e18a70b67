"""Hosts with stores of their own: a purge at one reaches the others, however long that takes."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.agent import Agent
from support.http import Connection
from support.memcached import Memcached
from support.nginx import Nginx, Site
from support.php import TOLD, PhpFpm, settings
from support.ports import free_port
from support.process import wait_for

PAGE = """<?php
header('Content-Type: text/html; charset=utf-8');
echo '<html><p>', file_get_contents('%s'), '</p></html>';
"""


class Host:
    """One host, which tells the hosts at the ports `peers` what is purged."""

    def __init__(
        self,
        directory: Path,
        database: Path,
        php: PhpFpm,
        port: int,
        peers: list[int],
        **more: Any,
    ) -> None:
        self.directory, self.port = directory, port
        (directory / "store").mkdir(parents=True)
        (directory / "store").chmod(0o777)
        self.store = Memcached(directory / "store")
        own = {key: os.fspath(directory / f"{key}.sock") for key in ("hints", "purge")}
        self.site = Site(
            directory,
            self.store,
            "site.example",
            listen=[f"unix:{directory}/site.example.public", f"127.0.0.1:{port}"],
            index=["index.php"],
            default_type="text/html",
            charset="utf-8",
            php=settings(directory, php, **own, **more),
        )
        self.site.write("index.php", (PAGE % database).encode())
        self.nginx = Nginx(directory, self.site, patient=True)
        known = ("index", "from_memory", "default_type", "charset")
        table = {
            **{"name": "site.example", "root": os.fspath(self.site.root)},
            "origin": os.fspath(self.site.origin),
            **{key: self.site.settings[key] for key in known},
            **({"first_level": os.fspath(self.site.told)} if self.site.told else {}),
            "php": {key: self.site.settings["php"][key] for key in TOLD}
            | {"peers": [f"http://127.0.0.1:{peer}" for peer in peers]},
        }
        self.agent = Agent(directory, {"store": f"memcached://{self.store.socket}"}, [table])

    def start(self) -> None:
        """Start all of it."""
        self.store.start()
        self.nginx.start()
        self.start_agent()

    def start_agent(self) -> None:
        """Start its agent."""
        self.agent.start()
        for key in ("hints", "purge"):
            (self.directory / f"{key}.sock").chmod(0o666)

    def end(self) -> None:
        """End all of it."""
        self.agent.end()
        self.nginx.end()
        self.store.end()

    def purge(self, target: str, **headers: str) -> int:
        """Purge as an application does, and return the status."""
        with Connection(("127.0.0.1", self.port)) as connection:
            return connection.ask(target, "PURGE", headers, host="site.example").status

    def shows(self, text: str, source: str | None = None) -> bool:
        """Whether it shows `text`, from `source` if that is given."""
        answer = self.site.get("/page")
        return answer.body == f"<html><p>{text}</p></html>".encode() and (
            source is None or answer.source == source
        )


class Pair:
    """Two hosts, each the other's peer, and what the application says at both."""

    def __init__(self, directory: Path, php: PhpFpm, **more: Any) -> None:
        self.database = directory / "database"
        self.say("0")
        ports = [free_port(), free_port()]
        self.hosts = [
            Host(
                *(directory / f"web{number}", self.database, php, ports[number]),
                [ports[1 - number]],
                **more,
            )
            for number in (0, 1)
        ]

    def say(self, text: str) -> None:
        """Let the application say `text`."""
        self.database.write_text(text)

    def hot(self, text: str) -> None:
        """Wait until both have the page in memory."""
        for host in self.hosts:
            wait_for(lambda host=host: host.shows(text, "HIT"), "the page to be in memory")  # type: ignore[misc]


@pytest.fixture
def pair(directory: Path, php: PhpFpm) -> Iterator[Pair]:
    pair = Pair(directory, php)
    with ExitStack() as stack:
        for host in pair.hosts:
            stack.callback(host.end)
            host.start()
        yield pair


def test_a_purge_at_one_reaches_the_other(pair: Pair) -> None:
    one, other = pair.hosts
    for number, (at, target, headers) in enumerate(
        [
            (one, "/page", {}),
            (other, "/*", {}),
            (one, "/pa.e", {"X-Purge-Method": "regex"}),
        ]
    ):
        pair.hot(str(number))
        pair.say(str(number + 1))
        assert at.purge(target, **headers) == 200
        assert at.shows(str(number + 1))
        told = time.monotonic()
        wait_for(lambda new=str(number + 1): one.shows(new) and other.shows(new), "both")  # type: ignore[misc]
        assert time.monotonic() - told < 5
    # It was told once, and not back again and again.
    for host in pair.hosts:
        log = host.nginx.log.read_text()
        assert "PURGE" not in log, log


def test_who_is_away_is_told_when_it_is_back_even_by_another_agent(pair: Pair) -> None:
    one, other = pair.hosts
    pair.hot("0")
    other.nginx.end()
    pair.say("1")
    assert one.purge("/page") == 200
    one.agent.hears("was not told what is purged, and is tried again")
    file = one.agent.runtime / "purges.json"
    assert file.stat().st_mode & 0o777 == 0o600
    one.agent.end()
    one.start_agent()
    other.nginx.start()
    wait_for(lambda: other.shows("1"), "the other to be told")
    one.agent.hears("is told again what is purged")
    wait_for(lambda: not file.exists(), "nothing to wait")


def test_who_may_not_purge_there_is_told_why(directory: Path, php: PhpFpm) -> None:
    pair = Pair(directory, php)
    one, other = pair.hosts
    other.site.settings["php"]["purge_from"] = ["192.0.2.1"]
    other.nginx = Nginx(other.directory, other.site, patient=True)
    with ExitStack() as stack:
        for host in pair.hosts:
            stack.callback(host.end)
            host.start()
        for _ in range(150):  # more than are remembered one by one
            assert one.purge("/page") == 200
        one.agent.hears("it answered 403: is this host in its purge_from?")
        assert len(one.agent.lines("is tried again")) == 1
        assert len((one.agent.runtime / "purges.json").read_text()) < 10_000
    assert "Traceback" not in one.agent.said()


def test_nonsense_of_a_peer_is_refused(pair: Pair) -> None:
    one, _ = pair.hosts
    for patterns in ("{", "[1]", '["nonsense"]', '["~("]', "[" * 3000):
        assert one.purge("/page", **{"X-Memfis-Patterns": patterns}) == 400
    assert one.purge("/page", **{"X-Memfis-Patterns": ""}) == 200  # as without
    assert "Traceback" not in one.agent.said()
