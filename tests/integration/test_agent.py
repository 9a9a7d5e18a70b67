"""`memfis agent`: the daemon over a store that is not its own."""

import os
import signal

from integration.conftest import Agents, Filled
from memfis.layout.keys import page_key
from support.agent import Agent
from support.command import memfis
from support.memcached import Memcached
from support.process import wait_for


def test_changes_reach_the_store(agent: Agent, filled: Filled) -> None:
    (filled.root / "index.html").write_text("changed")
    wait_for(lambda: filled.content(b"/") == b"changed", "the change")
    nested = filled.root / "a" / "b" / "c"
    nested.mkdir(parents=True)
    for number in range(100):
        (nested / f"{number}.html").write_text(f"page {number}")
    wait_for(lambda: filled.content(b"/a/b/c/99.html") == b"page 99", "the new tree")
    wait_for(lambda: len(filled.pages()) == 103, "all of the new tree")
    (filled.root / "docs" / "logo.png").unlink()
    wait_for(lambda: b"/docs/logo.png" not in filled.pages(), "the deletion")


def test_pages_have_a_lease(agent: Agent, filled: Filled) -> None:
    [state] = filled.store.states([page_key("site.example", b"/")])
    assert state is not None
    assert 0 < state.ttl <= 3601


def test_a_restarted_store_is_filled_again(
    agent: Agent, filled: Filled, memcached: Memcached
) -> None:
    memcached.end()
    agent.hears("cannot be reached")
    memcached.start()
    wait_for(lambda: filled.content(b"/") == b"front page", "the store to be filled again")
    assert len(agent.lines("cannot be reached")) <= 3  # said once, not every second


def test_a_flushed_store_is_filled_again(agent: Agent, filled: Filled) -> None:
    filled.store.delete_many(list(filled.store.all_keys()))
    wait_for(lambda: len(filled.pages()) == 3, "the store to be filled again")


def test_a_problem_is_logged_once(agent: Agent, filled: Filled) -> None:
    (filled.root / "dangling").symlink_to("nowhere")
    agent.hears("dangling")
    for number in range(3):
        (filled.root / "index.html").write_text(f"version {number}")
        wait_for(lambda n=number: filled.content(b"/") == f"version {n}".encode(), "the change")  # type: ignore[misc]
    assert len(agent.lines("dangling")) == 1


def test_many_problems_do_not_drown_the_log(agent: Agent, filled: Filled) -> None:
    many = filled.root / "many"
    many.mkdir()
    for number in range(50):
        (many / f"{number}.html").symlink_to("nowhere")

    def more() -> list[int]:
        """Return how many were not named, for each look that found more than are named."""
        return [int(line.split(": ")[2].split()[0]) for line in agent.lines("more like these")]

    # One look may come while the links are made, and another finds the rest.
    wait_for(lambda: len(agent.lines("dangling")) + sum(more()) == 50, "all 50 to be told of")
    assert more()
    assert len(agent.lines("dangling")) <= 20 * (len(more()) + 1)


def test_a_web_root_that_goes_and_comes_back(agent: Agent, filled: Filled) -> None:
    away = filled.root.with_name("away")
    filled.root.rename(away)
    agent.hears("No such file")
    assert len(filled.pages()) == 3
    away.rename(filled.root)
    (filled.root / "index.html").write_text("back")
    wait_for(lambda: filled.content(b"/") == b"back", "the agent to go on")


def test_an_emptied_web_root_is_followed(agent: Agent, filled: Filled) -> None:
    for path in ("index.html", "docs/index.html", "docs/logo.png"):
        (filled.root / path).unlink()
    wait_for(lambda: filled.pages() == set(), "the pages to go")


def test_a_switched_link_above_the_web_root_is_followed(filled: Filled, new_agent: Agents) -> None:
    base = filled.root.parent
    for release in ("one", "two"):
        (base / release / "public").mkdir(parents=True)
        for number in range(3):
            (base / release / "public" / f"{number}.html").write_text(release)
    (base / "current").symlink_to("one")
    site = filled.root
    os.rename(site, base / "unused")
    site.symlink_to("current/public")
    agent = new_agent()
    agent.start()
    (base / "new").symlink_to("two")
    os.rename(base / "new", base / "current")
    wait_for(lambda: filled.content(b"/0.html") == b"two", "the switch")


def test_a_sync_beside_the_agent_does_no_harm(agent: Agent, filled: Filled) -> None:
    for _ in range(3):
        done = memfis("sync", "--config", agent.config)
        assert (done.returncode, done.stderr) == (0, "")
    assert memfis("verify", "--config", agent.config).returncode == 0


def test_it_stops_when_it_is_asked_to(agent: Agent) -> None:
    agent.end(signal.SIGTERM)
    assert agent.said().splitlines()[-1].endswith("stopped")
