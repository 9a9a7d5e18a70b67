"""What stands on the host that keeps the pages."""

import json

import pytest

from support.containers import container

_ASK = """
import base64, json, sys, urllib.request
user, password, path = sys.argv[1:]
request = urllib.request.Request("http://127.0.0.1:8091" + path)
coded = base64.b64encode(f"{user}:{password}".encode()).decode()
request.add_header("Authorization", "Basic " + coded)
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


@pytest.fixture(scope="module")
def host():
    return container("store.memfis-couchbase")


@pytest.fixture(scope="module")
def ask(host):
    def ask(path, user="Administrator", password="correct horse"):
        return json.loads(host.check_output("python3 -c %s %s %s %s", _ASK, user, password, path))

    return ask


def test_the_package_file_was_installed_and_its_service_runs(host):
    assert host.package("couchbase-server-community").version == "8.0.0-3777"
    service = host.service("couchbase-server")
    assert service.is_running
    assert service.is_enabled


def test_nothing_has_failed(host):
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


def test_the_cluster_is_what_the_inventory_says(ask):
    told = ask("/pools/default")
    assert (told["clusterName"], told["memoryQuota"]) == ("memfis", 512)
    assert [node["hostname"] for node in told["nodes"]] == ["store.memfis-couchbase:8091"]


def test_the_bucket_is_what_the_inventory_says(ask):
    told = ask("/pools/default/buckets/memfis")
    assert (told["bucketType"], told["storageBackend"]) == ("membase", "couchstore")
    assert (told["quota"]["rawRAM"], told["replicaNumber"]) == (256 * 2**20, 0)
    # Nobody may empty it with one request.
    assert "flush" not in told["controllers"]


def test_the_user_of_the_gateways_may_use_the_bucket(ask):
    assert ask("/whoami", "memfis", "battery-staple")["id"] == "memfis"
    roles = ask("/settings/rbac/users/local/memfis")["roles"]
    assert [(role["role"], role["bucket_name"]) for role in roles] == [
        ("bucket_full_access", "memfis")
    ]


def test_no_password_is_in_the_journal(host):
    journal = host.check_output("journalctl --no-pager --output=cat")
    assert "ram_quota=256" in journal  # Ansible notes what modules are called with
    assert "correct horse" not in journal
    assert "battery-staple" not in journal


def test_the_kernel_is_told_at_boot(host):
    assert host.file("/etc/sysctl.d/60-memfis-couchbase.conf").contains("^vm.swappiness=1$")
    assert host.file("/etc/tmpfiles.d/memfis-couchbase.conf").contains("never$")
