"""A host of version 0.1.0, which site.yml has been run on while visitors came.

What prepare.yml and converge.yml wrote down: BEFORE, as version 0.1.0 left it; BACK, after a new
agent that did not start; AFTER, with today's. VISITS is every answer of all the time.
"""

import json
import time
from collections import namedtuple
from pathlib import Path

import pytest
import yaml

from support.containers import container
from support.plays import play as run_play

SCENARIO = Path(__file__).parents[1]
INVENTORY = SCENARIO / "inventory"
VARIABLES = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]["memfis_web"][
    "vars"
]

Visit = namedtuple("Visit", "began ended site path status source shown")

_FETCH = """
import http.client, json, sys
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
connection.request("GET", sys.argv[2], headers={"Host": sys.argv[1]})
answer = connection.getresponse()
print(json.dumps([answer.status, answer.getheader("X-Memfis"), answer.read().decode("latin-1")]))
"""


@pytest.fixture(scope="session")
def host():
    return container("upgrade.memfis")


@pytest.fixture(scope="session")
def fetch(host):
    """Return status, source (HIT or FALLBACK) and body of a page."""

    def fetch(path, site="docs.example.org"):
        return tuple(json.loads(host.check_output("python3 -c %s %s %s", _FETCH, site, path)))

    return fetch


@pytest.fixture(scope="session")
def eventually():
    """Wait until `ask` returns something true, and return it."""

    def eventually(ask, seconds=30):
        end = time.monotonic() + seconds
        while not (found := ask()) and time.monotonic() < end:
            time.sleep(0.3)
        return found

    return eventually


def noted(name):
    @pytest.fixture(scope="session", name=name)
    def read(host):
        return json.loads(host.check_output("cat /root/%s.json", name))

    return read


before, back, after = noted("before"), noted("back"), noted("after")


@pytest.fixture(scope="session")
def visits(host):
    lines = host.check_output("cat /root/visits.jsonl").splitlines()
    return [Visit(*json.loads(line)) for line in lines]


@pytest.fixture(scope="session")
def play():
    """Run the shipped playbook with other sites, as an administrator who edited the list."""

    def play(sites, *arguments):
        return run_play(INVENTORY, "--tags=configure,run", *arguments, memfis_sites=sites)

    return play


@pytest.fixture(scope="session")
def sites():
    """memfis_sites of the scenario."""
    return VARIABLES["memfis_sites"]
