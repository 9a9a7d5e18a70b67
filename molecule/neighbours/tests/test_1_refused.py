"""What is in the way before the first play: one line says what, and nginx is as before."""

import re
from contextlib import contextmanager

import pytest

from support.plays import told

APACHE = "/etc/apache2/ports.conf"


@pytest.fixture(autouse=True)
def nginx_as_before(host, fetch):
    """Whatever happens, nginx goes on with the sites that it had."""
    before = host.check_output("systemctl show --property=MainPID nginx; ls -lR /etc/nginx")
    yield
    after = host.check_output("systemctl show --property=MainPID nginx; ls -lR /etc/nginx")
    assert after == before
    assert fetch("foreign", 8081) == ("", "foreign")


@contextmanager
def instead(host, path, command):
    """Let the shell `command` make something else of a file, and give it back in the end."""
    host.check_output("cp --archive %s /root/instead", path)
    host.check_output(command)
    try:
        yield
    finally:
        # In place: an engine has mounted some.
        host.check_output("cat /root/instead > %s", path)


def test_apache_holds_the_port(host, play):
    done = play()
    assert done.returncode != 0
    assert re.search(
        r"memfis_sites\[0\]\.listen: '80': apache2 \(process \d+, apache2\.service\) listens there;"
        " stop it, or let the site listen elsewhere",
        told(done),
    )
    assert "changed=0" in done.stdout
    assert not host.file("/opt/memfis").exists


def test_no_python(host, play):
    host.check_output("mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        done = play()
    finally:
        host.check_output("mv /usr/bin/python3.away /usr/bin/python3")
    assert done.returncode != 0
    assert (
        "The module interpreter '/usr/bin/python3' was not found. Ansible needs Python on"
        " neighbours.memfis: apt-get install python3 python3-apt"
    ) in told(done)


def test_apache_beside_it_is_no_trouble(host):
    """Nothing of what follows stops for it."""
    host.check_output(f"sed --in-place 's/^Listen 80$/Listen 8080/' {APACHE}")
    host.check_output("systemctl restart apache2")
    assert (
        host.socket("tcp://0.0.0.0:8080").is_listening or host.socket("tcp://:::8080").is_listening
    )


def test_no_name_resolves(host, play):
    with instead(host, "/etc/resolv.conf", "echo nameserver 127.0.0.2 >/etc/resolv.conf"):
        done = play()
    assert done.returncode != 0
    assert re.search(
        r"Packages could not be installed: Temporary failure resolving '[\w.]+': see to the host's"
        r" name resolution \(/etc/resolv\.conf\), and run the play again",
        told(done),
    )


def test_the_disk_is_full(host, play):
    archives = "/var/cache/apt/archives"
    host.check_output("apt-get clean")
    host.check_output("mount --types tmpfs --options size=64k none %s", archives)
    try:
        done = play()
    finally:
        host.check_output("umount %s", archives)
    assert done.returncode != 0
    assert (
        f"Packages could not be installed: You don't have enough free space in {archives}/: make"
        " room on the host's disk, and run the play again"
    ) in told(done)


HOLD = """
import fcntl, time
files = [open(f"/var/lib/{name}", "w") for name in ("apt/lists/lock", "dpkg/lock-frontend")]
for file in files:
    fcntl.lockf(file, fcntl.LOCK_EX)
time.sleep(600)
"""


def test_apt_is_locked(host, play):
    host.check_output("systemd-run --unit=upgrades python3 -c %s", HOLD)
    try:
        done = play(memfis_apt_wait=1)
    finally:
        host.check_output("systemctl stop upgrades")
    assert done.returncode != 0
    assert re.search(
        r"Packages could not be installed: Could not get lock /var/lib/apt/lists/lock\. It is held"
        r" by process \d+ \(python3\): wait until it is done, or let plays wait for longer"
        r" \(memfis_apt_wait\), and run the play again",
        told(done),
    )
