"""Filesystems without a mount, over a real memcached."""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conformance import seeds
from memfis.filesystem import Caller, Filesystem, open_site
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site
from memfis.store import Store
from support.directory import reachable_directory
from support.memcached import Memcached

_numbers = itertools.count()

Mount = Callable[..., Filesystem]


def pytest_report_header(config: pytest.Config) -> str:
    return seeds.header()


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
def site(new_site: Callable[[], Site]) -> Site:
    return new_site()


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Return what opens a site as a mount does; they are closed in the end."""
    opened = []
    stores = []

    def make(site: Site, **more: Any) -> Filesystem:
        store = Store(StoreAddress.parse(site.store))
        stores.append(store)
        caller = Caller(os.geteuid(), os.getegid())
        filesystem = open_site(store, site, caller, **{"timeout": 0.05, **more})
        opened.append(filesystem)
        return filesystem

    yield make
    for filesystem in opened:
        filesystem.close()
    for store in stores:
        store.close()
