"""`memfis_state: absent` of a host with a gateway: last of all, and not in CI (no time)."""

from pathlib import Path

from support.containers import container
from support.left import left, left_files
from support.plays import play

INVENTORY = Path(__file__).parents[1] / "inventory"
WEB = "web2.memfis-couchbase"


def test_a_gateway_goes_with_its_password():
    host = container(WEB)
    for _ in range(2):
        done = play(INVENTORY, f"--limit={WEB}", memfis_state="absent")
        assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout, done.stdout

    assert left_files(host) == []
    assert "memfis" not in host.check_output("ls /run")
    for kind in ("users", "groups"):
        assert left(host, kind) == set(), kind
    assert not [line for line in left(host, "units") if "memfis" in line]
    assert not host.run("pgrep --full 'memfi[s] gateway'").stdout
    assert host.check_output("systemctl --failed --no-legend --plain") == ""
