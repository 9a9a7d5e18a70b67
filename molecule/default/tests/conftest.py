"""A host set up by site.yml, asked from inside, so that any engine and network will do."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import testinfra
import yaml

SCENARIO = Path(__file__).parents[1]
ROOT = SCENARIO.parents[1]
INVENTORY = SCENARIO / "inventory"
ENGINE = os.environ.get("MOLECULE_ENGINE") or "podman"

# http.client sends the path as it is, which curl and requests do not.
_FETCH = """
import http.client, json, ssl, sys
scheme, port, method, path, headers = json.loads(sys.argv[1])
if scheme == "https":
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
else:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
connection.request(method, path, headers=headers)
answer = connection.getresponse()
body = answer.read()
print(json.dumps([answer.status, dict((k.lower(), v) for k, v in answer.getheaders()),
                  body.decode("latin-1")]))
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def source(self):
        """HIT or FALLBACK."""
        return self.headers.get("x-memfis")


@pytest.fixture(scope="session")
def host():
    return testinfra.get_host(f"{ENGINE}://memfis-web")


@pytest.fixture(scope="session")
def fetch(host):
    def fetch(path, name="docs.example.org", *, method="GET", scheme="http", port=None, **headers):
        port = port or (443 if scheme == "https" else 80)
        request = json.dumps([scheme, port, method, path, {"Host": name, **headers}])
        done = host.run("python3 -c %s %s", _FETCH, request)
        assert done.rc == 0, done.stderr
        status, answered, body = json.loads(done.stdout)
        return Answer(status, answered, body.encode("latin-1"))

    return fetch


@pytest.fixture(scope="session")
def eventually():
    """Wait until `ask` returns something true, and return it."""

    def eventually(ask, seconds=15):
        end = time.monotonic() + seconds
        while True:
            found = ask()
            if found or time.monotonic() > end:
                return found
            time.sleep(0.3)

    return eventually


@pytest.fixture(scope="session")
def sites():
    """memfis_sites of the scenario."""
    inventory = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
    return inventory["all"]["children"]["memfis_web"]["vars"]["memfis_sites"]


@pytest.fixture(scope="session")
def play():
    """Run the shipped playbook with other sites, as an administrator who edited the list."""

    def play(sites, *arguments):
        return subprocess.run(
            [
                "ansible-playbook",
                f"--inventory={INVENTORY}",
                "site.yml",
                "--tags=configure,run",
                f"--extra-vars={json.dumps({'memfis_sites': sites})}",
                *arguments,
            ],
            cwd=ROOT,
            env=os.environ
            | {
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_FORCE_COLOR": "0",
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            },
            # Molecule has Ansible print failures to stderr.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return play
