"""A store, and a web root to fill it from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from memfis.config import Site, StoreAddress
from memfis.store import Store
from memfis.sync import MaxDelete, Options, Report, sync
from support.directory import reachable_directory
from support.memcached import Memcached

EVERYTHING = MaxDelete(100, percent=True)


@pytest.fixture
def directory() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture
def memcached(directory: Path) -> Iterator[Memcached]:
    memcached = Memcached(directory)
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
