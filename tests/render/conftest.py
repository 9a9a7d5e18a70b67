"""A site whose pages an application makes: a real memcached, real HTTP over a unix socket."""

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from memfis.layout.keys import page_key
from memfis.layout.pages import Page, content_of
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import PhpSettings, Site
from memfis.store import Store
from support.agent import Agent
from support.command import memfis_json
from support.fixtures import directory as directory
from support.memcached import Memcached
from support.origin import Origin
from support.process import wait_for


@pytest.fixture
def memcached(directory: Path) -> Iterator[Memcached]:
    memcached = Memcached(directory)
    memcached.start()
    yield memcached
    memcached.end()


@pytest.fixture
def origin(directory: Path) -> Iterator[Origin]:
    origin = Origin(directory / "origin.sock")
    origin.start()
    yield origin
    origin.end()


class Rendered:
    """The site, its web root, its store and its agent."""

    NAME = "php.example"

    def __init__(self, directory: Path, memcached: Memcached, origin: Origin) -> None:
        self.directory, self.memcached, self.origin = directory, memcached, origin
        self.root = directory / "root"
        self.root.mkdir()
        self.hints = directory / "hints.sock"
        self.purge = directory / "purge.sock"
        self.microcache = directory / "microcache"
        self.microcache.mkdir()
        address = f"memcached://{memcached.socket}"
        self.store = Store(StoreAddress.parse(address))
        self.php: dict[str, object] = {
            "canonical": "https://www.php.example",
            "hints": str(self.hints),
            "purge": str(self.purge),
            "microcache": str(self.microcache),
            "timeout": 2,
        }
        self.settings: dict[str, object] = {
            "name": self.NAME,
            "root": str(self.root),
            "index": ["index.php", "index.html"],
            "origin": str(origin.socket),
            "charset": "utf-8",
            "default_type": "text/html",
            "lease": 3600,
            "php": self.php,
        }
        self.site = Site(
            name=self.NAME,
            root=str(self.root),
            store=address,
            index=("index.php", "index.html"),
            php=PhpSettings(canonical="https://www.php.example"),
        )
        self.agent = Agent(directory, {"store": address}, [self.settings])

    def start(self, **php: object) -> None:
        """Start the agent with more settings of [sites.php]."""
        self.php |= php
        self.agent.sites[0] = self.settings
        self.agent.start()

    def content(self, path: str) -> bytes | None:
        """Return the page at `path` as a browser sees it."""
        found = self.store.get(page_key(self.NAME, path.encode()))
        return content_of(Page(*found)) if found else None

    def ttl(self, path: str) -> int | None:
        """Return how long the page lives."""
        [state] = self.store.states([page_key(self.NAME, path.encode())])
        return state.ttl if state else None

    def has(self, path: str, body: bytes | None = None) -> None:
        """Wait until the page is there."""
        if body is None:
            wait_for(lambda: self.ttl(path) is not None, f"{path} to be rendered")
        else:
            wait_for(lambda: self.content(path) == body, f"{path} to be {body!r}")

    def send(self, datagram: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(datagram, str(self.hints))

    def hint(self, path: str) -> None:
        """Tell what nginx tells when PHP answered for `path`."""
        told = json.dumps({"site": self.NAME, "uri": path}, ensure_ascii=False)
        self.send(f"<190>Nov 26 19:00:00 memfis: {told}".encode())

    def status(self) -> Mapping[str, Any]:
        [site] = memfis_json("status", "--config", self.agent.config)["sites"]
        found: Mapping[str, Any] = site["agent"]["rendering"]
        return found


@pytest.fixture
def rendered(directory: Path, memcached: Memcached, origin: Origin) -> Iterator[Rendered]:
    rendered = Rendered(directory, memcached, origin)
    yield rendered
    rendered.agent.end()
    rendered.store.close()
    assert "Traceback" not in rendered.agent.said()
