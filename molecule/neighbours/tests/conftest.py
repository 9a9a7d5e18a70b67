"""A host that is somebody's own. The tests run the plays, in the order of the files' names."""

from pathlib import Path

import pytest

from support.containers import container
from support.plays import play as run_play

INVENTORY = Path(__file__).parents[1] / "inventory"

_FETCH = """
import sys, urllib.request
host, port = sys.argv[1:]
request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host})
answer = urllib.request.urlopen(request, timeout=10)
print(answer.headers["X-Memfis"] or "", answer.read().decode())
"""


@pytest.fixture(scope="session")
def host():
    return container("neighbours.memfis")


@pytest.fixture(scope="session")
def fetch(host):
    """Return HIT, FALLBACK or nothing, and the page at `/`."""

    def fetch(name, port=80):
        source, _, page = host.check_output(
            "python3 -c %s %s %s", _FETCH, name, str(port)
        ).partition(" ")
        return source, page

    return fetch


@pytest.fixture(scope="session")
def play():
    """Run the shipped playbook on the host."""

    def play(*arguments, **variables):
        return run_play(INVENTORY, *arguments, **variables)

    return play
