"""How an agent starts, reads its settings again, speaks to systemd and ends."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from integration.conftest import Agents, Filled
from memfis.layout.keys import directory_key, page_key
from memfis.store import Store
from memfis.sync import try_lock
from support.agent import Agent
from support.command import memfis
from support.process import wait_for

LARGE = 2000
"""Pages of a site that takes long enough to be interrupted."""


class Manager:
    """The service manager's end of sd_notify(3): a datagram socket."""

    def __init__(self, address: str) -> None:
        self.messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._thread = Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            self.messages.append(message.decode())

    @property
    def lines(self) -> list[str]:
        return [line for message in self.messages for line in message.splitlines()]

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, directory: Path) -> Iterator[tuple[str, Manager]]:
    address = f"{directory}/notify" if request.param == "path" else f"@{directory}/notify"
    manager = Manager(address)
    yield address, manager
    manager.close()


def test_systemd_is_told(manager: tuple[str, Manager], new_agent: Agents, filled: Filled) -> None:
    address, told = manager
    agent = new_agent(env={"NOTIFY_SOCKET": address})
    agent.configure()
    dangling = filled.root / "dangling"
    dangling.symlink_to("nowhere")
    agent.start(lambda: "READY=1" in told.lines)
    assert filled.is_equal()  # it is ready when all is in memory
    wait_for(lambda: "STATUS=3 pages of 1 site, 1 problems" in told.lines, "the status")
    dangling.unlink()
    (filled.root / "new.html").write_text("new")
    wait_for(lambda: "STATUS=4 pages of 1 site" in told.lines, "the new status")
    number = len(told.messages)
    wait_for(lambda: "WATCHDOG=1" in told.messages[number:], "another sign of life")
    agent.end()
    assert told.lines[-1] == "STOPPING=1"
    assert told.lines.count("READY=1") == 1
    assert len([line for line in told.lines if line.startswith("STATUS=")]) < 8  # only news


def test_systemd_is_not_told_ready_before_the_first_sync(
    directory: Path, new_agent: Agents, filled: Filled
) -> None:
    told = Manager(f"{directory}/notify")
    agent = new_agent(env={"NOTIFY_SOCKET": f"{directory}/notify"})
    with closing(told):
        with try_lock(agent.runtime, "site.example"):
            agent.start(lambda: told.lines.count("WATCHDOG=1") >= 2)
            assert "STATUS=filling: 0 sites of 1 done; 0 pages of 1 site" in told.lines
            assert "READY=1" not in told.lines
            assert filled.pages() == set()
        wait_for(lambda: "READY=1" in told.lines, "the first sync")
        assert filled.is_equal()
        agent.end()


def test_a_service_manager_that_is_gone_does_no_harm(
    directory: Path, new_agent: Agents, filled: Filled
) -> None:
    told = Manager(f"{directory}/notify")
    agent = new_agent(env={"NOTIFY_SOCKET": f"{directory}/notify"})
    agent.start(lambda: "READY=1" in told.lines)
    told.close()
    (directory / "notify").unlink()
    for text in ("one", "two"):
        (filled.root / "index.html").write_text(text)
        wait_for(lambda t=text: filled.content(b"/") == t.encode(), "the change")  # type: ignore[misc]


def test_an_agent_without_sites_waits_for_one(
    directory: Path, new_agent: Agents, filled: Filled
) -> None:
    """Case R3: it says so, and is not restarted in vain."""
    told = Manager(f"{directory}/notify")
    agent = new_agent(env={"NOTIFY_SOCKET": f"{directory}/notify"})
    sites = agent.sites[:]
    agent.sites.clear()
    agent.settings["sites"] = []
    with closing(told):
        agent.start(lambda: "READY=1" in told.lines)
        assert "STATUS=no site to keep: configure one under [[sites]], and reload" in told.lines
        agent.sites[:] = sites
        del agent.settings["sites"]
        agent.reload()
        wait_for(filled.is_equal, "the site to be in memory")
        wait_for(lambda: "STATUS=3 pages of 1 site" in told.lines, "the new status")
        agent.sites.clear()
        agent.reload()  # as after a write that was cut off
        assert agent.lines("settings not read again", "no site")
        agent.settings["sites"] = []
        agent.reload()
        assert agent.lines("settings read again: no site to keep")
        wait_for(lambda: filled.pages() == set(), "the pages to go with their site")
        agent.end()


def test_a_new_site_is_kept_after_a_reload(agent: Agent, filled: Filled) -> None:
    root = filled.root.with_name("other")
    root.mkdir()
    (root / "page.html").write_text("other")
    agent.sites.append({"name": "other.example", "root": str(root)})
    agent.reload()
    assert agent.lines("settings read again: keeping site.example, other.example")
    key = page_key("other.example", b"/page.html")
    wait_for(lambda: value(filled.store, key) == b"other", "the new site")
    (root / "page.html").write_text("changed")
    wait_for(lambda: value(filled.store, key) == b"changed", "the change")
    assert len(agent.lines("site.example: 3 pages")) == 1  # that one was left alone


def test_a_removed_site_goes_and_may_be_synced_by_others(agent: Agent, filled: Filled) -> None:
    root = filled.root.with_name("other")
    root.mkdir()
    agent.sites.insert(0, {"name": "other.example", "root": str(root)})
    agent.reload()
    del agent.sites[1]
    agent.reload()
    assert agent.lines("settings read again: keeping other.example")
    (filled.root / "index.html").write_text("changed")
    (root / "page.html").write_text("other")
    key = page_key("other.example", b"/page.html")
    wait_for(lambda: value(filled.store, key) == b"other", "the other site")
    wait_for(lambda: not filled.pages(), "the pages of the site that was taken out to go")
    # its lock is free: whoever syncs it now does so
    done = memfis("sync", *filled.flags(), "--config", agent.config)
    assert (done.returncode, done.stderr) == (0, "")
    assert filled.content(b"/") == b"changed"


def test_a_changed_site_is_kept_anew(agent: Agent, filled: Filled) -> None:
    agent.sites[0]["exclude"] = ["*.png"]
    agent.reload()
    wait_for(lambda: filled.pages() == {b"/", b"/docs/"}, "the exclusion")
    (filled.root / "index.html").write_text("changed")
    wait_for(lambda: filled.content(b"/") == b"changed", "the change")


def test_what_names_are_refused_changes_with_the_settings(agent: Agent, filled: Filled) -> None:
    """Published and withdrawn when the agent reads that scripts are run, and which are some."""
    for name in ("d.php.txt", "x.php", "v1.php/a.txt", "docs/.well-known/x", "x.asp"):
        path = filled.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    usual = {b"/", b"/docs/", b"/docs/logo.png", b"/x.asp"}
    lenient = {b"/d.php.txt", b"/v1.php/a.txt", b"/docs/.well-known/x"}
    wait_for(lambda: filled.pages() == usual | lenient, "what only contains a script's name")
    agent.sites[0]["runs_scripts"] = True
    agent.reload()
    wait_for(lambda: filled.pages() == usual, "as where scripts are run")
    agent.sites[0] |= {"runs_scripts": False, "script_extensions": ["asp"]}
    agent.reload()
    wait_for(lambda: filled.pages() == usual - {b"/x.asp"} | lenient | {b"/x.php"}, "others")
    agent.sites[0]["script_extensions"] = []
    agent.reload()
    wait_for(lambda: filled.pages() == usual | lenient | {b"/x.php"}, "none")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("[[sites]", ("not TOML",)),
        ('[[sites]]\nname = "A"\nroot = "x"\n', ("sites[0].name", "a-z")),
        ("", ("no site",)),
        (
            '[[sites]]\nname = "a"\nroot = "/"\nexclude = ["!"]\n',
            ("exclude[0]", "'!': does not parse"),
        ),
    ],
)
def test_broken_settings_are_told_and_not_used(
    agent: Agent, filled: Filled, broken: str, words: tuple[str, ...]
) -> None:
    agent.config.write_text(broken)
    agent.tell(signal.SIGHUP)
    agent.hears("settings not read again", str(agent.config) if broken else "", *words)
    (filled.root / "index.html").write_text("changed")
    wait_for(lambda: filled.content(b"/") == b"changed", "the change")
    agent.reload()  # put right again
    assert agent.lines("settings read again: keeping site.example")


def value(store: Store, key: bytes) -> bytes | None:
    found = store.get(key)
    return found.value if found else None


@pytest.fixture
def large(filled: Filled) -> Filled:
    for number in range(LARGE // 40):
        directory = filled.root / f"d{number}"
        directory.mkdir()
        for page in range(40):
            (directory / f"{page}.html").write_text(f"page {page} of {number} " * 1000)
    return filled


def has_begun(filled: Filled) -> bool:
    """Whether a page is in the store, but by no means all."""
    return filled.store.get(directory_key("site.example", b"/d1/")) is not None


def what(filled: Filled) -> set[str]:
    return {each.kind for each in filled.discrepancies()}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_agent_that_ends_in_the_middle_of_the_first_sync(
    large: Filled, new_agent: Agents, how: signal.Signals
) -> None:
    agent = new_agent()
    agent.start(lambda: has_begun(large))
    agent.end(how)
    assert not agent.has_synced()
    assert what(large) <= {"missing", "records"}  # whatever is in memory is right
    assert "missing" in what(large)
    done = memfis("sync", "--config", agent.config)
    assert (done.returncode, done.stderr) == (0, "")
    assert large.is_equal()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_agent_that_ends_in_the_middle_of_a_great_change(
    large: Filled, new_agent: Agents, how: signal.Signals
) -> None:
    agent = new_agent()
    agent.start()
    agent.tell(signal.SIGSTOP)
    for number in range(LARGE // 40):
        for page in range(0, 40, 2):
            (large.root / f"d{number}" / f"{page}.html").write_text("changed")
        (large.root / f"d{number}" / "1.html").unlink()
    agent.tell(signal.SIGCONT)
    keys = [page_key("site.example", f"/d{n}/1.html".encode()) for n in range(LARGE // 40)]
    wait_for(lambda: None in large.store.states(keys), "the agent to begin")
    agent.end(how)
    # a page that is not new, or not gone yet; none that is half
    assert what(large) <= {"missing", "different", "stray"}
    strays = {each.path for each in large.discrepancies() if each.kind == "stray"}
    assert strays <= set(keys)
    done = memfis("sync", "--config", agent.config)
    assert (done.returncode, done.stderr) == (0, "")
    assert large.is_equal()


def test_workers_end_with_an_agent_that_is_killed_alone(large: Filled, new_agent: Agents) -> None:
    agent = new_agent()
    agent.start(lambda: has_begun(large))
    group = agent.kill_alone()
    done = memfis("sync", "--config", agent.config)
    assert done.returncode == 0
    assert large.is_equal()
    wait_for(lambda: is_gone(group), "its workers to end")


def is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False
