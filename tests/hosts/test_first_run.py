"""The README's first command, word for word, on a fresh machine."""

import subprocess
import time

import pytest

from hosts.machine import Machine

_ASK = (
    "python3 -c 'import sys, urllib.request; a = urllib.request.urlopen(sys.argv[1]);"
    'print(a.status, a.headers["X-Memfis"], "Served from memory" in a.read().decode())\' '
)


@pytest.mark.parametrize("machine", [True], indirect=True, ids=["systemd"])
def test_first_command_sets_up_the_machine(machine: Machine, first_command: str) -> None:
    done = machine.run(first_command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.run(_ASK + "http://localhost/").stdout == "200 HIT True\n"
    again = machine.run("cd /root/memfis && ./deploy")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed=0" in again.stdout


@pytest.mark.parametrize("machine", [False], indirect=True, ids=["no-systemd"])
def test_first_command_without_systemd_serves_in_the_foreground(
    machine: Machine, first_command: str
) -> None:
    serving = subprocess.Popen(
        machine.command(first_command),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        end = time.monotonic() + 600
        while serving.poll() is None and time.monotonic() < end:
            answer = machine.run(_ASK + "http://127.0.0.1:8080/").stdout
            if answer:
                break
            time.sleep(1)
        assert serving.poll() is None, serving.communicate()[0]
        assert answer == "200 HIT True\n"
        # Nothing else was started by the packages that it needed.
        assert machine.run("grep -sx memcached /proc/[0-9]*/comm | wc -l").stdout == "1\n"
    finally:
        # What Ctrl-C does: the whole foreground is told.
        machine.run("kill -INT $(grep -lsxzE 'serve|./deploy' /proc/[0-9]*/cmdline | cut -d/ -f3)")
        output = serving.communicate(timeout=60)[0]
    assert "127.0.0.1:8080" in output
    assert machine.run("ls /tmp").stdout == ""
