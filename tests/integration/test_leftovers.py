"""Sites that the configuration has no more: told by `memfis verify`, and removed by the agent."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from memfis.agent.leftovers import remove_leftovers
from memfis.catalog import leftover
from memfis.catalog.catalog import Catalog
from memfis.catalog.orphans import orphans
from memfis.catalog.site_item import SiteItem
from memfis.commands.options import SiteFlags
from memfis.errors import StoreRefusedError
from memfis.layout.keys import directory_key, head_key, page_key, private_key, site_key
from memfis.layout.records import Entry, encode_log
from memfis.service.installation import MACHINE_ID, mark
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site
from memfis.store import Store
from memfis.sync import Options, sync, try_lock
from support.agent import Agent, toml
from support.command import memfis
from support.memcached import Memcached
from support.process import wait_for

has_identity = pytest.mark.skipif(
    mark(Path("/any")) is None, reason=f"{MACHINE_ID} says nothing: no site can be removed"
)


class Host:
    """A host with an agent, and a store that others may use too."""

    def __init__(self, directory: Path, memcached: Memcached) -> None:
        self.directory = directory
        self.url = f"memcached://{memcached.socket}"
        self.store = Store(StoreAddress.parse(self.url))
        sites = [{"name": f"{name}.example", "root": str(self.root(name))} for name in "ab"]
        self.agent = Agent(directory, {"store": self.url}, sites)

    def root(self, name: str) -> Path:
        root = self.directory / name
        if not root.exists():
            (root / "docs" / "deep").mkdir(parents=True)
            for file in ("index.html", "docs/index.html", "docs/page.html", "docs/deep/page.html"):
                (root / file).write_text(f"{name}: {file}")
        return root

    def keys(self, site: str) -> set[bytes]:
        """Return every key of `site`."""
        host = b"://" + site.encode()
        return {
            key
            for key in self.store.all_keys()
            if key.partition(host)[1] and key.partition(host)[2][:1] in (b"", b"/")
        }

    def fill(self, site: str) -> None:
        """Fill `site` as `memfis sync` by flags does."""
        filled = Site(name=site, root=str(self.root(site)), store=self.url)
        sync(filled, self.store, Options())

    def rewrite(self, site: str, **changed: object) -> None:
        """Change the item of `site`; a value of None takes a field out of it."""
        found = self.store.get(site_key(site))
        assert found
        item = msgspec.json.decode(found.value) | changed
        kept = {key: value for key, value in item.items() if value is not None}
        self.store.set(site_key(site), msgspec.json.encode(kept))

    def mark(self, site: str) -> str | None:
        item = Catalog(self.store, site).site_item()
        assert item is not None
        return item.installation


@pytest.fixture
def host(directory: Path, memcached: Memcached) -> Iterator[Host]:
    host = Host(directory, memcached)
    yield host
    host.agent.end()
    assert "Traceback" not in host.agent.said()
    host.store.close()


@has_identity
def test_a_renamed_site_is_removed_at_reload_and_nothing_else(host: Host) -> None:
    others = ["flags.example", "old.example", "elsewhere.example", "mounted.example", "b.example.a"]
    for name in others:
        host.fill(name)
    host.rewrite("old.example", installation=None)
    host.rewrite("elsewhere.example", installation=mark(Path("/etc/memfis/other.toml")))
    ours = mark(host.agent.config)
    host.rewrite("mounted.example", installation=ours, source="store")
    host.agent.start()
    kept = {name: host.keys(name) for name in [*others, "a.example"]}
    assert host.mark("b.example") == ours
    for key in (page_key, head_key, private_key):
        host.store.set(key("b.example", b"/nobody/recorded/this"), b"")
    host.store.delete_many([directory_key("b.example", b"/docs/")])
    host.agent.sites[1]["name"] = "c.example"
    host.agent.reload()
    wait_for(lambda: not host.keys("b.example"), "the old name to go")
    [line] = host.agent.lines("b.example: no more in the configuration")
    assert line.endswith("5 pages removed")
    wait_for(lambda: len(host.keys("c.example")) == 8, "the new name to be filled")
    assert {name: host.keys(name) for name in kept} == kept


@has_identity
def test_a_site_that_was_taken_out_while_the_agent_was_stopped(host: Host) -> None:
    host.agent.start()
    host.agent.end()
    del host.agent.sites[0]
    host.agent.start()
    wait_for(lambda: not host.keys("a.example"), "what is configured no more to go")
    assert len(host.keys("b.example")) == 8
    assert host.agent.lines("a.example: no more in the configuration", "4 pages removed")


@has_identity
def test_a_site_that_somebody_else_works_on_is_left_alone(host: Host) -> None:
    host.agent.start()
    host.agent.end()
    del host.agent.sites[0]
    before = host.keys("a.example")
    with try_lock(host.agent.runtime, "a.example") as held:
        assert held
        host.agent.start()
        host.agent.hears("a.example: no more in the configuration; another memfis has it")
    assert host.keys("a.example") == before


@has_identity
def test_a_site_that_is_configured_by_now_is_left_alone(host: Host) -> None:
    """The file counts as it is then, not as the agent has read it before."""
    host.agent.configure()
    assert memfis("sync", "--config", host.agent.config).returncode == 0
    before = host.keys("a.example")
    load = SiteFlags(str(host.agent.config)).settings

    def remove() -> None:
        names = {"a.example", "b.example"}
        host.agent.runtime.mkdir(exist_ok=True)
        asyncio.run(remove_leftovers({host.url}, names, load, host.agent.runtime, []))

    remove()
    assert host.keys("a.example") == before
    del host.agent.sites[0]
    host.agent.configure()
    remove()
    assert (len(host.keys("a.example")), len(host.keys("b.example"))) == (0, 8)


@has_identity
def test_a_store_that_cannot_list_its_keys_is_asked_for_the_names_of_before(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Couchbase before 7.6, behind the gateway."""
    host.agent.configure()
    assert memfis("sync", "--config", host.agent.config).returncode == 0
    load = SiteFlags(str(host.agent.config)).settings
    del host.agent.sites[0]
    host.agent.configure()

    def refuse(_: Store) -> Iterator[bytes]:
        raise StoreRefusedError("cannot list its keys")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "all_keys", refuse)
        asyncio.run(remove_leftovers({host.url}, {"a.example"}, load, host.agent.runtime, []))
    assert (len(host.keys("a.example")), len(host.keys("b.example"))) == (0, 8)


@has_identity
def test_verify_names_what_is_left(host: Host) -> None:
    sites = [{"name": f"{name}.example", "root": str(host.root(name))} for name in "abc"]
    host.agent.config.write_text(toml({"store": host.url}, sites))
    assert memfis("sync", "--config", host.agent.config).returncode == 0
    for name in ("flags.example", "elsewhere.example", "old.example"):
        host.fill(name)
    host.rewrite("old.example", installation=None)
    host.rewrite("elsewhere.example", installation=mark(Path("/etc/memfis/other.toml")))
    host.agent.config.write_text(toml({"store": host.url}, sites[:2]))
    done = memfis("verify", "--config", host.agent.config, "--json")
    documents = {each["site"]: each for each in json.loads(done.stdout)["sites"]}
    assert done.returncode == 1
    assert documents.keys() == {"a.example", "b.example", "c.example", "old.example"}
    for name, document in documents.items():
        found = {(each["what"], each["path"]) for each in document["differences"]}
        expected = host.keys(name) if name in ("c.example", "old.example") else set()
        assert found == {("unconfigured", key.decode()) for key in expected}
    said = memfis("verify", "--config", host.agent.config)
    assert "unconfigured memfis://c.example/docs/page.html" in said.stdout.splitlines()
    assert said.stdout.splitlines()[-1] == "old.example: 8 compared, 8 differ"
    assert memfis("verify", "--config", host.agent.config, "--site", "a.example").returncode == 0


def test_flags_leave_no_mark(host: Host) -> None:
    """A site that was configured, and is filled by flags now, is nobody's."""
    host.agent.configure()
    named = ("--root", str(host.root("a")), "--name", "a.example", "--store", host.url)
    assert memfis("sync", "--config", host.agent.config, "--site", "a.example").returncode == 0
    assert host.mark("a.example") == mark(host.agent.config)
    assert memfis("sync", *named).returncode == 0
    assert host.mark("a.example") == ""


def test_whenever_a_removal_is_interrupted_every_page_has_its_record(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftover, "SLICE", 1)
    host.fill("a.example")
    catalog = Catalog(host.store, "a.example")
    catalog.append(b"/docs/", [Entry("/blog", 0o100644, origin="rendered")], {})
    host.store.set(page_key("a.example", b"/docs/blog"), b"rendered")
    item = catalog.site_item()
    assert item is not None
    pages = 0
    for number in leftover.remove_recorded(host.store, leftover.Leftover("a.example", item)):
        pages += number
        assert not orphans(host.store, catalog, "a.example", b"index.html")
    assert pages == 5
    assert host.keys("a.example") == {site_key("a.example")}


def test_a_mark_is_of_a_host_and_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = tmp_path / "machine-id"
    one = Path("/etc/memfis/memfis.toml")
    assert mark(one, identity) is None
    for nothing in ("", "uninitialized\n", "0" * 31, "é" * 32):
        identity.write_text(nothing)
        assert mark(one, identity) is None
    identity.write_text("0123456789abcdef" * 2 + "\n")
    ours = mark(one, identity)
    assert ours is not None
    assert len(ours) == 32
    assert ours == mark(Path("/etc/memfis/../memfis/memfis.toml"), identity)
    assert ours != mark(Path("/etc/memfis/other.toml"), identity)
    monkeypatch.chdir("/etc/memfis" if Path("/etc/memfis").exists() else "/")
    assert mark(Path("memfis.toml"), identity) == mark(Path.cwd() / "memfis.toml", identity)
    identity.write_text("fedcba9876543210" * 2 + "\n")
    assert ours != mark(one, identity)


def test_items_that_cannot_be_read_are_nobodys(host: Host) -> None:
    for name, value in (
        ("damaged.example", b"nonsense"),
        ("later.example", msgspec.json.encode(SiteItem(epoch="", layout=99))),
        ("..", b"{}"),
    ):
        host.store.set(b"memfis-site://" + name.encode(), value)
        host.store.set(directory_key(name, b"/"), encode_log([]))
    names = leftover.site_names(host.store)
    assert leftover.leftovers(host.store, names, ()) == []


def test_memory_off_takes_the_pages_out_whoever_marked_them_and_on_brings_them_back(
    host: Host,
) -> None:
    host.agent.start()
    before = host.keys("b.example")
    host.rewrite("b.example", installation=None)  # as version 0.1.0 left it
    host.agent.sites[1]["from_memory"] = "off"
    host.agent.reload()
    wait_for(lambda: not host.keys("b.example"), "its pages to go")
    assert host.agent.lines("b.example: memory is off", "4 pages removed")
    assert host.agent.lines("keeping a.example; memory is off of b.example")
    done = memfis("verify", "--config", host.agent.config)
    assert (done.returncode, "b.example: 0 compared, 0 differ" in done.stdout) == (0, True)
    host.fill("b.example")
    done = memfis("verify", "--config", host.agent.config, "--site", "b.example")
    assert done.returncode == 1
    assert "unconfigured memfis://b.example/docs/" in done.stdout
    done = memfis("sync", "--config", host.agent.config, "--site", "b.example")
    assert done.returncode == 2
    assert done.stderr == 'memfis: b.example has from_memory = "off": nothing to sync\n'
    done = memfis("verify", "--config", host.agent.config, "--http", "http://b.example:1/")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = memfis("doctor", "--config", host.agent.config)
    assert "b.example: memory: off" in done.stdout
    said = memfis("status", "--config", host.agent.config).stdout
    assert said.count("memory: off") == said.count("memory: read by memcached_pass") == 1
    del host.agent.sites[1]["from_memory"]
    host.agent.reload()
    wait_for(lambda: host.keys("b.example") == before, "it to be filled")
