"""Uploads that deploys share, beside the web root and linked to from it, watched by the agent."""

from collections.abc import Callable
from pathlib import Path

import pytest

from integration.conftest import Agents, Filled
from support.agent import Agent
from support.namespace import APART, inside, needs_mounts
from support.process import wait_for

Shows = Callable[[str, str | None], None]


@pytest.fixture
def shared(filled: Filled) -> Path:
    """Return the directory that links in the web root may lead into, which is not there yet."""
    (filled.root / "uploads").symlink_to("../shared/uploads")
    (filled.root / "notes.html").symlink_to("../shared/notes.html")
    return filled.root.parent / "shared"


@pytest.fixture
def shows(filled: Filled) -> Shows:
    def wait(path: str, text: str | None) -> None:
        wanted = None if text is None else text.encode()
        wait_for(lambda: filled.content(path.encode()) == wanted, f"{path} to be {text!r}")

    return wait


def fill(shared: Path, text: str) -> None:
    (shared / "uploads" / "2026").mkdir(parents=True, exist_ok=True)
    (shared / "uploads" / "2026" / "photo.html").write_text(text)
    (shared / "notes.html").write_text(f"notes {text}")


def test_nothing_outside_without_the_setting(
    new_agent: Agents, filled: Filled, shared: Path, shows: Shows
) -> None:
    fill(shared, "secret")
    new_agent().start()
    (filled.root / "new.html").write_text("new")
    shows("/new.html", "new")
    assert not {path for path in filled.pages() if b"uploads" in path or b"notes" in path}


def test_what_links_lead_to_comes_changes_and_goes(
    new_agent: Agents, filled: Filled, shared: Path, shows: Shows
) -> None:
    agent = new_agent(site={"follow": [str(shared)]})
    agent.start()
    for text in ("one", "two"):
        fill(shared, text)
        shows("/uploads/2026/photo.html", text)
        shows("/notes.html", f"notes {text}")
    (shared / "uploads" / "2026").rename(shared / "uploads" / "2027")
    shows("/uploads/2026/photo.html", None)
    shows("/uploads/2027/photo.html", "two")
    elsewhere = shared.with_name("elsewhere")
    fill(elsewhere, "three")
    shared.rename(shared.with_name("before"))
    shared.symlink_to("elsewhere")
    shows("/uploads/2026/photo.html", "three")
    fill(elsewhere, "four")
    shows("/uploads/2026/photo.html", "four")
    shows("/notes.html", "notes four")


@needs_mounts
def test_what_links_lead_to_is_mounted(
    new_agent: Agents, filled: Filled, shared: Path, shows: Shows
) -> None:
    fill(shared, "disk")
    agent: Agent = new_agent(site={"follow": [str(shared)]}, prefix=APART)
    agent.start()
    shows("/uploads/2026/photo.html", "disk")
    script = 'mount -t tmpfs tmpfs "$1"; mkdir "$1/uploads"; echo -n mounted >"$1/uploads/x.html"'
    inside(agent.pid, script, shared)
    shows("/uploads/x.html", "mounted")
    inside(agent.pid, 'echo -n changed >"$1/uploads/x.html"', shared)
    shows("/uploads/x.html", "changed")
    inside(agent.pid, 'umount "$1"', shared)
    shows("/uploads/2026/photo.html", "disk")
