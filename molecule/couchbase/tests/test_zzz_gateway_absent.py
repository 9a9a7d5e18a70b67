"""`memfis_state: absent` of a host with a gateway: last of all, and not in CI (no time)."""

import os
import subprocess
from pathlib import Path

import testinfra

from support.left import left, left_files

ENGINE = os.environ.get("MOLECULE_ENGINE") or "podman"
SCENARIO = Path(__file__).parents[1]
WEB = "web2.memfis-couchbase"


def test_a_gateway_goes_with_its_password():
    host = testinfra.get_host(f"{ENGINE}://{WEB}")
    for _ in range(2):
        done = subprocess.run(
            [
                *("ansible-playbook", f"--inventory={SCENARIO / 'inventory'}", "site.yml"),
                *(f"--limit={WEB}", "--extra-vars=memfis_state=absent"),
            ],
            cwd=SCENARIO.parents[1],
            env=os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(done.stdout)  # pytest shows it where the test fails
        assert done.returncode == 0
    assert "changed=0" in done.stdout

    assert left_files(host) == []
    assert "memfis" not in host.check_output("ls /run")
    for kind in ("users", "groups"):
        assert left(host, kind) == set(), kind
    assert not [line for line in left(host, "units") if "memfis" in line]
    assert not host.run("pgrep --full 'memfi[s] gateway'").stdout
    assert host.check_output("systemctl --failed --no-legend --plain") == ""
