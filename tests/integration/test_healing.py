"""A store that lost something gets it back; a site that its disk lost is kept."""

import asyncio
import shutil
from itertools import count

import pytest

from integration.conftest import Agents, Filled
from memfis.keeper import health
from memfis.keeper.journal import Journal
from memfis.layout.keys import directory_key, page_key, site_key
from memfis.store import Item
from support.agent import Agent
from support.command import memfis
from support.memcached import Memcached
from support.process import PATIENCE, wait_for


def becomes_whole(filled: Filled, pages: int = 3) -> None:
    """Wait until the store is equal to the web root and has so many pages."""
    wait_for(filled.is_equal, "the store to be equal")
    assert len(filled.pages()) == pages


def follows(filled: Filled) -> None:
    """Assert that a change is still noticed."""
    (filled.root / "last.html").write_text("the last change")
    wait_for(lambda: filled.content(b"/last.html") == b"the last change", "the last change")
    wait_for(filled.is_equal, "the store to be equal")


def test_a_store_that_is_restarted_at_once(
    agent: Agent, filled: Filled, memcached: Memcached
) -> None:
    for _ in range(3):
        memcached.end()
        memcached.start()
        becomes_whole(filled)
    follows(filled)


def test_what_changes_while_the_store_is_away(
    agent: Agent, filled: Filled, memcached: Memcached
) -> None:
    memcached.end()
    agent.hears("cannot be reached")
    (filled.root / "index.html").write_text("changed")
    (filled.root / "docs" / "logo.png").unlink()
    memcached.start()
    becomes_whole(filled, 2)
    assert filled.content(b"/") == b"changed"


def test_an_agent_that_is_started_before_its_store(
    filled: Filled, memcached: Memcached, new_agent: Agents
) -> None:
    memcached.end()
    agent = new_agent()
    agent.start(lambda: bool(agent.lines("cannot be reached")))
    memcached.start()
    becomes_whole(filled)
    follows(filled)


def test_a_flush(agent: Agent, filled: Filled, memcached: Memcached) -> None:
    with memcached.client() as client:
        client.flush_all(noreply=False)
    agent.hears("flushed")
    becomes_whole(filled)


def test_a_flush_while_the_agent_looks_away(
    agent: Agent, filled: Filled, memcached: Memcached
) -> None:
    (filled.root / "index.html").write_text("changed")
    with memcached.client() as client:
        client.flush_all(noreply=False)
    (filled.root / "docs" / "logo.png").unlink()
    becomes_whole(filled, 2)


def test_the_item_of_the_site_is_lost(agent: Agent, filled: Filled) -> None:
    key = site_key("site.example")
    filled.store.delete_many([key])
    agent.hears("lost the site")
    wait_for(lambda: filled.store.get(key) is not None, "the item of the site")
    becomes_whole(filled)


def test_a_site_that_is_being_filled_is_not_taken_for_lost(
    filled: Filled, memcached: Memcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE", 0.01)
    lost: list[health.StoreEvent] = []
    item = site_key("site.example")
    here = health.Health(filled.store.address, item, Journal("site.example"))

    def connections() -> int:
        return int(memcached.stats()[b"total_connections"])

    def note(event: health.StoreEvent) -> None:
        lost.append(event)
        here.filled = False

    async def watch() -> None:
        watching = asyncio.create_task(here.watch(note, lambda: None))
        before = connections()
        while connections() < before + 2 * 3 * health.ITEM:  # ours are among them
            await asyncio.sleep(0.01)
        assert lost == []  # however long it takes
        here.filled = True
        while not lost:
            await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(asyncio.wait_for(watch(), PATIENCE))
    assert lost == [health.StoreEvent.LOST_SITE]


def test_the_item_of_a_directory_is_lost_and_a_file_in_it_goes(
    agent: Agent, filled: Filled
) -> None:
    filled.store.delete_many([directory_key("site.example", b"/docs/")])
    (filled.root / "docs" / "logo.png").unlink()
    becomes_whole(filled, 2)


def test_the_item_of_a_directory_is_lost_and_the_directory_goes(
    agent: Agent, filled: Filled
) -> None:
    filled.store.delete_many([directory_key("site.example", b"/docs/")])
    shutil.rmtree(filled.root / "docs")
    becomes_whole(filled, 1)


def test_the_item_of_a_directory_is_damaged(agent: Agent, filled: Filled) -> None:
    filled.store.set(directory_key("site.example", b"/docs/"), b"nonsense")
    (filled.root / "docs" / "new.html").write_text("new")
    becomes_whole(filled, 4)


def test_pages_that_others_wrote_or_removed_are_put_right_by_a_sync(
    agent: Agent, filled: Filled
) -> None:
    filled.store.set(page_key("site.example", b"/"), b"defaced")
    filled.store.set(page_key("site.example", b"/docs/"), b"defaced")
    filled.store.delete_many([page_key("site.example", b"/docs/logo.png")])
    done = memfis("sync", "--config", agent.config)
    assert "3 restored" in done.stdout
    becomes_whole(filled)


def test_pages_that_were_evicted(filled: Filled, new_agent: Agents, memcached: Memcached) -> None:
    for number in range(300):
        (filled.root / f"{number}.png").write_bytes(bytes([number % 256]) * 10_000)
    agent = new_agent()
    agent.start()
    content = bytes(10_000)
    for turn in count():
        filled.store.set_many([Item(b"foreign:%d:%d" % (turn, n), content, 0) for n in range(200)])
        if len(filled.pages()) < 250:
            break
    # what is left is right, and the agent brings back the rest by itself, in its own time
    assert {each.kind for each in filled.discrepancies()} <= {"missing", "records"}
    wait_for(filled.is_equal, "the evicted pages to be back", patience=90)
    assert agent.lines("restored")


def test_a_store_that_is_frozen_for_a_while(
    agent: Agent, filled: Filled, memcached: Memcached
) -> None:
    memcached.freeze()
    (filled.root / "index.html").write_text("changed while it was frozen")
    (filled.root / "docs" / "logo.png").unlink()
    agent.hears("cannot be reached", "no answer in time")
    # the agent is there all the same: it answers, if only that the store does not
    done = memfis("sync", "--config", agent.config)
    assert done.returncode == 3
    [line] = done.stderr.splitlines()
    assert "no answer in time" in line
    memcached.thaw()
    becomes_whole(filled, 2)
    follows(filled)


def test_leases_are_renewed_and_end_with_the_agent(filled: Filled, new_agent: Agents) -> None:
    agent = new_agent(site={"lease": 60})
    agent.start()
    keys = [page_key("site.example", path) for path in filled.pages()]

    def ttls() -> list[int]:
        return [state.ttl for state in filled.store.states(keys) if state]

    assert all(0 < ttl <= 61 for ttl in ttls())
    filled.store.touch_many(keys, 15)  # the last third
    done = memfis("sync", "--config", agent.config)
    assert done.returncode == 0
    assert all(50 < ttl <= 61 for ttl in ttls())
    agent.end()
    before = ttls()
    wait_for(lambda: max(ttls()) < min(before), "the leases to run down")
    filled.store.touch_many(keys, 1)
    wait_for(lambda: filled.pages() == set() or ttls() == [], "the leases to end")
    assert memfis("cat", "--config", agent.config, "/").returncode != 0
