"""What nginx's user may not read any more is out of memory at once, whatever limits say."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from integration.conftest import Agents, Filled
from memfis.errors import ClosedRootError, SafetyError
from memfis.sync import MaxDelete, Options, Sync, Target, Walk
from memfis.sync.difference import Task
from memfis.webroot import WebRoot
from support.agent import Agent
from support.command import memfis
from support.process import wait_for

READER = "nobody"
"""Who reads for visitors here: neither owner nor of the group of any file."""

NOTHING = MaxDelete(0, percent=False)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs to read what its reader may not")

Close = Callable[[Path], None]


@pytest.fixture
def public(filled: Filled) -> Filled:
    """A web root of 60 pages that its reader may read; its parent's directory is its own."""
    for number in range(57):
        (filled.root / "docs" / f"{number}.html").write_text(f"page {number}")
    filled.site = replace(filled.site, reader=READER)
    filled.sync()
    assert len(filled.pages()) == 60
    return filled


def deny(path: Path) -> None:
    """Shut the reader out by an ACL; mode bits go on saying that everybody may."""
    subprocess.run(["setfacl", "-m", f"u:{READER}:---", path], check=True)


def all_files(root: Path, close: Close) -> None:
    for path in root.rglob("*.*"):
        close(path)


def mode(path: Path) -> None:
    path.chmod(0o700 if path.is_dir() else 0o600)


def owner(path: Path) -> None:
    path.chmod(0o077 if path.is_file() else 0o007)
    os.chown(path, 65534, 0)


def group(path: Path) -> None:
    path.chmod(0o604 if path.is_file() else 0o705)
    os.chown(path, 0, 65534)


CLOSINGS: dict[str, tuple[Close, set[bytes]]] = {
    "all files by mode": (lambda root: all_files(root, mode), set()),
    "all files by owner": (lambda root: all_files(root, owner), set()),
    "all files by group": (lambda root: all_files(root, group), set()),
    "all files by ACL": (lambda root: all_files(root, deny), set()),
    "a directory by mode": (lambda root: mode(root / "docs"), {b"/"}),
    "a directory by owner": (lambda root: owner(root / "docs"), {b"/"}),
    "a directory by ACL": (lambda root: deny(root / "docs"), {b"/"}),
    "the root by mode": (mode, set()),
    "the root by ACL": (deny, set()),
    "a parent by mode": (lambda root: mode(root.parent), set()),
    "a parent by ACL": (lambda root: deny(root.parent), set()),
}


@pytest.mark.parametrize("name", CLOSINGS)
def test_a_sync_withdraws_it(public: Filled, name: str) -> None:
    close, left = CLOSINGS[name]
    close(public.root)
    if left or name.startswith("all"):
        report = public.sync(max_delete=NOTHING, delete=False)
        assert report.removed == 60 - len(left)
        assert report.problems
    else:
        with pytest.raises(ClosedRootError, match="may not enter"):
            public.sync(max_delete=NOTHING, delete=False)
    assert public.pages() == left


@pytest.mark.parametrize("name", CLOSINGS)
def test_the_agent_withdraws_it(public: Filled, new_agent: Agents, name: str) -> None:
    close, left = CLOSINGS[name]
    agent = new_agent(site={"reader": READER, "max_delete": "0"})
    agent.start()
    close(public.root)
    wait_for(lambda: public.pages() == left, "what is closed to be gone")
    open_again(public.root)
    wait_for(lambda: len(public.pages()) == 60, "what is open to be back")


@pytest.mark.parametrize("name", [name for name in CLOSINGS if "root" in name or "parent" in name])
def test_a_closed_root_has_no_directory_but_its_own(public: Filled, name: str) -> None:
    """What changes below it would leave records of directories that nothing names."""
    assert WebRoot(public.site).directory(b"/docs/")
    CLOSINGS[name][0](public.root)
    closed = WebRoot(public.site)
    assert closed.directory(b"/docs/") is None
    top = closed.directory(b"/")
    assert top is not None
    assert closed.listing(top).is_closed


def open_again(root: Path) -> None:
    for path in (root.parent, root, *root.rglob("*")):
        subprocess.run(["setfacl", "-b", path], check=True)
        os.chown(path, 0, 0)
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_sync_that_is_refused_withdraws_all_the_same(public: Filled) -> None:
    for number in range(40):
        (public.root / "docs" / f"{number}.html").unlink()
    mode(public.root / "index.html")
    mode(public.root / "docs" / "50.html")
    before = public.pages()
    with pytest.raises(SafetyError, match="would delete 40 of 60"):
        public.sync(max_delete=NOTHING)
    assert before - public.pages() == {b"/", b"/docs/50.html"}
    public.sync()
    assert public.discrepancies() == []


def test_what_settings_leave_out_goes(public: Filled) -> None:
    public.site = replace(public.site, exclude=("/docs/",))
    public.sync(max_delete=NOTHING)
    assert public.pages() == {b"/"}
    public.site = replace(public.site, exclude=("*",))
    public.sync(max_delete=NOTHING)
    assert public.pages() == set()


def test_the_agent_withdraws_what_settings_leave_out(public: Filled, new_agent: Agents) -> None:
    agent = new_agent(site={"reader": READER, "max_delete": "0"})
    agent.start()
    agent.sites[0]["exclude"] = ["*"]
    agent.reload()
    wait_for(lambda: not public.pages(), "what is excluded to be gone")


def test_another_reader_reads_other_files(public: Filled) -> None:
    """A file that is as its record says may be closed to him: its ACL was not written for him."""
    page = public.root / "docs" / "1.html"
    subprocess.run(["setfacl", "-m", "u:daemon:---", page], check=True)
    public.sync()
    assert b"/docs/1.html" in public.pages()
    public.site = replace(public.site, reader="daemon")
    public.sync(max_delete=NOTHING)
    assert b"/docs/1.html" not in public.pages()


def test_a_link_through_a_closed_directory_leads_nowhere(public: Filled) -> None:
    """The kernel goes the whole way that the links say, not only to where it ends."""
    around = public.root.parent / "around"
    around.mkdir()
    (around / "there").symlink_to(public.root / "docs")
    (public.root / "way").symlink_to(around / "there")
    public.sync()
    assert b"/way/1.html" in public.pages()
    mode(around)
    public.sync(max_delete=NOTHING)
    assert not [page for page in public.pages() if page.startswith(b"/way/")]


def test_a_closed_root_is_told_and_ends_with_2(public: Filled, agent_of_reader: Agent) -> None:
    public.root.chmod(0o700)
    wait_for(lambda: not public.pages(), "the pages to be gone")
    agent_of_reader.hears("nginx's user nobody may not enter", "drwx------")
    done = memfis("sync", "--config", str(agent_of_reader.config))
    assert (done.returncode, "may not enter" in done.stderr) == (2, True), done.stderr


@pytest.fixture
def agent_of_reader(public: Filled, new_agent: Agents) -> Agent:
    agent = new_agent(site={"reader": READER})
    agent.start()
    return agent


@pytest.mark.parametrize("name", ["new", "docs"])
@pytest.mark.parametrize("close", [mode, deny, shutil.rmtree])
def test_what_goes_while_it_is_synced_leaves_nothing(
    public: Filled, name: str, close: Close
) -> None:
    """The directory above is compared in between, as the agent does, and finds no records of it."""
    (public.root / name).mkdir(exist_ok=True)
    (public.root / name / "page.html").write_text("new")
    (public.root / name / "0.html").unlink(missing_ok=True)
    whole = Sync.begin(public.site, public.store, Options(keep=lambda *_: False))
    steps = whole.steps()
    while f"/{name}/".encode() not in whole.walk.links:
        next(steps)
    close(public.root / name)
    target = Target.of(public.site, WebRoot(public.site), public.store)
    task = Task(target.webroot.top(), None, deep=False)
    with Walk(target, Options(), [task], lambda _: False) as walk:
        assert not any(walk.steps())
    whole.walk.forget(b"/")
    assert not any(steps)
    assert public.discrepancies() == []
    left = [key for key in public.store.all_keys() if f"/{name}/" in key.decode()]
    assert left == []
