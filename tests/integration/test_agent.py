"""`memfis agent`: the daemon over a store that is not its own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Filled
from memfis.errors import StoreError
from memfis.keys import page_key
from memfis.pages import Page, content_of
from support.command import in_background, memfis
from support.memcached import Memcached
from support.process import Process, wait_for


class Agent:
    """A running agent and what it logs."""

    def __init__(self, filled: Filled) -> None:
        directory = filled.root.parent
        self.config = directory / "memfis.toml"
        self.config.write_text(
            f'store = "{filled.site.store}"\nruntime_directory = "{directory}/run"\n'
            f'[[sites]]\nname = "site.example"\nroot = "{filled.root}"\nlease = 3600\n'
        )
        self.process: Process = in_background(directory, "agent", "--config", self.config)
        self.log: Path = self.process.log
        self.process.start(lambda: "3 added" in self.said())

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def lines(self, *words: str) -> list[str]:
        return [line for line in self.said().splitlines() if all(word in line for word in words)]


@pytest.fixture
def agent(filled: Filled) -> Iterator[Agent]:
    agent = Agent(filled)
    yield agent
    agent.process.end()
    assert "Traceback" not in agent.said()


def text(filled: Filled, path: bytes) -> bytes | None:
    try:
        found = filled.store.get(page_key("site.example", path))
    except StoreError:
        return None
    return content_of(Page(*found)) if found else None


def test_changes_reach_the_store(agent: Agent, filled: Filled) -> None:
    (filled.root / "index.html").write_text("changed")
    wait_for(lambda: text(filled, b"/") == b"changed", "the change")
    nested = filled.root / "a" / "b" / "c"
    nested.mkdir(parents=True)
    for number in range(100):
        (nested / f"{number}.html").write_text(f"page {number}")
    wait_for(lambda: text(filled, b"/a/b/c/99.html") == b"page 99", "the new tree")
    wait_for(lambda: len(filled.pages()) == 103, "all of the new tree")
    (filled.root / "docs" / "logo.png").unlink()
    wait_for(lambda: b"/docs/logo.png" not in filled.pages(), "the deletion")


def test_pages_have_a_lease(agent: Agent, filled: Filled) -> None:
    [state] = filled.store.look_many([page_key("site.example", b"/")])
    assert state is not None
    assert 0 < state.ttl <= 3601


def test_a_restarted_store_is_filled_again(
    agent: Agent, filled: Filled, memcached: Memcached
) -> None:
    memcached.end()
    wait_for(lambda: bool(agent.lines("cannot be reached")), "the agent to notice")
    memcached.start()
    wait_for(lambda: text(filled, b"/") == b"front page", "the store to be filled again")
    assert len(agent.lines("cannot be reached")) <= 3  # said once, not every second


def test_a_flushed_store_is_filled_again(agent: Agent, filled: Filled) -> None:
    filled.store.delete_many(list(filled.store.all_keys()))
    wait_for(lambda: len(filled.pages()) == 3, "the store to be filled again")


def test_a_problem_is_logged_once(agent: Agent, filled: Filled) -> None:
    (filled.root / "dangling").symlink_to("nowhere")
    wait_for(lambda: bool(agent.lines("dangling")), "the problem to be logged")
    for number in range(3):
        (filled.root / "index.html").write_text(f"version {number}")
        wait_for(lambda n=number: text(filled, b"/") == f"version {n}".encode(), "the change")  # type: ignore[misc]
    assert len(agent.lines("dangling")) == 1


def test_a_web_root_that_goes_and_comes_back(agent: Agent, filled: Filled) -> None:
    away = filled.root.with_name("away")
    filled.root.rename(away)
    wait_for(lambda: bool(agent.lines("No such file")), "the agent to say so")
    assert len(filled.pages()) == 3
    away.rename(filled.root)
    (filled.root / "index.html").write_text("back")
    wait_for(lambda: text(filled, b"/") == b"back", "the agent to go on")


def test_an_emptied_web_root_is_not_followed(agent: Agent, filled: Filled) -> None:
    for path in ("index.html", "docs/index.html", "docs/logo.png"):
        (filled.root / path).unlink()
    wait_for(lambda: bool(agent.lines("--max-delete")), "the refusal")
    assert len(filled.pages()) >= 1


def test_a_switched_link_above_the_web_root_is_followed(filled: Filled) -> None:
    base = filled.root.parent
    for release in ("one", "two"):
        (base / release / "public").mkdir(parents=True)
        for number in range(3):
            (base / release / "public" / f"{number}.html").write_text(release)
    (base / "current").symlink_to("one")
    site = filled.root
    os.rename(site, base / "unused")
    site.symlink_to("current/public")
    agent = Agent(filled)
    (base / "new").symlink_to("two")
    os.rename(base / "new", base / "current")
    wait_for(lambda: text(filled, b"/0.html") == b"two", "the switch")
    agent.process.end()


def test_a_sync_beside_the_agent_does_no_harm(agent: Agent, filled: Filled) -> None:
    for _ in range(3):
        done = memfis("sync", "--config", agent.config)
        assert (done.returncode, done.stderr) == (0, "")
    assert memfis("verify", "--config", agent.config).returncode == 0


def test_it_stops_when_it_is_asked_to(filled: Filled) -> None:
    agent = Agent(filled)
    agent.process.end(signal.SIGTERM)
    assert agent.said().splitlines()[-1].endswith("stopped")
