"""Fixtures that several directories of tests have: a conftest.py imports those that it wants."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.directory import reachable_directory
from support.nginx import Web


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that servers may read and write."""
    with reachable_directory() as directory:
        yield directory


@pytest.fixture
def web(directory: Path) -> Iterator[Web]:
    """A store and an nginx, not started yet: add sites first."""
    web = Web(directory)
    yield web
    web.end()
