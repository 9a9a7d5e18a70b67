"""The role memfis_couchbase as ansible-playbook runs it, on this machine, over REST alone."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.couchbase_rest import Servers

ROOT = Path(__file__).parents[2]
ROLE = "memfis.memfis.memfis_couchbase"
PASSWORDS = {
    "memfis_couchbase_admin_password": "correct horse of the plays",
    "memfis_couchbase_password": "battery staple of the plays",
}
"""Nobody else's: other tests may run a document's commands beside these."""


@dataclass
class Site:
    """An inventory whose store hosts are machines of a stand-in."""

    directory: Path
    servers: Servers
    variables: dict[str, Any] = field(default_factory=dict)

    def play(self, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run the role, and return what it printed."""
        hosts = {
            f"store{number}": {
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
                "memfis_couchbase_address": host,
                "memfis_couchbase_url": self.servers.url(host),
            }
            for number, host in enumerate(self.servers.world.machines, 1)
        }
        given = {
            **{"memfis_couchbase_install": False, "memfis_couchbase_manage_cluster": True},
            **{"memfis_couchbase_wait": 20, **PASSWORDS, **self.variables, **variables},
        }
        inventory = {"memfis_store": {"hosts": hosts, "vars": given}}
        (self.directory / "inventory.yml").write_text(yaml.safe_dump(inventory))
        play = {"hosts": "memfis_store", "gather_facts": False, "roles": [ROLE]}
        (self.directory / "play.yml").write_text(yaml.safe_dump([play]))
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                *("--inventory", "inventory.yml", "play.yml", *arguments),
            ],
            cwd=self.directory,
            env=os.environ
            | {
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "1",
                "ANSIBLE_HOME": str(self.directory / "ansible"),
                "ANSIBLE_LOG_PATH": str(self.directory / "log"),
                "LC_ALL": "C.UTF-8",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture
def site(tmp_path: Path, servers: Callable[..., Servers]) -> Callable[..., Site]:
    return lambda *args, **world: Site(tmp_path, servers(*args, **world))


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """Return how many tasks changed something, on all hosts."""
    assert done.returncode == 0, done.stdout
    recap = done.stdout.partition("PLAY RECAP")[2]
    return sum(int(word.removeprefix("changed=")) for word in recap.split() if "changed=" in word)


def test_a_cluster_is_made_once_and_no_password_is_shown(site: Callable[..., Site]) -> None:
    it = site(3)
    planned = it.play("--check")
    assert changed(planned) > 0
    assert it.servers.written == []
    first = it.play("-vvv")
    assert changed(first) > 0
    written = len(it.servers.written)
    again = it.play()
    assert changed(again) == 0
    assert len(it.servers.written) == written
    # One cluster of three, one rebalance, a replica, failover.
    machine = next(iter(it.servers.world.machines.values()))
    assert machine.cluster is not None
    assert [m.membership for m in machine.cluster.machines] == ["active"] * 3
    assert len(it.servers.wrote("/controller/rebalance")) == 1
    assert machine.cluster.buckets["memfis"].replicas == 1
    assert machine.cluster.failover["timeout"] == 120
    assert machine.cluster.users["memfis"].roles == ["bucket_full_access[memfis]"]
    log = (it.directory / "log").read_text()
    for secret in PASSWORDS.values():
        assert secret not in planned.stdout + first.stdout + again.stdout + log


def test_what_changes_is_changed_and_only_that(site: Callable[..., Site]) -> None:
    it = site(1)
    assert changed(it.play()) > 0
    written = len(it.servers.written)
    users = [{"name": "reports", "password": "a third one", "roles": ["ro_admin"]}]
    done = it.play(
        memfis_couchbase_memory=2048,
        memfis_couchbase_bucket_memory=1024,
        memfis_couchbase_password="another one",
        memfis_couchbase_users=users,
    )
    assert changed(done) > 0
    assert "another one" not in done.stdout
    assert [(path, form) for _, path, form in it.servers.written[written:]] == [
        ("/pools/default", {"memoryQuota": "2048"}),
        ("/pools/default/buckets/memfis", {"ramQuota": "1024"}),
        (
            "/settings/rbac/users/local/memfis",
            {"roles": "bucket_full_access[memfis]", "password": "another one"},
        ),
        (
            "/settings/rbac/users/local/reports",
            {"roles": "ro_admin", "password": "a third one"},
        ),
    ]


def test_a_node_that_is_added_later_joins(site: Callable[..., Site]) -> None:
    it = site(2)
    assert changed(it.play("--limit", "store1")) > 0
    done = it.play()
    assert changed(done) == 1
    assert len(it.servers.wrote("/controller/addNode")) == 1


def test_an_existing_cluster_gets_bucket_and_user_only(site: Callable[..., Site]) -> None:
    it = site(1, enterprise=True)
    assert changed(it.play(memfis_couchbase_edition="enterprise")) > 0
    written = len(it.servers.written)
    done = it.play(
        memfis_couchbase_manage_cluster=False,
        memfis_couchbase_edition="enterprise",
        memfis_couchbase_memory=4096,
        memfis_couchbase_cluster_name="ours",
        memfis_couchbase_bucket="second",
        memfis_couchbase_bucket_memory=128,
        memfis_couchbase_user="second",
    )
    assert changed(done) == 2
    paths = [path for _, path, _ in it.servers.written[written:]]
    assert paths == ["/pools/default/buckets", "/settings/rbac/users/local/second"]
    form = it.servers.written[-1][2]
    assert form["roles"] == "data_reader[second],data_writer[second]"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"memfis_couchbase_replicas": 3}, "3 need 4 nodes, and memfis_store has 1"),
        ({"memfis_couchbase_admin_password": ""}, "a password of 6 characters or more"),
        ({"memfis_couchbase_edition": "enterprise"}, "runs the community edition"),
        ({"memfis_couchbase_memory": "plenty"}, "memfis_couchbase_memory"),
        (
            {"memfis_couchbase_install": True, "memfis_couchbase_minimum_memory": 10**9},
            "too little",
        ),
    ],
    ids=["replicas", "password", "edition", "type", "memory"],
)
def test_what_is_refused_is_said_before_anything_is_written(
    site: Callable[..., Site], variables: dict[str, Any], said: str
) -> None:
    it = site(1)
    done = it.play(**variables)
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split()), done.stdout
    assert it.servers.written == []


def test_what_couchbase_refuses_is_said_once(site: Callable[..., Site]) -> None:
    it = site(1)
    assert changed(it.play()) > 0
    wrong = it.play(memfis_couchbase_admin_password="tr0ub4dor")
    assert wrong.returncode != 0
    assert "refuses the user 'Administrator': wrong name or password" in wrong.stdout
    assert "tr0ub4dor" not in wrong.stdout
    other = it.play(memfis_couchbase_bucket_type="ephemeral", memfis_couchbase_eviction="")
    assert other.returncode != 0
    assert "is there as couchbase, not ephemeral" in other.stdout
    users = [{"name": "x", "password": "mellon mellon", "roles": ["bucket_full_access[absent]"]}]
    unknown = it.play(memfis_couchbase_users=users)
    assert unknown.returncode != 0
    assert "unknown, malformed" in unknown.stdout
    assert "mellon" not in unknown.stdout


def test_no_password_is_on_a_command_line(site: Callable[..., Site]) -> None:
    """Whoever lists processes while the play runs sees none."""
    it = site(1, seconds=3)
    seen = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for process in filter(str.isdigit, os.listdir("/proc")):
                # It may have ended since: whatever the kernel says of that, the others count.
                with contextlib.suppress(OSError):
                    seen.append(Path(f"/proc/{process}/cmdline").read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert changed(it.play()) > 0
    finally:
        over.set()
        watcher.join()
    lines = set(seen)
    assert any(b"ansible-playbook" in line for line in lines)
    for secret in PASSWORDS.values():
        assert [line for line in lines if secret.encode() in line] == []
    assert json.dumps(it.servers.written).count("correct horse") == 1
