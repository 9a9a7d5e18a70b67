"""A web root on a file system whose server stops answering holds back its own site, and no other.

The file system is `memfis mount` of another site, whose process is stopped: whoever looks at it
waits, as with a network file system whose server is gone.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

import pytest

from integration.conftest import Filled
from integration.test_agent_life import Manager
from memfis.layout.keys import page_key
from memfis.layout.pages import Page, content_of
from support.agent import Agent
from support.command import memfis
from support.memcached import Memcached
from support.mount import Mount
from support.process import wait_for

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="needs FUSE")

REMOTE = "remote.example"
SILENT = "the file system of the web root does not answer"


@dataclass
class Two:
    """An agent with a site on a disk, and one whose root is a FUSE mount or will be."""

    filled: Filled
    agent: Agent
    mount: Mount
    told: Manager
    """What systemd would be told."""

    def remote(self, path: bytes) -> bytes | None:
        """Return the page of the other site at `path`; None while there is none."""
        found = self.filled.store.get(page_key(REMOTE, path))
        return content_of(Page(*found)) if found else None

    def remote_shows(self, path: bytes, text: str | None) -> None:
        """Wait until the page of the other site at `path` is `text`."""
        wanted = None if text is None else text.encode()
        wait_for(lambda: self.remote(path) == wanted, f"{path!r} to be {text}")

    def local_follows(self) -> None:
        """See that a change of the site on the disk is served."""
        page = self.filled.root / "index.html"
        text = page.read_text() + "."
        page.write_text(text)
        wait_for(lambda: self.filled.content(b"/") == text.encode(), "the other site to follow")

    def moved(self, times: int) -> None:
        """Wait until the site of the mount was given a process of its own so many times."""
        words = REMOTE, "a process of its own"
        wait_for(lambda: len(self.agent.lines(*words)) == times, "the site to be kept apart")

    def status(self) -> str:
        """Return what `memfis status` says of the site whose root is a mount."""
        return memfis("status", "--config", self.agent.config, "--site", REMOTE).stdout


@pytest.fixture
def two(filled: Filled, memcached: Memcached, directory: Path) -> Iterator[Two]:
    mount = Mount(directory, memcached.socket, site="source.example")
    sites = [
        {"name": filled.site.name, "root": filled.site.root},
        {"name": REMOTE, "root": str(mount.path)},
    ]
    told = Manager(f"{directory}/notify")
    env = {"NOTIFY_SOCKET": f"{directory}/notify"}
    agent = Agent(directory, {"store": filled.site.store, "max_delete": "100%"}, sites, env=env)
    try:
        yield Two(filled, agent, mount, told)
    finally:
        told.close()
        if mount._process.running:
            mount.thaw()
        agent.end()
        mount.end()
    assert "Traceback" not in agent.said()


@pytest.fixture
def mounted(two: Two) -> Two:
    """Have a page in the file system that is mounted."""
    two.mount.start()
    (two.mount.path / "index.html").write_text("remote")
    return two


@pytest.fixture
def both(mounted: Two) -> Two:
    """Have an agent that keeps both sites."""
    mounted.agent.start()
    mounted.remote_shows(b"/", "remote")
    return mounted


def test_a_file_system_that_stops_answering(both: Two) -> None:
    for number in range(300):  # so that it stops in the middle of something
        (both.mount.path / f"{number}.html").write_text(f"page {number}")
    both.mount.freeze()
    both.local_follows()
    both.agent.hears(REMOTE, "does not answer")
    both.local_follows()
    assert SILENT in both.status()
    refused = memfis("sync", "--config", both.agent.config, "--site", REMOTE)
    assert refused.returncode == 1
    assert "does not answer" in refused.stderr
    assert both.remote(b"/") == b"remote"  # what is in memory stays
    both.mount.thaw()
    both.agent.hears(REMOTE, "answers again")
    both.remote_shows(b"/299.html", "page 299")
    (both.mount.path / "index.html").write_text("again")
    both.remote_shows(b"/", "again")
    assert SILENT not in both.status()
    assert len(both.agent.lines(REMOTE, "does not answer")) == 1


def test_an_agent_starts_and_stops_beside_a_file_system_that_does_not_answer(mounted: Two) -> None:
    mounted.mount.freeze()
    mounted.agent.start(lambda: bool(mounted.agent.lines(mounted.filled.site.name, "pages")))
    assert "READY=1" not in mounted.told.lines
    mounted.local_follows()
    mounted.agent.hears(REMOTE, "does not answer")
    wait_for(lambda: "READY=1" in mounted.told.lines, "the agent to be ready")
    mounted.local_follows()
    mounted.agent.end()  # waits for its process, not for what that has left behind
    mounted.mount.thaw()
    mounted.agent.start()
    mounted.remote_shows(b"/", "remote")


def test_a_file_system_that_comes_later_and_goes_and_comes(two: Two) -> None:
    two.agent.start()
    assert not two.agent.lines("a process of its own")
    for number, text in enumerate(("one", "two"), 1):
        two.mount.start()
        (two.mount.path / "index.html").write_text(text)
        two.remote_shows(b"/", text)
        two.moved(number)
        two.mount.unmount("umount", "--lazy")
        two.remote_shows(b"/", None)
        two.local_follows()
    (two.mount.path / "index.html").write_text("on the disk")
    two.remote_shows(b"/", "on the disk")
    (two.mount.path / "index.html").unlink()


def test_a_file_system_whose_server_is_killed(both: Two) -> None:
    both.mount.kill()
    both.local_follows()
    subprocess.run(["umount", "-l", str(both.mount.path)], check=True)
    both.remote_shows(b"/", None)
    both.local_follows()


def test_requests_reach_the_process_that_keeps_a_site(both: Two) -> None:
    (both.mount.path / "more.html").write_text("more")
    synced = memfis("sync", "--config", both.agent.config, "--site", REMOTE)
    assert "2 pages" in synced.stdout
    assert both.remote(b"/more.html") == b"more"
    purged = memfis("purge", "--config", both.agent.config, "--site", REMOTE, "/more.html")
    assert "1" in purged.stdout
    both.remote_shows(b"/more.html", "more")  # written again
    both.filled.store.delete_many([page_key(REMOTE, b"/more.html")])
    foreseen = memfis("sync", "--config", both.agent.config, "--site", REMOTE, "--dry-run")
    assert "/more.html" in foreseen.stdout
    assert "watched" in both.status()


def test_a_process_that_keeps_a_site_is_killed(both: Two) -> None:
    children = subprocess.run(
        ["pgrep", "--parent", str(both.agent.pid), "--full", "memfis.agent.alone"],
        capture_output=True,
        text=True,
        check=True,
    )
    os.kill(int(children.stdout), SIGKILL)
    both.agent.hears(REMOTE, "exit code -9")
    (both.mount.path / "index.html").write_text("again")
    both.remote_shows(b"/", "again")
    both.local_follows()
    both.agent.end()
    assert not both.agent.lines("exit code 0")
