"""Hosts that site.yml has set up: DokuWiki on one, WordPress on another, MediaWiki on the third."""

import time

import pytest

from support.containers import container


@pytest.fixture(scope="session")
def wiki_host():
    return container("wiki.memfis")


@pytest.fixture(scope="session")
def blog_host():
    return container("blog.memfis")


@pytest.fixture(scope="session")
def lexicon_host():
    return container("lexicon.memfis")


@pytest.fixture(scope="session")
def eventually():
    """Wait until `ask` returns something true, and return it."""

    def eventually(ask, seconds=15):
        end = time.monotonic() + seconds
        while not (found := ask()) and time.monotonic() < end:
            time.sleep(0.2)
        return found

    return eventually
