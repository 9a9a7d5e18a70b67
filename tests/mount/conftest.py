"""A store, and a site in it that is mounted."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from memfis.layout.keys import page_key, private_key
from memfis.layout.pages import Page, content_of
from memfis.settings.addresses import StoreAddress
from memfis.store import Store
from support.fixtures import directory as directory
from support.gateway import store_under_test
from support.memcached import Memcached
from support.mount import Mount

SITE = "site.example"


@pytest.fixture(autouse=True)
def fuse() -> None:
    """Do without these tests where the kernel lets nobody mount."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/fuse")


@pytest.fixture
def memcached(directory: Path) -> Iterator[Memcached]:
    """A store that says no when it is full, as one must that has the only copy."""
    memcached = store_under_test(directory, "-M")
    memcached.start()
    yield memcached
    memcached.end()


@dataclass
class Items:
    """The items of the site, as nginx and others see them."""

    store: Store

    def page(self, path: str | bytes) -> bytes | None:
        """Return what visitors get at `path`; None for nothing."""
        return self._content(page_key(SITE, os.fsencode(path)))

    def private(self, path: str | bytes) -> bytes | None:
        """Return what is kept for `path` but not published."""
        return self._content(private_key(SITE, os.fsencode(path)))

    def pages(self) -> set[str]:
        """Return the path of every page."""
        return self._paths(f"memfis://{SITE}")

    def privates(self) -> set[str]:
        """Return the path of every file that is kept but not published."""
        return self._paths(f"memfis-private://{SITE}")

    def _content(self, key: bytes) -> bytes | None:
        found = self.store.get(key)
        return content_of(Page(*found)) if found else None

    def _paths(self, prefix: str) -> set[str]:
        start = prefix.encode()
        return {os.fsdecode(k[len(start) :]) for k in self.store.all_keys() if k.startswith(start)}


@pytest.fixture
def items(memcached: Memcached) -> Iterator[Items]:
    store = Store(StoreAddress(os.fspath(memcached.socket)))
    yield Items(store)
    store.close()


Mounts = Callable[..., Mount]


@pytest.fixture
def new_mount(directory: Path, memcached: Memcached) -> Iterator[Mounts]:
    """Mount the site with flags, at a mount point called `name`."""
    with ExitStack() as stack:

        def mount(*flags: str, name: str = "m", site: str = SITE) -> Mount:
            made = Mount(directory, memcached.socket, *flags, name=name, site=site)
            stack.callback(made.end)
            made.start()
            return made

        yield mount


@pytest.fixture
def mount(new_mount: Mounts) -> Mount:
    return new_mount()


@pytest.fixture
def root(mount: Mount) -> Path:
    """The mount point."""
    return mount.path
