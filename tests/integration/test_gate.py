"""A store that kept its memory: nginx asks it once the agent has looked at the site."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from support.agent import Agent
from support.kept_store import KeptStore
from support.nginx import Nginx, Site
from support.process import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs")

GONE = 30
"""More than are removed at once."""

NOTHING_SENT = "; 0 added, 0 changed, 0 removed (0 B written)"


class Host:
    """A store that keeps its memory, an agent, and nginx."""

    def __init__(self, directory: Path) -> None:
        gates = directory / "gates"
        gates.mkdir()
        self.gate = gates / "site.example.sock"
        self.store = KeptStore(directory)
        self.site = Site(directory, self.store, "site.example", store_address=f"unix:{self.gate}")
        self.nginx = Nginx(directory, self.site, patient=False)
        settings = {"store": f"memcached://{self.store.socket}", "reader": "www-data"}
        own = {"name": "site.example", "root": str(self.site.root), "delete_grace": 2}
        self.agent = Agent(directory, {**settings, "gates": str(gates)}, [own])

    def start(self) -> None:
        """Fill the site, and let nginx answer from memory."""
        self.site.write("index.html", b"front page")
        self.site.write("changed.html", b"before")
        self.site.write("closed/closed.html", b"for everybody")
        for number in range(GONE):
            self.site.write(f"gone/{number}.html", b"there")
        self.store.start()
        self.agent.start()
        self.nginx.start()
        self.shows("/", "HIT")

    def source(self, path: str) -> str:
        """Return what answered for the page."""
        return self.site.get(path).header("X-Memfis") or ""

    def shows(self, path: str, source: str) -> None:
        """Wait until that answers for the page."""
        wait_for(lambda: self.source(path) == source, f"{path} to be a {source}")

    def end(self) -> None:
        """End them all."""
        self.nginx.end()
        self.agent.end()
        self.store.end()
        assert "Traceback" not in self.agent.said()
        assert "Errno" not in self.agent.said()


@pytest.fixture
def host(directory: Path) -> Iterator[Host]:
    host = Host(directory)
    try:
        host.start()
        yield host
    finally:
        host.end()


def pages(store: KeptStore) -> set[bytes]:
    """Return what is in the store, but for the site item, which says when that was looked at."""
    return {line for line in store.items() if not line.startswith(b"key=memfis-site")}


def test_a_boot_shows_nothing_that_changed_meanwhile(host: Host) -> None:
    host.nginx.end()
    host.agent.end()
    host.store.stop()
    host.store.shut_down()
    site = host.site
    site.write("changed.html", b"after")
    (site.root / "closed").chmod(0o700)
    for number in range(GONE):
        (site.root / f"gone/{number}.html").unlink()
    assert host.store.restart().endswith(" items")
    host.nginx.start()
    for _ in range(2):
        assert host.source("/") == "FALLBACK"
        assert site.get("/changed.html").body == b"after"
        assert site.get("/closed/closed.html").status == 403
        assert site.get("/gone/0.html").status == 404
        time.sleep(0.1)
    host.agent.start()
    while host.source("/") != "HIT":  # what went is held for a while: the disk answers
        assert site.get("/changed.html").body == b"after"
        assert site.get("/closed/closed.html").status == 403
        assert {site.get(f"/gone/{number}.html").status for number in range(GONE)} == {404}
    assert site.get("/changed.html").body == b"after"
    assert host.source("/changed.html") == "HIT"
    assert site.get("/closed/closed.html").status == 403
    assert {site.get(f"/gone/{number}.html").status for number in range(GONE)} == {404}
    [first] = host.agent.lines("added")
    assert "0 added, 1 changed" in first


def test_a_restart_sends_nothing_again(host: Host) -> None:
    before = pages(host.store)
    host.store.stop()
    assert host.source("/") == "FALLBACK"
    host.store.restart()
    host.agent.hears("the store was started anew; looking at what it kept")
    host.shows("/", "HIT")
    assert pages(host.store) == before
    host.site.write("changed.html", b"after")
    wait_for(lambda: host.site.get("/changed.html").body == b"after", "the change")
    host.agent.end()
    host.store.stop()
    host.store.restart()
    assert host.source("/") == "FALLBACK"
    host.agent.start()
    host.shows("/changed.html", "HIT")
    assert host.agent.lines(NOTHING_SENT)


def test_an_agent_that_is_restarted_leaves_the_way_open(host: Host) -> None:
    host.store.stop()
    host.store.restart()
    host.shows("/", "HIT")
    host.agent.end()
    host.shows("/", "HIT")
    host.agent.start()
    assert host.source("/") == "HIT"


def test_an_empty_store_is_asked_at_once(host: Host) -> None:
    host.store.stop(SIGKILL)
    host.store.restart()
    host.agent.hears("the store was started anew; filling it again")
    host.shows("/", "HIT")


def test_a_root_that_is_missing_opens_nothing(host: Host) -> None:
    host.agent.end()
    host.store.stop()
    host.site.root.rename(host.site.root.with_name("elsewhere"))
    host.store.restart()
    host.agent.start(lambda: bool(host.agent.lines("elsewhere", "missing", "held")) or True)
    wait_for(lambda: bool(host.agent.lines(str(host.site.root))), "the agent to miss the root")
    assert host.site.get("/").status == 404
    host.site.root.with_name("elsewhere").rename(host.site.root)
    host.shows("/", "HIT")


def test_a_gate_that_cannot_be_made_is_told(host: Host) -> None:
    host.store.stop()
    host.gate.unlink()
    host.gate.mkdir()
    host.store.restart()
    host.agent.hears("nginx does without memory", "Is a directory")
    assert host.source("/") == "FALLBACK"
    host.gate.rmdir()
