"""The README's first command, and a playbook of one's own, word for word on a fresh machine."""

import shlex
import subprocess
import time
from pathlib import Path

import pytest

from hosts.machine import Machine
from support.printed import commands, files

DOCUMENT = Path(__file__).parents[2] / "docs" / "collection.md"
_ASK = (
    "python3 -c 'import sys, urllib.request;"
    'q = urllib.request.Request(sys.argv[1], headers=dict(zip(["Host"], sys.argv[2:])));'
    "a = urllib.request.urlopen(q);"
    'print(a.status, a.headers["X-Memfis"], "Served from memory" in a.read().decode())\' '
)


@pytest.mark.parametrize("machine", [True], indirect=True, ids=["systemd"])
def test_first_command_sets_up_the_machine(machine: Machine, first_command: str) -> None:
    done = machine.run(first_command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.run(_ASK + "http://localhost/").stdout == "200 HIT True\n"
    # Again, through a link and from a checkout that cannot be written to.
    script = "cd / && mount --bind -o ro /root/memfis /root/memfis"
    script += " && ln -s /root/memfis/deploy /usr/local/bin/memfis-deploy && memfis-deploy"
    again = machine.run(script)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed=0" in again.stdout


@pytest.mark.parametrize("machine", [True], indirect=True, ids=["systemd"])
def test_a_playbook_of_ones_own(machine: Machine) -> None:
    own = Machine(machine.name, "/root/own")
    script = "mkdir -p own/public && echo 'Served from memory' >own/public/index.html"
    script += " && git config --system url./opt/memfis.git.insteadOf"
    script += " https://git.example.org/memfis.git"
    assert Machine(machine.name).run(script).returncode == 0
    for name, text in files(DOCUMENT).items():
        assert own.run(f"mkdir -p {shlex.quote(str(Path(name).parent))}").returncode == 0
        own.write(f"{own.directory}/{name}", text.encode())
    # On this host it takes the place of the welcome page.
    own.write("/root/own/group_vars/memfis_web/instead.yml", b"memfis_sites_remove: true\n")
    install, vault = commands(DOCUMENT)[:2]
    # Where nothing was built yet.
    cache = "export XDG_CACHE_HOME=/root/own/.cache\n"
    done = own.run(cache + install)
    assert done.returncode == 0, done.stdout + done.stderr
    assert own.run(_ASK + "http://127.0.0.1/ www.example.org").stdout == "200 HIT True\n"
    # What the controller needs was there, or came with these.
    assert own.run("ls .venv/bin | grep -E '^(hatchling|molecule|memfis)'").stdout == ""
    again = own.run(cache + vault)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed=0" in again.stdout
    assert "battery" not in own.run("cat group_vars/memfis_web/vault.yml").stdout


@pytest.mark.parametrize("machine", [False], indirect=True, ids=["no-systemd"])
def test_first_command_without_systemd_serves_in_the_foreground(
    machine: Machine, first_command: str
) -> None:
    output = serve(machine, first_command, "http://127.0.0.1:8080/")
    assert "127.0.0.1:8080" in output
    # For others too, as a container's published port needs it.
    listening = "./deploy --listen 0.0.0.0:8081"
    serve(machine, listening, "http://$(hostname -i | cut -d' ' -f1):8081/")
    assert machine.run("ls /tmp").stdout == ""


def serve(machine: Machine, command: str, url: str) -> str:
    """Let `command` serve, ask at `url`, end it, and return what it printed."""
    serving = subprocess.Popen(
        machine.command(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        end = time.monotonic() + 600
        while serving.poll() is None and time.monotonic() < end:
            answer = machine.run(f"{_ASK}{url}").stdout
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
    return output
