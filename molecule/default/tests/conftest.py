"""A host set up by site.yml, asked from inside, so that any engine and network will do."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from support.containers import ENGINE, container
from support.plays import play as run_play

SCENARIO = Path(__file__).parents[1]
INVENTORY = SCENARIO / "inventory"
VARIABLES = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]["memfis_web"][
    "vars"
]
DISTRIBUTION = os.environ.get("MOLECULE_DISTRO") or "debian:12"
# As inventory/hosts.py has it.
NAME = "memfis-" + DISTRIBUTION.replace(":", "-")

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
    return container(NAME)


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


@pytest.fixture
def reboot(host, eventually):
    """Shut the host down, and start it again; meanwhile files on it get other contents."""

    def reboot(files):
        subprocess.run([ENGINE, "stop", "--time=60", NAME], check=True)
        for path, content in files.items():
            subprocess.run([ENGINE, "cp", content, f"{NAME}:{path}"], check=True)
        subprocess.run([ENGINE, "start", NAME], check=True)
        # nginx is started after the store.
        assert eventually(lambda: host.run("systemctl is-active nginx").rc == 0, 60)

    return reboot


# As Prometheus would, with a user's groups: ADDRESS is a path or a port.
_METRICS = """
import http.client, socket, sys
connection = http.client.HTTPConnection("127.0.0.1", timeout=10)
address = sys.argv[1]
if address.isdigit():
    connection.sock = socket.create_connection(("127.0.0.1", int(address)), 10)
else:
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(address)
connection.request("GET", "/metrics")
answer = connection.getresponse()
print(answer.read().decode())
sys.exit(answer.status != 200)
"""


@pytest.fixture(scope="session")
def ask_metrics(host):
    """Ask the agent for its figures, as `nobody` in `group`; returns the finished command."""

    def ask(group="memfis", address="/run/memfis/metrics.sock"):
        return host.run(
            "runuser -u nobody -g %s -- python3 -c %s %s", group, _METRICS, str(address)
        )

    return ask


@pytest.fixture(scope="session")
def metrics(ask_metrics):
    """Return the agent's figures by name and labels."""

    def metrics():
        done = ask_metrics()
        assert done.rc == 0, done.stderr
        lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    return metrics


@pytest.fixture(scope="session")
def agent(host):
    """Return a property of the agent's unit, as systemd has it."""

    def agent(name):
        return host.check_output("systemctl show --property=%s --value memfis-agent", name)

    return agent


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
    """memfis_sites of the scenario, without the content, a third of a play: that is there already.

    Copying it is tested by molecule's own plays, and with a small site in test_zz_changes.py.
    """
    listed = VARIABLES["memfis_sites"]
    return [{key: site[key] for key in site if key != "src"} for site in listed]


@pytest.fixture(scope="session")
def play():
    """Run the shipped playbook with other sites, as an administrator who edited the list."""

    def play(sites, *arguments):
        names = {site.get("name") or site["server_names"][0] for site in sites}
        mounts = [mount for mount in VARIABLES["memfis_mounts"] if mount["site"] in names]
        variables = {"memfis_sites": sites, "memfis_mounts": mounts}
        return run_play(INVENTORY, "--tags=configure,run", *arguments, **variables)

    return play
