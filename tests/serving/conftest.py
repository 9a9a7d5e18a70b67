"""A web for every test of serving."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.directory import reachable_directory
from support.nginx import Web
from support.php import PhpFpm


@pytest.fixture
def directory() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture
def web(directory: Path) -> Iterator[Web]:
    """A store and an nginx, not started yet: add sites first."""
    web = Web(directory)
    yield web
    web.end()


@pytest.fixture
def php(directory: Path) -> Iterator[PhpFpm]:
    """A running php-fpm."""
    php = PhpFpm(directory)
    php.start()
    yield php
    php.end()
