"""A site of a real memcached, really mounted."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import seeds
from conformance.memory import in_memory
from support.fixtures import directory as directory
from support.memcached import Memcached
from support.mount import Mount

SITE = "c.example"


def pytest_report_header(config: pytest.Config) -> str:
    return seeds.header()


@pytest.fixture(autouse=True)
def fuse() -> None:
    """Do without these tests where nobody can mount."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/fuse, and root for all that is compared")


@pytest.fixture
def memory() -> Iterator[Path]:
    with in_memory() as directory:
        yield directory


@pytest.fixture
def memcached(directory: Path) -> Iterator[Memcached]:
    memcached = Memcached(directory, "-M")
    memcached.start()
    yield memcached
    memcached.end()


@pytest.fixture
def mount(directory: Path, memcached: Memcached) -> Iterator[Mount]:
    mount = Mount(directory, memcached.socket, site=SITE)
    mount.start()
    yield mount
    mount.end()
