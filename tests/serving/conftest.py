"""A web for every test of serving."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fixtures import directory as directory
from support.fixtures import web as web
from support.php import PhpFpm


@pytest.fixture
def php(directory: Path) -> Iterator[PhpFpm]:
    """A running php-fpm."""
    php = PhpFpm(directory)
    php.start()
    yield php
    php.end()
