"""Whatever happens to the web root while an agent watches, the store becomes equal to it."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from integration.conftest import Agents, Filled
from support.agent import Agent
from support.command import memfis
from support.process import wait_for
from support.renaming import exchange

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")

NAMESPACE = ("unshare", "--user", "--map-root-user")
"""Runs a program in a user namespace of its own, where limits may be lowered for it alone."""

WATCHES = "/proc/sys/user/max_inotify_watches"


def becomes_equal(filled: Filled, after: str) -> None:
    """Wait until the store is equal to the web root."""
    try:
        wait_for(filled.is_equal, f"the store to be equal after {after}", patience=60)
    finally:
        assert filled.discrepancies() == []


def follows(agent: Agent, filled: Filled) -> None:
    """Assert that the agent still notices a change by itself, and that all is equal then."""
    page = filled.root / "last.html"
    page.write_text("the last change")
    wait_for(lambda: filled.content(b"/last.html") == b"the last change", "the last change")
    becomes_equal(filled, "the last change")


def tree(directory: Path, word: str, *, directories: int = 20, files: int = 20) -> None:
    """Make a tree of nested directories."""
    here = directory
    for number in range(directories):
        here = here / f"d{number}" if number % 5 else directory / f"d{number}"
        here.mkdir(parents=True, exist_ok=True)
        for page in range(files):
            (here / f"{page}.html").write_text(f"{word} {number} {page}")


def run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, timeout=60)


def test_a_queue_that_overflows(agent: Agent, filled: Filled) -> None:
    agent.tell(SIGSTOP)
    pages = [filled.root / "index.html", filled.root / "docs" / "index.html"]
    for _ in range(int(QUEUE.read_text())):  # two alternating events, which are not merged
        for page in pages:
            os.utime(page)
    tree(filled.root / "new", "after the overflow")  # of this there is no event any more
    (filled.root / "docs" / "logo.png").unlink()
    agent.tell(SIGCONT)
    agent.hears("queue of changes overflowed", "looking at everything")
    becomes_equal(filled, "the overflow")
    follows(agent, filled)
    assert len(agent.lines("overflowed")) == 1


def test_too_few_watches(new_agent: Agents, filled: Filled) -> None:
    tree(filled.root, "page")
    lower = ("sh", "-c", f'echo 10 > {WATCHES} && exec "$@"', "sh")
    if subprocess.run([*NAMESPACE, *lower, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    agent = new_agent(prefix=(*NAMESPACE, *lower))
    agent.runtime.mkdir()
    agent.start()
    assert len(agent.lines("fs.inotify.max_user_watches", "found by looking")) == 1
    (filled.root / "index.html").write_text("changed")
    (filled.root / "d1").mkdir(exist_ok=True)
    (filled.root / "d1" / "new.html").write_text("new")
    becomes_equal(filled, "two looks")
    assert filled.content(b"/") == b"changed"
    assert len(agent.lines("fs.inotify.max_user_watches")) == 1


def test_watches_that_run_out_later(new_agent: Agents, filled: Filled) -> None:
    lower = ("sh", "-c", f'echo 20 > {WATCHES} && exec "$@"', "sh")
    if subprocess.run([*NAMESPACE, *lower, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    agent = new_agent(prefix=(*NAMESPACE, *lower))
    agent.runtime.mkdir()
    agent.start()
    assert not agent.lines("max_user_watches")
    tree(filled.root, "page")
    agent.hears("fs.inotify.max_user_watches", "found by looking")
    becomes_equal(filled, "the watches ran out")
    assert not agent.lines("No space left")
    assert len(agent.lines("max_user_watches")) == 1


def test_a_web_root_that_is_removed_and_made_again(agent: Agent, filled: Filled) -> None:
    shutil.rmtree(filled.root)
    agent.hears("No such file")
    filled.root.mkdir()
    tree(filled.root, "made again")
    becomes_equal(filled, "the web root was made again")
    follows(agent, filled)


def test_a_web_root_that_comes_and_goes(agent: Agent, filled: Filled) -> None:
    tree(filled.root, "page")
    away = filled.root.with_name("away")
    for _ in range(300):
        filled.root.rename(away)
        away.rename(filled.root)
    follows(agent, filled)


def test_a_web_root_that_is_a_link_is_switched_to_and_fro(
    new_agent: Agents, filled: Filled
) -> None:
    base = filled.root.parent
    for release in ("one", "two"):
        tree(base / release, release)
        (base / release / "index.html").write_text(release)
    current = base / "current"
    current.symlink_to("one")
    filled.root.rename(base / "unused")
    filled.root.symlink_to("current")
    agent = new_agent()
    agent.start()
    for release in ("two", "one", "two"):
        (base / "new").symlink_to(release)
        (base / "new").replace(current)
        wait_for(lambda r=release: filled.content(b"/") == r.encode(), "the switch")  # type: ignore[misc]
        becomes_equal(filled, "the switch")
    follows(agent, filled)


def test_a_directory_above_the_web_root_is_renamed(new_agent: Agents, filled: Filled) -> None:
    above = filled.root.parent / "above"
    (above / "web").mkdir(parents=True)
    (above / "web" / "index.html").write_text("before")
    filled.root.rename(filled.root.with_name("unused"))
    filled.root.symlink_to("above/web")
    agent = new_agent()
    agent.start()
    above.rename(above.with_name("away"))
    agent.hears("No such file")
    (above / "web").mkdir(parents=True)
    (above / "web" / "index.html").write_text("after")
    wait_for(lambda: filled.content(b"/") == b"after", "the other web root")
    follows(agent, filled)


def test_directories_that_swap_places(agent: Agent, filled: Filled) -> None:
    for name in ("one", "two"):
        tree(filled.root / name, name)
    becomes_equal(filled, "two trees")
    for _ in range(3):
        (filled.root / "one").rename(filled.root / "between")
        (filled.root / "two").rename(filled.root / "one")
        (filled.root / "between").rename(filled.root / "two")
    wait_for(lambda: filled.content(b"/one/d0/0.html") == b"two 0 0", "the swap")
    becomes_equal(filled, "the swap")
    (filled.root / "one" / "d0" / "0.html").write_text("changed afterwards")
    wait_for(lambda: filled.content(b"/one/d0/0.html") == b"changed afterwards", "the change")
    follows(agent, filled)


def test_directories_that_are_exchanged_at_once(agent: Agent, filled: Filled) -> None:
    for name in ("one", "two"):
        tree(filled.root / name, name)
    becomes_equal(filled, "two trees")
    exchange(filled.root / "one", filled.root / "two")
    wait_for(lambda: filled.content(b"/one/d0/0.html") == b"two 0 0", "the exchange")
    for name in ("one", "two"):
        (filled.root / name / "d0" / "0.html").write_text(f"changed in {name}")
        expected = f"changed in {name}".encode()
        wait_for(lambda n=name, e=expected: filled.content(f"/{n}/d0/0.html".encode()) == e, name)  # type: ignore[misc]
    follows(agent, filled)


def test_an_archive_is_unpacked(agent: Agent, filled: Filled) -> None:
    source = filled.root.parent / "source"
    tree(source, "page", directories=100, files=5)
    archive = filled.root.parent / "archive.tar"
    run("tar", "-cf", archive, "-C", source, ".")
    run("tar", "-xf", archive, "-C", filled.root)
    wait_for(lambda: len(filled.pages()) == 503, "all of the archive")
    becomes_equal(filled, "the archive")
    follows(agent, filled)


def test_a_git_checkout_between_branches(agent: Agent, filled: Filled) -> None:
    root = filled.root
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "gc.auto=0")
    run(*git, "init", "-q", "-b", "one", cwd=root)
    tree(root, "one")
    run(*git, "add", "-A", cwd=root)
    run(*git, "commit", "-q", "-m", "one", cwd=root)
    run(*git, "checkout", "-q", "-b", "two", cwd=root)
    for number in (0, 5, 10):
        shutil.rmtree(root / f"d{number}")
    tree(root / "more", "two")
    tree(root, "two", directories=4)
    run(*git, "add", "-A", cwd=root)
    run(*git, "commit", "-q", "-m", "two", cwd=root)
    for branch in ("one", "two", "one", "two"):
        run(*git, "checkout", "-q", branch, cwd=root)
    wait_for(lambda: filled.content(b"/d0/d1/0.html") == b"two 1 0", "the checkout")
    follows(agent, filled)
    assert not [path for path in filled.pages() if b".git" in path]


def test_rsync_makes_the_web_root_another(agent: Agent, filled: Filled) -> None:
    source = filled.root.parent / "source"
    tree(source, "rsync")
    (source / "index.html").write_text("rsync")
    (source / "docs").mkdir()
    run("rsync", "-a", "--delete", f"{source}/", f"{filled.root}/")
    wait_for(lambda: filled.content(b"/") == b"rsync", "the new page")
    wait_for(lambda: b"/docs/logo.png" not in filled.pages(), "the deletion")
    follows(agent, filled)


# -- symbolic links ------------------------------------------------------------------------------


def shows(filled: Filled, path: bytes) -> Callable[[str], None]:
    """Return what waits until the page at `path` has a text; "" until there is none."""

    def wait(text: str) -> None:
        expected = text.encode() or None
        wait_for(lambda: filled.content(path) == expected, f"{path!r} to be {text!r}")

    return wait


def test_the_copy_that_a_link_gives_follows_its_file(agent: Agent, filled: Filled) -> None:
    (filled.root / "alias.html").symlink_to("docs/page.html")
    alias = shows(filled, b"/alias.html")
    agent.hears("alias.html: dangling")
    page = filled.root / "docs" / "page.html"
    page.write_text("one")
    alias("one")
    page.write_text("two")
    alias("two")
    other = filled.root / "docs" / "other.html"
    other.write_text("three")
    other.replace(page)
    alias("three")
    page.unlink()
    alias("")
    page.write_text("four")
    alias("four")
    follows(agent, filled)


def test_a_link_that_leads_somewhere_else(agent: Agent, filled: Filled) -> None:
    for name in ("one", "two"):
        (filled.root / name).mkdir()
        (filled.root / name / "page.html").write_text(name)
    link = filled.root / "link"
    link.symlink_to("one")
    linked = shows(filled, b"/link/page.html")
    linked("one")
    link.unlink()
    link.symlink_to("two")
    linked("two")
    (filled.root / "one" / "page.html").write_text("nobody's")
    (filled.root / "two" / "page.html").write_text("changed")
    linked("changed")
    (filled.root / "two" / "below").mkdir()
    (filled.root / "two" / "below" / "new.html").write_text("new")
    shows(filled, b"/link/below/new.html")("new")
    shutil.rmtree(filled.root / "two" / "below")
    shows(filled, b"/link/below/new.html")("")
    (filled.root / "two").rename(filled.root / "three")
    linked("")
    follows(agent, filled)


def test_a_chain_of_links(agent: Agent, filled: Filled) -> None:
    root = filled.root
    (root / "releases" / "1").mkdir(parents=True)
    (root / "releases" / "2").mkdir()
    for number in ("1", "2"):
        (root / "releases" / number / "page.html").write_text(f"release {number}")
    (root / "releases" / "current").symlink_to("1")
    (root / "latest").symlink_to("releases/current")
    (root / "page.html").symlink_to("latest/page.html")
    shows(filled, b"/latest/page.html")("release 1")
    shows(filled, b"/page.html")("release 1")
    (root / "releases" / "1" / "page.html").write_text("changed")
    shows(filled, b"/latest/page.html")("changed")
    shows(filled, b"/page.html")("changed")
    (root / "releases" / "new").symlink_to("2")
    (root / "releases" / "new").replace(root / "releases" / "current")
    shows(filled, b"/latest/page.html")("release 2")
    shows(filled, b"/page.html")("release 2")
    (root / "releases" / "2" / "page.html").write_text("changed again")
    shows(filled, b"/page.html")("changed again")
    follows(agent, filled)


def test_a_link_to_the_directory_above_a_link(agent: Agent, filled: Filled) -> None:
    (filled.root / "docs" / "below").mkdir()
    (filled.root / "link").symlink_to("docs/below/..")
    linked = shows(filled, b"/link/page.html")
    (filled.root / "docs" / "page.html").write_text("one")
    linked("one")
    (filled.root / "docs" / "page.html").write_text("two")
    linked("two")


def test_what_changes_while_a_new_link_to_it_is_followed(agent: Agent, filled: Filled) -> None:
    page = filled.root / "large" / "page.html"
    for number in range(1500):
        directory = filled.root / "large" / f"{number:04}"
        directory.mkdir(parents=True)
        (directory / "page.html").write_text("one")
    page.write_text("one")
    shows(filled, b"/large/1499/page.html")("one")
    linked = shows(filled, b"/link/page.html")
    (filled.root / "link").symlink_to("large")
    linked("one")
    page.write_text("two")
    linked("two")


# -- files that are being written ----------------------------------------------------------------


def test_a_page_that_is_being_written_is_never_half(agent: Agent, filled: Filled) -> None:
    seen = set()
    with (filled.root / "index.html").open("w") as page:
        page.write("one half")
        page.flush()

        def gone() -> bool:
            seen.add(filled.content(b"/"))
            return None in seen

        wait_for(gone, "the old page to go")
        page.write(", the other half")
        page.flush()
        (filled.root / "docs" / "new.html").write_text("meanwhile")
        (filled.root / "new.html").write_text("beside it")
        shows(filled, b"/docs/new.html")("meanwhile")
        shows(filled, b"/new.html")("beside it")
        seen.add(filled.content(b"/"))
        done = memfis("sync", "--config", agent.config)
        assert "1 open for writing" in done.stdout
        seen.add(filled.content(b"/"))
    assert seen <= {b"front page", None}
    shows(filled, b"/")("one half, the other half")


def test_a_new_page_that_is_being_written_is_not_there(agent: Agent, filled: Filled) -> None:
    with (filled.root / "new.html").open("w") as page:
        page.write("one half")
        page.flush()
        (filled.root / "beside.html").write_text("beside it")
        shows(filled, b"/beside.html")("beside it")
        assert filled.content(b"/new.html") is None
        page.write(", the other half")
    shows(filled, b"/new.html")("one half, the other half")


def test_a_file_that_gets_its_name_when_it_is_whole(agent: Agent, filled: Filled) -> None:
    descriptor = os.open(filled.root, os.O_TMPFILE | os.O_WRONLY, 0o644)
    try:
        os.write(descriptor, b"whole")
        here = f"/proc/self/fd/{descriptor}"
        os.link(here, filled.root / "linked.html", src_dir_fd=descriptor)  # by linkat(2)
    finally:
        os.close(descriptor)
    shows(filled, b"/linked.html")("whole")


def test_a_hard_link(agent: Agent, filled: Filled) -> None:
    os.link(filled.root / "index.html", filled.root / "same.html")
    shows(filled, b"/same.html")("front page")
    (filled.root / "same.html").write_text("written by one of its names")
    shows(filled, b"/same.html")("written by one of its names")
    shows(filled, b"/")("written by one of its names")
    os.link(filled.root / "index.html", filled.root / "docs" / "same.html")
    shows(filled, b"/docs/same.html")("written by one of its names")
    (filled.root / "docs" / "same.html").write_text("from another directory")
    shows(filled, b"/docs/same.html")("from another directory")
    shows(filled, b"/")("from another directory")


def test_a_file_that_is_cut_by_its_name(agent: Agent, filled: Filled) -> None:
    os.truncate(filled.root / "index.html", 5)
    shows(filled, b"/")("")  # nobody closes it: that it is whole shows only in time
    (filled.root / "index.html").write_text("written")
    shows(filled, b"/")("written")
