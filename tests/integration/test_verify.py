"""`memfis verify` names whatever is wrong, each by what it is.

The wrong states are those that the model of the histories knows, and it has to agree.
"""

import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from histories import model
from histories.operations import Tree
from memfis.errors import ClosedRootError
from memfis.settings.addresses import StoreAddress
from memfis.settings.load import load
from memfis.store import Store
from memfis.sync import MaxDelete, Options, sync
from support.agent import toml
from support.command import memfis
from support.memcached import Memcached
from support.process import unprivileged

SITE = model.SITE.decode()
PAGE, HEAD, PRIVATE, DIRECTORY = (
    f"memfis{kind}://{SITE}" for kind in ("", "-head", "-private", "-dir")
)
FILES = ("index.html", "page.html", "docs/index.html", "docs/page.html", "docs/deep/page.html")
DIRECTORIES = ("/", "/docs/", "/docs/deep/")
DOCS = {"/docs/", "/docs/index.html", "/docs/page.html", "/docs/deep/", "/docs/deep/page.html"}
KEYS = {"/", "/page.html", "/docs/", "/docs/page.html", "/docs/deep/page.html"}


@dataclass
class World:
    """A web root and the store that was made equal to it."""

    directory: Path
    memcached: Memcached
    tree: Tree
    store: Store
    settings: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        user = unprivileged()
        self.reader = model.Reader(user)
        self.config = self.directory / "memfis.toml"
        self.settings = {
            "name": SITE,
            "root": os.fsdecode(self.tree.root),
            "store": self.store_address,
            "exclude": list(model.EXCLUSIONS[0]),
            "max_page": model.MAX_PAGE,
            **({"reader": user.pw_name} if user else {}),
        }

    @property
    def store_address(self) -> str:
        return f"memcached://{self.memcached.socket}"

    def path(self, name: str) -> Path:
        return Path(os.fsdecode(self.tree.root)) / name

    def configure(self, **changed: object) -> None:
        self.settings |= changed
        self.config.write_text(toml({}, [self.settings]))

    def sync(self) -> None:
        self.configure()
        [site] = load(self.config).sites
        sync(site, self.store, Options(max_delete=MaxDelete(100, percent=True)))

    def put(self, key: str, value: bytes = b"foreign", flags: int = 0) -> None:
        self.memcached.put(key.encode(), value, flags)

    def lose(self, key: str) -> None:
        assert self.store.get(key.encode())
        self.store.delete_many([key.encode()])

    def verify(self) -> "tuple[int, set[tuple[str, str]], subprocess.CompletedProcess[str]]":
        """Return the exit code of `memfis verify`, what differs, and all that it said."""
        done = memfis("verify", "--config", self.config, "--json")
        [document] = json.loads(done.stdout)["sites"]
        said: list[dict[str, Any]] = document["differences"]
        differences = {(each["what"], each["path"]) for each in said}
        assert len(differences) == len(said)  # each is named once
        return done.returncode, differences, done

    def finds(self, **expected: set[str]) -> None:
        """Check that `memfis verify` names just what is `expected`, and the model knows it too."""
        code, differences, done = self.verify()
        assert differences == {(kind, path) for kind in expected for path in expected[kind]}
        assert (code, done.stderr) == (1 if expected else 0, "")
        site = model.Site(self.tree.root, self.reader, model.EXCLUSIONS[0])
        assert bool(model.differences(site, self.memcached)) == bool(
            {kind for kind in expected if kind != "records"}  # the model takes these for no loss
        )


@pytest.fixture
def world(directory: Path, memcached: Memcached) -> Iterator[World]:
    tree = Tree(os.fsencode(directory.resolve() / "root"))
    for number, name in enumerate(FILES):
        tree.write(name.encode(), 100 + number, "text")
    store = Store(StoreAddress.parse(f"memcached://{memcached.socket}"))
    world = World(directory, memcached, tree, store)
    world.sync()
    yield world
    store.close()
    with suppress(OSError):
        os.chmod(tree.root, 0o755)
    tree.close()


def test_what_is_equal(world: World) -> None:
    world.finds()


# -- what is in the store --------------------------------------------------------------------------


def test_lost_items(world: World) -> None:
    world.lose(PAGE + "/docs/page.html")
    world.lose(DIRECTORY + "/docs/deep/")
    world.lose(f"memfis-site://{SITE}")
    world.finds(missing={"/docs/page.html"}, records={"/docs/deep/", f"memfis-site://{SITE}"})


def test_lost_records_of_the_root(world: World) -> None:
    """What is below is on disk, and so are the pages: they are not strays."""
    world.lose(DIRECTORY + "/")
    world.finds(records={"/"})


def test_damaged_records(world: World) -> None:
    world.put(DIRECTORY + "/docs/", b"nonsense")
    world.finds(records={"/docs/"})


def test_a_flushed_store(world: World) -> None:
    with world.memcached.client() as client:
        client.flush_all()
    files = {f"/{name}" for name in FILES}
    world.finds(missing=files, records={*DIRECTORIES, f"memfis-site://{SITE}"})


def test_defaced_pages(world: World) -> None:
    world.put(PAGE + "/", b"foreign")
    world.put(PAGE + "/page.html", b"foreign", zlib.crc32(b"foreign") & 0xFFFFFFFC)
    world.put(PAGE + "/docs/page.html", b"foreign", 2)
    world.finds(different={"/index.html", "/page.html"}, damaged={"/docs/page.html"})


def test_foreign_items(world: World) -> None:
    """Whatever stands in a key leads nowhere but to what is below the web root."""
    keys = {
        PAGE + "/foreign.html",
        PAGE + "/docs/index.html",  # which is kept under /docs/
        PAGE + "/docs",  # a directory
        PAGE + "/page.html/",  # a file
        PAGE + "/nowhere/foreign.html",
        PAGE + "//page.html",
        PAGE + "/docs/../page.html",
        PAGE + "/../root/page.html",
        PAGE + "/page.html%00",
        PAGE + "/" + "x" * (250 - len(PAGE) - 2) + "/",
        HEAD + "/foreign.html",
        PRIVATE + "/page.html",
        DIRECTORY + "/nowhere/",
        DIRECTORY + "/docs",
    }
    for key in keys:
        world.put(key)
    others = (f"memfis://{SITE}.example/x", f"memfis-dir://another.{SITE}/", "something")
    for key in others:
        world.put(key)
    world.finds(stray=keys)


def test_foreign_pages_of_what_is_not_published(world: World) -> None:
    for name in ("disk.iso", "drafts/page.html", ".htaccess", "login.php", "docs/dump.sql"):
        world.tree.write(name.encode(), 50, "text")
        world.put(f"{PAGE}/{name}")
    world.tree.write(b"drafts/index.html", 50, "text")
    world.put(PAGE + "/drafts/")
    world.put(HEAD + "/drafts/")
    code, differences, _ = world.verify()
    files = {"/disk.iso", "/.htaccess", "/login.php", "/docs/dump.sql"}
    drafts = {"/drafts/page.html", "/drafts/index.html", HEAD + "/drafts/"}
    assert (code, {path for _, path in differences}) == (1, files | drafts)
    assert {kind for kind, _ in differences} == {"exposed"}


# -- what is on disk -------------------------------------------------------------------------------


def test_files_that_went(world: World) -> None:
    """As after an agent was stopped, or where deletions are held back (S3)."""
    for number in range(60):
        world.tree.write(b"many/%d.html" % number, 200 + number, "text")
    world.sync()
    for number in range(59):
        world.tree.delete(b"many/%d.html" % number)
    world.tree.write(b"many/new.html", 300, "text")
    world.finds(
        stray={f"{PAGE}/many/{number}.html" for number in range(59)}, missing={"/many/new.html"}
    )


def test_a_directory_that_went(world: World) -> None:
    world.tree.delete(b"docs")
    pages = {PAGE + key for key in KEYS if key.startswith("/docs/")}
    world.finds(stray={*pages, DIRECTORY + "/docs/", DIRECTORY + "/docs/deep/"})


def test_what_changed(world: World) -> None:
    world.tree.write(b"page.html", 77, "text")
    world.tree.rewrite(b"index.html")
    world.tree.rename(b"docs/page.html", b"docs/moved.html")
    world.tree.write(b"docs/deep/page.html", 3 * model.MAX_PAGE, "text")
    world.finds(
        different={"/page.html", "/index.html", "/docs/deep/page.html"},
        stray={PAGE + "/docs/page.html"},
        missing={"/docs/moved.html"},
    )


def test_a_page_that_is_left_to_the_disk(world: World) -> None:
    """It may stay in memory as long as it is what the disk has."""
    world.configure(max_page=50)
    assert world.verify()[:2] == (0, set())
    world.tree.write(b"page.html", 500, "noise")
    assert world.verify()[:2] == (1, {("different", "/page.html")})


def test_a_file_that_is_being_written(world: World) -> None:
    world.tree.write(b"docs/unknown.html", 500, "text")
    with (
        world.path("page.html").open("r+b"),
        world.path("docs/unknown.html").open("r+b"),
        world.path("index.html").open("r+b", buffering=0) as changed,
    ):
        changed.write(b"changed")
        assert world.verify()[:2] == (1, {("different", "/index.html")})


@pytest.mark.parametrize("mode", [0o600, 0o000])
def test_a_file_that_is_closed(world: World, mode: int) -> None:
    world.tree.chmod(b"page.html", 0o000 if world.reader.owner else mode)
    world.finds(exposed={"/page.html"})


@pytest.mark.parametrize("mode", [0o700, 0o744, 0o000])
def test_a_directory_that_is_closed(world: World, mode: int) -> None:
    world.tree.chmod(b"docs", 0o000 if world.reader.owner else mode)
    world.finds(exposed=DOCS)


def test_a_closed_directory_whose_records_are_lost(world: World) -> None:
    world.lose(DIRECTORY + "/docs/")
    world.lose(DIRECTORY + "/")
    world.tree.chmod(b"docs", 0o000)
    code, differences, _ = world.verify()
    lost = {("records", "/"), *(("exposed", path) for path in DOCS - {"/docs/"})}
    assert (code, differences) == (1, lost)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be told from nginx's user")
def test_an_acl_and_an_owner(world: World) -> None:
    user = unprivileged()
    assert user is not None
    subprocess.run(["setfacl", "-m", f"u:{user.pw_name}:-", world.path("page.html")], check=True)
    subprocess.run(["setfacl", "-m", f"u:{user.pw_name}:r", world.path("docs")], check=True)
    os.chown(world.path("index.html"), user.pw_uid, 0)
    world.path("index.html").chmod(0o044)
    code, differences, _ = world.verify()
    exposed = {("exposed", path) for path in DOCS | {"/index.html", "/page.html"}}
    assert (code, differences) == (1, exposed)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (b"outside/secret.html", "exposed"),
        (b"self", "exposed"),
        (b".htaccess", "exposed"),
        (b"nowhere", "stray"),
    ],
)
def test_a_file_that_became_a_link(world: World, target: bytes, kind: str) -> None:
    world.tree.write(b".htaccess", 60, "text")
    world.tree.delete(b"page.html")
    world.tree.symlink(b"page.html", target)
    assert world.path("page.html").is_symlink()
    world.finds(**{kind: {"/page.html" if kind == "exposed" else PAGE + "/page.html"}})


def test_what_became_something_else(world: World) -> None:
    world.tree.become(b"page.html", "directory", 70)
    world.tree.become(b"index.html", "fifo", 0)
    world.tree.become(b"docs", "file", 90)
    world.finds(
        stray={
            PAGE + "/page.html",
            *(PAGE + key for key in KEYS if key.startswith("/docs/")),
            *(DIRECTORY + each for each in ("/docs/", "/docs/deep/")),
        },
        exposed={"/index.html"},
        missing={"/docs", "/page.html/index.html", "/page.html/page.html"},
        records={"/page.html/"},
    )


# -- the settings ----------------------------------------------------------------------------------


def test_other_exclusions(world: World) -> None:
    world.configure(exclude=["page.html", "deep/"])
    code, differences, _ = world.verify()
    excluded = {"/page.html", "/docs/page.html", "/docs/deep/", "/docs/deep/page.html"}
    assert (code, differences) == (1, {("exposed", path) for path in excluded})


def test_another_index_name(world: World) -> None:
    world.configure(index=["start.html", "index.html"])
    code, differences, _ = world.verify()
    assert (code, differences) == (
        1,
        {
            ("stray", PAGE + "/"),
            ("stray", PAGE + "/docs/"),
            ("missing", "/index.html"),
            ("missing", "/docs/index.html"),
        },
    )


# -- the web root ----------------------------------------------------------------------------------


def root_closed(world: World) -> None:
    os.chmod(world.tree.root, 0o000)


def parent_closed(world: World) -> None:
    above = world.directory / "above"
    above.mkdir()
    os.rename(world.tree.root, above / "root")
    world.configure(root=str(above / "root"))
    above.chmod(0o000)


@pytest.mark.parametrize("close", [root_closed, parent_closed])
def test_a_closed_web_root(world: World, close: Callable[[World], None]) -> None:
    close(world)
    code, differences, done = world.verify()
    with suppress(FileNotFoundError):
        (world.directory / "above").chmod(0o755)
    every = {f"/{name}" for name in FILES} | set(DIRECTORIES) - {"/"}
    assert (code, differences) == (1, {("exposed", path) for path in every})
    [line] = done.stderr.splitlines()
    assert str(world.settings["root"]) in line


def test_a_closed_web_root_of_which_nothing_is_in_memory(world: World) -> None:
    root_closed(world)
    with pytest.raises(ClosedRootError):
        world.sync()
    code, differences, done = world.verify()
    assert (code, differences, len(done.stderr.splitlines())) == (0, set(), 1)


def missing(world: World) -> None:
    shutil.rmtree(world.tree.root)


def a_file(world: World) -> None:
    shutil.rmtree(world.tree.root)
    Path(os.fsdecode(world.tree.root)).write_text("no directory")


@pytest.mark.parametrize("lose", [missing, a_file])
def test_a_missing_web_root(world: World, lose: Callable[[World], None]) -> None:
    lose(world)
    strays = {PAGE + key for key in KEYS} | {DIRECTORY + each for each in DIRECTORIES[1:]}
    code, differences, done = world.verify()
    assert (code, differences) == (1, {("stray", key) for key in strays})
    [line] = done.stderr.splitlines()
    assert str(world.settings["root"]) in line
    with world.memcached.client() as client:
        client.flush_all()
    code, differences, done = world.verify()
    assert (code, differences, len(done.stderr.splitlines())) == (2, set(), 1)


def test_every_other_site_is_compared_when_one_has_no_web_root(world: World) -> None:
    other = world.settings | {"name": "other.example", "root": str(world.directory / "nowhere")}
    world.configure()
    world.path("new.html").write_text("new")
    world.config.write_text(toml({}, [other, world.settings]))
    done = memfis("verify", "--config", world.config)
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        "other.example: 0 compared, 0 differ",
        "missing /new.html",
        f"{SITE}: 6 compared, 1 differ",
    ]
    [line] = done.stderr.splitlines()
    assert "other.example" in line
    assert "nowhere" in line
