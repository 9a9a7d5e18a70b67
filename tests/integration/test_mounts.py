"""An agent whose web root is mounted over, in parts and as a whole, while it looks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from integration.conftest import Agents, Filled
from support.agent import Agent
from support.namespace import APART, inside, needs_mounts
from support.process import unprivileged, wait_for

pytestmark = needs_mounts


@pytest.fixture
def agent(new_agent: Agents) -> Agent:
    """Return an agent in a mount namespace of its own that has synced the site."""
    agent = new_agent(prefix=APART)
    agent.start()
    return agent


@pytest.fixture
def shows(filled: Filled) -> Callable[[str, str | None], None]:
    """Return what waits until the page at a path has a content, or is gone."""

    def wait(path: str, text: str | None) -> None:
        wanted = None if text is None else text.encode()
        wait_for(lambda: filled.content(path.encode()) == wanted, f"{path} to be {text!r}")

    return wait


Shows = Callable[[str, str | None], None]

TMPFS = 'mount -t tmpfs tmpfs "$1"; '


def test_a_file_system_over_the_web_root(agent: Agent, filled: Filled, shows: Shows) -> None:
    inside(agent.pid, TMPFS + 'echo -n one >"$1/new.html"', filled.root)
    shows("/new.html", "one")
    inside(agent.pid, 'echo -n two >"$1/new.html"', filled.root)  # the watch is on what is seen
    shows("/new.html", "two")
    inside(agent.pid, 'umount "$1"; echo -n back >"$1/index.html"', filled.root)
    shows("/", "back")
    shows("/new.html", None)
    inside(agent.pid, TMPFS + 'echo -n three >"$1/new.html"', filled.root)
    shows("/new.html", "three")
    assert not agent.lines("cannot be watched")


def test_a_file_system_below_the_web_root(agent: Agent, filled: Filled, shows: Shows) -> None:
    docs = filled.root / "docs"
    inside(agent.pid, TMPFS + 'mkdir "$1/a"; echo -n one >"$1/a/new.html"', docs)
    shows("/docs/a/new.html", "one")
    shows("/docs/logo.png", None)
    inside(agent.pid, 'echo -n two >"$1/a/new.html"', docs)
    shows("/docs/a/new.html", "two")
    inside(agent.pid, 'umount "$1"; echo -n back >"$1/new.html"', docs)
    shows("/docs/new.html", "back")
    shows("/docs/a/new.html", None)
    assert not agent.lines("looking at everything")  # only what is there now was looked at


def test_a_file_system_that_is_mounted_again_at_once(
    agent: Agent, filled: Filled, shows: Shows
) -> None:
    docs = filled.root / "docs"
    inside(agent.pid, TMPFS + 'echo -n one >"$1/new.html"', docs)
    shows("/docs/new.html", "one")
    for text in ("two", "three", "four"):
        inside(agent.pid, f'umount "$1"; {TMPFS} echo -n {text} >"$1/new.html"', docs)
        shows("/docs/new.html", text)
        inside(agent.pid, f'echo -n {text}! >"$1/new.html"', docs)
        shows("/docs/new.html", f"{text}!")


def test_a_file_system_that_is_in_use_when_it_is_unmounted(
    agent: Agent, filled: Filled, shows: Shows
) -> None:
    docs = filled.root / "docs"
    inside(agent.pid, TMPFS + 'echo -n one >"$1/new.html"', docs)
    shows("/docs/new.html", "one")
    held = 'exec 3<"$1/new.html"; sleep 60 >/dev/null 2>&1 & umount -l "$1"'
    inside(agent.pid, f'{held}; echo -n back >"$1/new.html"', docs)
    shows("/docs/new.html", "back")


def test_a_directory_above_the_web_root_is_mounted_over(
    new_agent: Agents, filled: Filled, shows: Shows, directory: Path
) -> None:
    (directory / "above" / "root").mkdir(parents=True)
    (directory / "above" / "root" / "index.html").write_text("below")
    (directory / "current").symlink_to("above/root")
    agent = new_agent(site={"root": str(directory / "current")}, prefix=APART)
    agent.start()
    shows("/", "below")
    above = directory / "above"
    inside(agent.pid, TMPFS + 'mkdir "$1/root"; echo -n over >"$1/root/index.html"', above)
    shows("/", "over")
    inside(agent.pid, 'umount "$1"', above)
    shows("/", "below")


def test_a_mounted_directory_is_opened(new_agent: Agents, filled: Filled, shows: Shows) -> None:
    """Only the watch on a file system's own directory hears that its mode was changed."""
    user = unprivileged()
    assert user is not None
    agent = new_agent(site={"reader": user.pw_name}, prefix=APART)
    agent.start()
    docs = filled.root / "docs"
    inside(agent.pid, TMPFS + 'chmod 700 "$1"; echo -n one >"$1/new.html"', docs)
    shows("/docs/logo.png", None)
    agent.hears("not readable")
    assert filled.content(b"/docs/new.html") is None
    inside(agent.pid, 'chmod 755 "$1"', docs)
    shows("/docs/new.html", "one")


def test_mounts_elsewhere_are_nobodys_affair(agent: Agent, filled: Filled, shows: Shows) -> None:
    elsewhere = filled.root.parent / "elsewhere"
    script = 'mkdir "$1"; for _ in 1 2 3; do mount -t tmpfs tmpfs "$1"; umount "$1"; done'
    inside(agent.pid, script, elsewhere)
    inside(agent.pid, 'echo -n seen >"$1/seen.html"', filled.root)
    shows("/seen.html", "seen")
    assert not agent.lines("looking at everything")


def test_a_directory_that_is_bound_to_another_name(
    agent: Agent, filled: Filled, shows: Shows
) -> None:
    script = """
    cd "$1"; mkdir a b; echo -n one >a/page.html; mount --bind a b
    """
    inside(agent.pid, script, filled.root)
    shows("/a/page.html", "one")
    shows("/b/page.html", "one")
    for name, other in (("a", "b"), ("b", "a")):
        inside(agent.pid, f'echo -n by {name} >"$1/{name}/page.html"', filled.root)
        shows(f"/{other}/page.html", f"by {name}")
        shows(f"/{name}/page.html", f"by {name}")
        script = f'mkdir -p "$1/{name}/below {name}"; echo -n new >"$1/{name}/below {name}/x.html"'
        inside(agent.pid, script, filled.root)
        shows(f"/a/below {name}/x.html", "new")
        shows(f"/b/below {name}/x.html", "new")
    inside(agent.pid, 'rm -r "$1/a/below a"', filled.root)
    shows("/b/below a/x.html", None)
    inside(agent.pid, 'umount "$1/b"; echo -n alone >"$1/a/page.html"', filled.root)
    shows("/a/page.html", "alone")
    shows("/b/page.html", None)


def test_a_directory_that_is_bound_to_one_in_it(agent: Agent, filled: Filled, shows: Shows) -> None:
    """Then it is above itself, and still not the end of the way to the web root."""
    script = 'cd "$1"; mkdir -p a/b/c; echo -n one >a/b/c/page.html; mount --bind a a/b'
    inside(agent.pid, script, filled.root)
    shows("/a/b/b/c/page.html", "one")
    inside(agent.pid, 'echo -n two >"$1/a/b/b/c/page.html"', filled.root)
    shows("/a/b/b/c/page.html", "two")


def test_a_file_that_is_bound_to_another_name(agent: Agent, filled: Filled, shows: Shows) -> None:
    outside = filled.root.parent / "outside.html"
    script = """
    cd "$1"; mkdir a; echo -n one >a/page.html; echo -n away >"$2"; touch page.html outside.html
    chmod 644 "$2"; mount --bind a/page.html page.html; mount --bind "$2" outside.html
    """
    inside(agent.pid, script, filled.root, outside)
    shows("/page.html", "one")
    shows("/outside.html", "away")
    inside(agent.pid, 'echo -n two >"$1/a/page.html"; echo -n far >"$2"', filled.root, outside)
    for path, text in (("/a/page.html", "two"), ("/page.html", "two"), ("/outside.html", "far")):
        shows(path, text)
    inside(agent.pid, 'echo -n three >"$1/page.html"', filled.root)
    shows("/a/page.html", "three")
    shows("/page.html", "three")


def test_a_directory_above_the_web_root_is_bound_into_it(
    agent: Agent, filled: Filled, shows: Shows
) -> None:
    script = 'mkdir "$1/up"; mount --bind "$(dirname "$1")" "$1/up"; echo -n one >"$1/page.html"'
    inside(agent.pid, script, filled.root)
    shows("/page.html", "one")
    shows(f"/up/{filled.root.name}/page.html", "one")
    inside(agent.pid, 'echo -n two >"$1/page.html"', filled.root)
    shows("/page.html", "two")
    shows(f"/up/{filled.root.name}/page.html", "two")
