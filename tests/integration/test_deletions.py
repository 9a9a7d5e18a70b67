"""Deletions under an agent: few go at once, many are held for a grace, and nothing stays."""

import asyncio
import contextlib
import errno
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM

import pytest

from integration.conftest import Agents, Filled
from integration.test_agent_life import Manager
from integration.test_metrics import Scrape
from memfis.keeper import SiteKeeper, holding
from memfis.keeper.holding import REASONS, ROOT_BROKEN, ROOT_MISSING
from memfis.settings.agent import LEASE
from memfis.webroot import root
from memfis.webroot.place import find_root, root_error
from support.agent import Agent
from support.command import memfis, memfis_json
from support.memcached import Memcached
from support.process import wait_for

LONG = 60
"""Seconds of a grace that no test waits for."""


def fill(filled: Filled, number: int, directory: str = "pages") -> Path:
    """Make so many pages in a directory of their own, and return it."""
    path = filled.root / directory
    path.mkdir(parents=True)
    for each in range(number):
        (path / f"{each}.html").write_text(f"page {each}")
    return path


@contextlib.contextmanager
def unseen(agent: Agent) -> Iterator[None]:
    """Let the agent see what is done meanwhile all at once, when it is over."""
    agent.tell(SIGSTOP)
    yield
    agent.tell(SIGCONT)


def remove(directory: Path, number: int | None = None) -> None:
    """Remove the first `number` files of `directory`; None: all."""
    for path in sorted(directory.iterdir())[:number]:
        path.unlink()


def empty(agent: Agent, directory: Path, number: int | None = None) -> None:
    """Remove files so that the agent sees it all at once."""
    with unseen(agent):
        remove(directory, number)


def held(agent: Agent) -> dict[str, object] | None:
    """Return what `memfis status` says is held."""
    [site] = memfis_json("status", "--config", agent.config)["sites"]
    answer: dict[str, object] | None = site["agent"]["held"]
    return answer


def begin(new_agent: Agents, grace: int, **more: object) -> Agent:
    agent = new_agent(site={"delete_grace": grace}, **more)  # type: ignore[arg-type]
    agent.start()
    return agent


def nothing_stays(filled: Filled) -> None:
    wait_for(filled.is_equal, "the store to be equal", patience=60)


def test_many_are_held_and_then_carried_out(new_agent: Agents, filled: Filled) -> None:
    """Case S3: of 60 pages 59 are removed, and 1 is new."""
    shutil.rmtree(filled.root / "docs")
    pages = fill(filled, 59)
    agent = begin(new_agent, 1)
    empty(agent, pages)
    (filled.root / "new.html").write_text("new")
    agent.hears("59 pages whose files are gone are held until", "`memfis sync --site site.example`")
    agent.hears("59 pages that were held go")
    nothing_stays(filled)
    assert filled.pages() == {b"/", b"/new.html"}
    assert len(agent.lines("are held until")) == 1


@pytest.mark.parametrize("most", [True, False])
def test_what_is_new_meanwhile_is_served_at_once(
    new_agent: Agents, filled: Filled, most: bool
) -> None:
    pages = fill(filled, 100 if most else 400)
    agent = begin(new_agent, LONG)
    gone = {f"memfis://site.example/pages/{path.name}" for path in sorted(pages.iterdir())[:90]}
    empty(agent, pages, 90)
    agent.hears("are held until")
    (pages / "new.html").write_text("new")
    (filled.root / "index.html").write_text("changed")
    wait_for(lambda: filled.content(b"/pages/new.html") == b"new", "the new page")
    wait_for(lambda: filled.content(b"/") == b"changed", "the change")
    assert filled.content(b"/pages/0.html") == b"page 0"
    assert (held(agent) or {})["pages"] == 90
    done = memfis("verify", "--config", agent.config, "--json")
    [site] = json.loads(done.stdout)["sites"]
    strays = {each["path"] for each in site["differences"] if each["what"] == "stray"}
    assert (done.returncode, strays) == (1, gone)


def test_twenty_go_at_once_and_twenty_one_do_not(new_agent: Agents, filled: Filled) -> None:
    for name in ("few", "many"):
        fill(filled, 50, name)
    agent = begin(new_agent, LONG)
    agent.end()
    remove(filled.root / "few", 20)
    agent.start()  # so that one look finds them all
    nothing_stays(filled)
    assert held(agent) is None
    agent.end()
    remove(filled.root / "many", 21)
    agent.start()
    assert (held(agent) or {})["pages"] == 21
    assert len([page for page in filled.pages() if page.startswith(b"/many/")]) == 50


def test_a_web_root_that_is_emptied(new_agent: Agents, filled: Filled) -> None:
    shutil.rmtree(filled.root / "docs")
    pages = fill(filled, 100)
    agent = begin(new_agent, 1)
    with unseen(agent):
        shutil.rmtree(pages)
        (filled.root / "index.html").unlink()
    agent.hears("101 pages that were held go")
    wait_for(lambda: filled.pages() == set(), "the pages to go", patience=60)
    (filled.root / "index.html").write_text("again")
    wait_for(lambda: filled.content(b"/") == b"again", "the agent to go on")


def test_a_slow_removal(new_agent: Agents, filled: Filled) -> None:
    pages = fill(filled, 100)
    agent = begin(new_agent, LONG)
    for number in range(90):
        (pages / f"{number}.html").unlink()
        time.sleep(0.01)  # a burst is over in twice this, and what is asked for is small steps
    wait_for(lambda: (held(agent) or {"pages": 0})["pages"] != 0, "them to be held")
    gone = {number for number in range(100) if filled.content(b"/pages/%d.html" % number) is None}
    assert gone <= set(range(20))  # the first, and no others
    for number in range(90):
        (pages / f"{number}.html").write_text(f"version {number}")
    agent.hears("the files of all pages that were held came back")
    nothing_stays(filled)
    assert filled.content(b"/pages/50.html") == b"version 50"


def test_a_directory_that_is_moved_away_and_back(new_agent: Agents, filled: Filled) -> None:
    fill(filled, 30, "pages/below")
    pages = fill(filled, 30, "pages/beside").parent
    agent = begin(new_agent, LONG)
    empty(agent, pages / "below", 25)
    agent.hears("25 pages whose files are gone are held")
    pages.rename(filled.root.parent / "away")
    wait_for(lambda: (held(agent) or {})["pages"] == 60, "the others to be held, too")
    (filled.root.parent / "away").rename(pages)
    wait_for(lambda: (held(agent) or {})["pages"] == 25, "them to come back")
    agent.end()
    shutil.rmtree(pages)
    agent.sites[0]["delete_grace"] = 1
    agent.start()
    agent.hears("60 pages that were held go")
    nothing_stays(filled)


def test_a_sync_that_is_asked_for_lets_them_go_at_once(new_agent: Agents, filled: Filled) -> None:
    pages = fill(filled, 100)
    agent = begin(new_agent, LONG)
    empty(agent, pages, 40)
    agent.hears("40 pages whose files are gone are held")
    done = memfis("sync", "--config", agent.config, "--max-delete", "39")
    assert (done.returncode, done.stdout) == (4, "")
    assert "would delete 40 of 103 pages" in done.stderr
    assert (held(agent) or {})["pages"] == 40
    done = memfis("sync", "--config", agent.config, "--no-delete")
    assert (done.returncode, done.stderr) == (0, "")
    done = memfis("sync", "--config", agent.config, "--dry-run")
    assert "40 removed" in done.stdout
    assert (held(agent) or {})["pages"] == 40
    done = memfis("sync", "--config", agent.config)
    assert (done.returncode, done.stderr) == (0, "")
    assert "40 removed" in done.stdout
    assert held(agent) is None
    assert filled.is_equal()
    empty(agent, pages)
    agent.hears("60 pages whose files are gone are held")
    done = memfis("sync", "--config", agent.config)
    assert (done.returncode, done.stdout) == (4, "")  # more than half
    done = memfis("sync", "--config", agent.config, "--max-delete", "100%")
    assert (done.returncode, done.stderr) == (0, "")
    assert held(agent) is None
    assert filled.is_equal()


def test_verify_and_status_tell_of_what_is_held(new_agent: Agents, filled: Filled) -> None:
    pages = fill(filled, 60)
    socket = filled.root.parent / "metrics.sock"
    agent = begin(new_agent, LONG, settings={"metrics": f"unix:{socket}"})
    scrape = Scrape(f"unix:{socket}")
    for reason in REASONS:
        assert scrape.samples()["memfis_site_held_pages", reason, "site.example"] == 0
    before = time.time()
    empty(agent, pages)
    agent.hears("are held until")
    wait_for(lambda: (held(agent) or {})["pages"] == 60, "all to be held")
    found = held(agent)
    assert found is not None
    assert found["why"] == "files are gone"
    assert before < float(str(found["until"])) <= time.time() + LONG
    samples = scrape.samples()
    where = "files are gone", "site.example"
    assert samples["memfis_site_held_pages", *where] == 60
    assert samples["memfis_site_held_until_timestamp_seconds", *where] == found["until"]
    clock = time.strftime("%H:%M:%S", time.localtime(float(str(found["until"]))))
    shown = memfis("status", "--config", agent.config).stdout
    assert f"{clock}: files are gone" in shown
    assert "held: 60 pages until " in shown
    assert memfis_json("status", "--config", agent.config)["sites"][0]["pages"] == 63


def test_systemd_is_told(new_agent: Agents, filled: Filled, directory: Path) -> None:
    pages = fill(filled, 60)
    told = Manager(f"{directory}/notify")
    agent = new_agent(site={"delete_grace": 60}, env={"NOTIFY_SOCKET": f"{directory}/notify"})
    with contextlib.closing(told):
        agent.start()
        empty(agent, pages)
        status = re.compile(
            r"STATUS=63 pages of 1 site;"
            r" site\.example: 60 pages held until \d\d:\d\d:\d\d, files are gone"
        )
        wait_for(lambda: any(map(status.fullmatch, told.lines)), "the status")
        agent.end()


def test_nothing_is_lost_or_stays_when_it_starts_anew(new_agent: Agents, filled: Filled) -> None:
    pages = fill(filled, 60)
    agent = begin(new_agent, LONG)
    empty(agent, pages, 59)
    agent.hears("are held until")
    agent.end(SIGTERM)
    assert len(filled.pages()) == 63
    agent.start()  # the grace begins anew
    assert (held(agent) or {})["pages"] == 59
    agent.sites[0]["delete_grace"] = 1
    agent.reload()
    agent.hears("59 pages that were held go")
    nothing_stays(filled)


def test_without_a_grace_they_go_at_once(new_agent: Agents, filled: Filled) -> None:
    pages = fill(filled, 60)
    agent = begin(new_agent, 0)
    empty(agent, pages)
    nothing_stays(filled)
    assert agent.lines("held") == []


def test_a_store_that_loses_them(new_agent: Agents, filled: Filled, memcached: Memcached) -> None:
    pages = fill(filled, 60)
    agent = begin(new_agent, LONG)
    empty(agent, pages)
    agent.hears("are held until")
    memcached.end()
    agent.hears("cannot be reached")
    memcached.start()
    nothing_stays(filled)
    wait_for(lambda: held(agent) is None, "nothing to be held")


def test_short_leases_do_not_end_meanwhile(new_agent: Agents, filled: Filled) -> None:
    pages = fill(filled, 60)
    agent = new_agent(site={"delete_grace": LONG, "lease": 90})
    agent.start()
    keys = [b"memfis://site.example/pages/%d.html" % number for number in range(60)]
    filled.store.touch_many(keys, 20)
    empty(agent, pages)
    agent.hears("are held until")
    wait_for(lambda: (held(agent) or {})["pages"] == 60, "all to be held")
    states = filled.store.states(keys)
    assert all(state is not None and state.ttl > 60 for state in states)


async def kept_until(keeper: SiteKeeper, *steps: Callable[[], bool]) -> None:
    """Keep the site; call each of `steps`, and wait until it is true."""
    keeping = asyncio.create_task(keeper.keep())
    try:
        for step in steps:
            async with asyncio.timeout(60):
                while not step():
                    assert not keeping.done()
                    await asyncio.sleep(0.02)
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


def moved(source: Path, target: Path) -> bool:
    source.rename(target)
    return True


def test_a_missing_web_root_is_held_and_then_its_pages_go(
    filled: Filled,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(holding, "ROOT_GRACE", 3.0)
    caplog.set_level(logging.INFO, "memfis")
    keeper = SiteKeeper(filled.site, directory / "run")
    away = filled.root.with_name("away")
    found = []

    def is_held() -> bool:
        found.append((keeper.held, len(filled.pages())))
        return keeper.held is not None

    asyncio.run(
        kept_until(
            keeper,
            keeper.begun.is_set,
            lambda: moved(filled.root, away),
            is_held,
            lambda: filled.pages() == set(),
            lambda: keeper.held is None and keeper.pages == 0,
            lambda: moved(away, filled.root),
            lambda: len(filled.pages()) == 3 and keeper.pages == 3,
        )
    )
    held_then, pages = found[-1]
    assert held_then is not None
    assert (held_then.pages, held_then.why, pages) == (3, ROOT_MISSING, 3)
    assert len([line for line in caplog.messages if "its 3 pages are held until" in line]) == 1
    assert len([line for line in caplog.messages if "the web root is back" in line]) == 1


def test_a_web_root_whose_file_system_fails_keeps_its_pages(
    filled: Filled,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(holding, "ROOT_GRACE", 0.0)  # it is not for this
    caplog.set_level(logging.INFO, "memfis")
    keeper = SiteKeeper(filled.site, directory / "run")
    failures = []

    def fail(given: bytes, _: object) -> None:
        failures.append(given)
        raise root_error(given, OSError(errno.EIO, os.strerror(errno.EIO)))

    def breaks() -> bool:
        monkeypatch.setattr(root, "find_root", fail)
        keeper.missed_changes()
        return True

    def is_mended() -> bool:
        monkeypatch.setattr(root, "find_root", find_root)
        return True

    found = []

    def is_looked_at() -> bool:
        found.append(keeper.held)
        return True

    asyncio.run(
        kept_until(
            keeper,
            keeper.begun.is_set,
            breaks,
            lambda: len(failures) > 2,
            is_looked_at,
            is_mended,
            lambda: keeper.held is None,
        )
    )
    [held_then] = found
    assert held_then is not None
    assert (held_then.pages, held_then.why) == (3, ROOT_BROKEN)
    assert LEASE - 60 < held_then.until - time.time() <= LEASE
    assert len(filled.pages()) == 3
    [line] = [each for each in caplog.messages if "its 3 pages" in each]
    assert "Input/output error; its 3 pages stay until their leases end, " in line
    assert "site.example: the web root is back" in caplog.messages


def test_a_missing_web_root_that_comes_back_in_time(new_agent: Agents, filled: Filled) -> None:
    agent = begin(new_agent, 1)
    items = {key: filled.store.get(key) for key in filled.pages()}
    away = filled.root.with_name("away")
    filled.root.rename(away)
    agent.hears("No such file or directory; its 3 pages are held until")
    found = held(agent)
    assert found is not None
    assert (found["pages"], found["why"]) == (3, "web root is missing")
    assert 500 < float(str(found["until"])) - time.time() <= 600
    done = memfis("sync", "--config", agent.config)
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such file or directory" in done.stderr
    agent.end()
    agent.start(lambda: bool(agent.lines("its 3 pages are held until")))  # it begins anew
    away.rename(filled.root)
    agent.hears("the web root is back")
    nothing_stays(filled)
    assert held(agent) is None
    assert {key: filled.store.get(key) for key in filled.pages()} == items
