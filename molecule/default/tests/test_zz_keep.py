"""A store that keeps its memory (memfis_store_keep): over restarts, and not where it must not."""

import pytest

FILES = "files.example.org"
KEPT = "/var/lib/memfis/kept"
KEEP = "--extra-vars=memfis_store_keep=true"
STARTED = "/run/memfis-store/start.txt"

# Items that were written since the store was started; it counts them anew each time.
_WRITTEN = """
import re, socket
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect("/run/memfis-store/memcached.sock")
s.sendall(b"stats\\r\\n")
answer = b""
while not answer.endswith(b"END\\r\\n"):
    answer += s.recv(65536)
print(re.search(rb"cmd_set (\\d+)", answer)[1].decode())
"""


def remount(host):
    """Begin anew with a site that the store has lost."""
    host.check_output("systemctl restart memfis-mount-files.example.org")


@pytest.fixture(scope="module", autouse=True)
def kept(host, play, sites):
    """A host that keeps the store's memory; a site's file is in the store alone."""
    done = play(sites, KEEP)
    assert done.returncode == 0, done.stdout
    remount(host)
    host.check_output("echo kept > /srv/files/kept.html")


@pytest.fixture
def is_right(host, fetch, eventually):
    """Whether the site is in memory and nothing else is, and how much was sent for it at most."""

    def is_right(sent=None):
        assert eventually(lambda: fetch("/library/os.html").source == "HIT", 60)
        verified = host.run("runuser -u memfis -- memfis verify")
        assert verified.rc == 0, verified.stdout
        if sent is not None:
            assert int(host.check_output("python3 -c %s", _WRITTEN)) <= sent

    return is_right


def took_all(host, fetch):
    """Assert that the store has what it had, also of the site that is nowhere else."""
    assert host.file(STARTED).content_string.startswith("memory kept: ")
    answer = fetch("/kept.html", FILES)
    assert (answer.source, answer.body) == ("HIT", b"kept\n")
    assert host.check_output("ls %s", KEPT) == ""


def test_memory_is_the_stores_alone(host, is_right):
    is_right()
    assert "--memory-file=" in host.check_output("pgrep --full --list-full memcached")
    for path in ("/run/memfis-memory", KEPT):
        directory = host.file(path)
        assert (directory.user, directory.mode) == ("memcache", 0o700)
    assert host.file("/run/memfis-memory/memory").mode & 0o077 == 0
    gates = host.file("/run/memfis-gates")
    assert (gates.user, gates.group, gates.mode) == ("memfis", "www-data", 0o750)


def test_restart(host, fetch, is_right):
    host.check_output("systemctl restart memfis-memcached")
    took_all(host, fetch)
    is_right(sent=10)


def test_reboot(host, fetch, is_right, reboot, tmp_path):
    changed = tmp_path / "changed.html"
    changed.write_text("<p>while it was down</p>")
    changed.chmod(0o644)
    reboot({"/srv/www/docs/index.html": changed})
    took_all(host, fetch)
    assert fetch("/").body == b"<p>while it was down</p>"
    is_right(sent=15)
    assert fetch("/").body == b"<p>while it was down</p>"


def test_reinstallation(host, fetch, is_right):
    host.check_output("DEBIAN_FRONTEND=noninteractive apt-get install -y --reinstall memcached")
    host.check_output("systemctl restart memfis-memcached")
    took_all(host, fetch)
    is_right(sent=10)


def test_a_restart_that_loses_what_is_nowhere_else_is_held_back(host, fetch, play, sites):
    pid = host.check_output("systemctl show --property=MainPID --value memfis-memcached")
    done = play(sites, "--extra-vars=memfis_store_keep=true memfis_store_memory=160")
    assert done.returncode == 0, done.stdout
    told = " ".join(done.stdout.split())  # Ansible breaks long lines
    assert "(the kept memory has 128 MiB, and it is to have 160)" in told
    assert host.check_output("systemctl show --property=MainPID --value memfis-memcached") == pid
    done = play(sites, "--extra-vars=memfis_store_keep=true memfis_store_connections=2000")
    assert done.returncode == 0, done.stdout
    assert "--conn-limit=2000" in host.check_output("pgrep --full --list-full memcached")
    took_all(host, fetch)


def test_full_disk_at_stop(host, fetch, is_right):
    options = "size=1m,mode=0700,uid=memcache"
    host.check_output(f"mount -t tmpfs -o {options} small {KEPT}")
    try:
        host.check_output("systemctl stop memfis-memory")  # as a shutdown does
        assert host.service("memfis-memcached").is_running is False
        assert host.check_output("ls %s", KEPT) == ""
    finally:
        host.check_output("umount %s", KEPT)
        host.check_output("systemctl start memfis-memcached")
    said = host.check_output("journalctl --unit=memfis-memory --lines=20 --output=cat")
    assert "the next start is empty: /var/lib/memfis/kept: No space left on device" in said
    assert host.file(STARTED).content_string == "started empty: no memory is kept\n"
    assert fetch("/kept.html", FILES).status == 404
    remount(host)
    is_right()


def test_kill(host, is_right, eventually):
    host.check_output("systemctl restart memfis-memcached")
    assert host.file(STARTED).content_string.startswith("memory kept: ")
    host.check_output("systemctl kill --signal=KILL memfis-memcached")
    assert eventually(lambda: "started empty" in host.run("cat %s", STARTED).stdout)
    remount(host)
    is_right()
    said = host.check_output("journalctl --unit=memfis-memcached --lines=20 --output=cat")
    assert "the next start is empty: memcached did not say what its memory holds" in said
    assert "started empty: memcached did not say" in host.file(STARTED).content_string
