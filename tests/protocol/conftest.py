"""Servers of which nobody has asked anything yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.directory import reachable_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory
