"""Filesystems without a mount, over a real memcached."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from memfis.config import Site, StoreAddress
from memfis.filesystem import Filesystem
from memfis.store import Store
from support.directory import reachable_directory
from support.memcached import Memcached

_numbers = itertools.count()


@pytest.fixture(scope="session")
def memcached() -> Iterator[Memcached]:
    with reachable_directory() as directory:
        memcached = Memcached(directory, "-M")
        memcached.start()
        yield memcached
        memcached.end()


@pytest.fixture
def new_site(memcached: Memcached) -> Callable[[], Site]:
    """Return what makes a site that nobody has mounted yet."""

    def make() -> Site:
        name = f"{next(_numbers)}.example"
        return Site(name=name, source="store", store=f"memcached://{memcached.socket}")

    return make


@pytest.fixture
def mount() -> Iterator[Callable[[Site], Filesystem]]:
    """Return what opens a site as a mount does; closed in the end."""
    opened = []

    def make(site: Site) -> Filesystem:
        store = Store(StoreAddress.parse(site.store))
        filesystem = Filesystem(store, site, timeout=0.05)
        filesystem.start(Caller(os.geteuid(), os.getegid()))
        opened.append(filesystem)
        return filesystem

    yield make
    for filesystem in opened:
        filesystem.close()
