"""A store, and a web root to fill it from."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.errors import StoreError
from memfis.layout.keys import page_key, page_path
from memfis.layout.pages import Page, content_of, make_page
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site
from memfis.store import Item, Store
from memfis.sync import MaxDelete, Options, Report, sync
from memfis.sync.racy import TICK
from memfis.verify import Discrepancy, verify_webroot
from support.agent import Agent
from support.fixtures import directory as directory
from support.gateway import store_under_test
from support.memcached import Memcached

EVERYTHING = MaxDelete(100, percent=True)


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let tests in other processes, whose sites have the same name, have other locks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture
def memcached(directory: Path) -> Iterator[Memcached]:
    memcached = store_under_test(directory)
    memcached.start()
    yield memcached
    memcached.end()


@dataclass
class Filled:
    """A web root and the store it is synced to."""

    site: Site
    store: Store

    @property
    def root(self) -> Path:
        return Path(self.site.root)

    def sync(self, **options: object) -> Report:
        return sync(self.site, self.store, Options(**{"max_delete": EVERYTHING, **options}))  # type: ignore[arg-type]

    def flags(self) -> tuple[str, ...]:
        """Return the command line's flags that name this site."""
        return ("--root", self.site.root, "--name", self.site.name, "--store", self.site.store)

    def pages(self) -> set[bytes]:
        """Return the path of every page in the store."""
        prefix = b"memfis://" + self.site.name.encode()
        return {key.removeprefix(prefix) for key in self.store.all_keys() if key.startswith(prefix)}

    def lie(self, name: str, content: bytes) -> None:
        """Have the store hold `content` as the page of the root's file `name`, and its record so.

        Only the content of the file tells then that it is another one, as on a file system that
        shows no change.
        """
        made = make_page(name.encode(), content, self.site.compression)
        path = page_path(b"/", name.encode(), self.site.index_name)
        self.store.set_many([Item(page_key(self.site.name, path), made.value, made.flags)], 0)
        catalog = Catalog(self.store, self.site.name)
        [log] = catalog.logs([b"/"])
        assert log is not None
        assert catalog.log(b"/").append([replace(log.entries[name], flags=made.flags)]).done

    def content(self, path: bytes) -> bytes | None:
        """Return the page at `path` as a browser sees it; None while there is none."""
        try:
            found = self.store.get(page_key(self.site.name, path))
        except StoreError:
            return None
        return content_of(Page(*found)) if found else None

    def discrepancies(self) -> list[Discrepancy]:
        """Return what `memfis verify` finds."""
        return [
            each.discrepancy for each in verify_webroot(self.site, self.store) if each.discrepancy
        ]

    def is_equal(self) -> bool:
        """Return whether the store is there and equal to the web root."""
        try:
            return not self.discrepancies()
        except StoreError:
            return False


@pytest.fixture
def filled(directory: Path, memcached: Memcached) -> Iterator[Filled]:
    """A small web root, not synced yet."""
    root = directory / "root"
    (root / "docs").mkdir(parents=True)
    (root / "index.html").write_text("front page")
    (root / "docs" / "index.html").write_text("<p>documentation</p>" * 100)
    (root / "docs" / "logo.png").write_bytes(bytes(range(256)) * 4)
    site = Site(name="site.example", root=str(root), store=f"memcached://{memcached.socket}")
    store = Store(StoreAddress.parse(site.store))
    yield Filled(site, store)
    store.close()


def settle() -> None:
    """Wait until a change of a file would show in its times."""
    time.sleep(2 * TICK / 1e9)


class Agents:
    """Makes agents for a site, and ends them."""

    def __init__(self, filled: Filled) -> None:
        self._filled = filled
        self._made: list[Agent] = []

    def __call__(
        self,
        *,
        site: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
        name: str = "agent",
        prefix: Sequence[str | Path] = (),
        env: Mapping[str, str] | None = None,
    ) -> Agent:
        """Return an agent that can be started; `site` and `settings` are more of its settings."""
        filled = self._filled
        everywhere = {"store": filled.site.store, **(settings or {})}
        only = {"name": filled.site.name, "root": filled.site.root, "lease": 3600, **(site or {})}
        agent = Agent(filled.root.parent, everywhere, [only], name=name, prefix=prefix, env=env)
        self._made.append(agent)
        return agent

    def end(self) -> None:
        """End them all; none may have shown what is for programmers only."""
        for agent in self._made:
            agent.end()
        for agent in self._made:
            assert "Traceback" not in agent.said()
            assert "Errno" not in agent.said()


@pytest.fixture
def new_agent(filled: Filled) -> Iterator[Agents]:
    """Make agents for the web root of `filled`."""
    agents = Agents(filled)
    yield agents
    agents.end()


@pytest.fixture
def agent(new_agent: Agents) -> Agent:
    """Return an agent that has synced the site."""
    agent = new_agent()
    agent.start()
    return agent
