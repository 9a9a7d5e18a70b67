"""Hosts that site.yml has set up: DokuWiki on one, WordPress on another, MediaWiki on the third."""

import os
import time

import pytest
import testinfra

ENGINE = os.environ.get("MOLECULE_ENGINE") or "podman"


@pytest.fixture(scope="session")
def wiki_host():
    return testinfra.get_host(f"{ENGINE}://wiki.memfis")


@pytest.fixture(scope="session")
def blog_host():
    return testinfra.get_host(f"{ENGINE}://blog.memfis")


@pytest.fixture(scope="session")
def lexicon_host():
    return testinfra.get_host(f"{ENGINE}://lexicon.memfis")


@pytest.fixture(scope="session")
def eventually():
    """Wait until `ask` returns something true, and return it."""

    def eventually(ask, seconds=15):
        end = time.monotonic() + seconds
        while not (found := ask()) and time.monotonic() < end:
            time.sleep(0.2)
        return found

    return eventually
