"""Each thing that is in the way of mounting: one clear line and the right exit code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mount.conftest import SITE
from support.command import COMMAND, environment, memfis
from support.memcached import Memcached

SEARCH = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""What the tests are run from may be for root only (capabilities(7))."""

UNPRIVILEGED = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *SEARCH)


def mount(memcached: Memcached, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    store = f"memcached://{memcached.socket}"
    return memfis("mount", "--site", SITE, "--store", store, *arguments)


def one_line(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    """Assert exit code `code`, nothing on stdout, and one line on stderr that has `words`."""
    assert (done.returncode, done.stdout) == (code, ""), done
    [line] = done.stderr.splitlines()
    for word in words:
        assert word in line


def isolated(*command: str | Path, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a mount namespace of its own, that `script` has prepared."""
    words = ["unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh", *command]
    return subprocess.run(
        [os.fspath(word) for word in words],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )


def test_mount_points(memcached: Memcached, directory: Path) -> None:
    path = directory / "m"
    one_line(mount(memcached, path), 2, str(path), "No such file or directory")
    path.touch()
    one_line(mount(memcached, path), 2, str(path), "not a directory")
    one_line(mount(memcached, path / "below"), 2, str(path), "Not a directory")
    path.unlink()
    path.mkdir()
    (path / "file").touch()
    one_line(mount(memcached, path), 2, str(path), "not empty")
    one_line(mount(memcached, "/proc"), 2, "/proc", "proc (proc) is mounted there already")


def test_stores(directory: Path, memcached: Memcached) -> None:
    path = directory / "m"
    path.mkdir()
    memcached.end()
    for flags in ((), ("--foreground",), ("--read-only",)):
        one_line(mount(memcached, path, *flags), 3, str(memcached.socket), "cannot be reached")
    done = memfis("mount", "--site", SITE, "--store", "redis://x", path)
    one_line(done, 2, "redis://x", "memcached://")


def test_usage(directory: Path, memcached: Memcached) -> None:
    path = directory / "m"
    path.mkdir()
    store = f"memcached://{memcached.socket}"
    one_line(memfis("mount", path), 2, "--site NAME", "--store URL")
    one_line(memfis("mount", "--site", "A_B", "--store", store, path), 2, "name")
    one_line(memfis("mount", "--config", "/nonexistent", path), 2, "/nonexistent")
    one_line(mount(memcached, "--read-only", path), 2, SITE, "not in")
    one_line(mount(memcached, "--owner", "nobody-here", path), 2, "nobody-here", "no such user")
    one_line(mount(memcached, "--group", "nobody-here", path), 2, "nobody-here", "no such group")
    one_line(mount(memcached, "--mode", "0999", path), 2, "--mode", "three octal digits")
    for arguments in (
        ["mount"],
        ["mount", "--attribute-timeout", "-1", path],
        ["mount", "-o", "suid", path],
        ["mount", "-x"],
    ):
        done = memfis(*arguments)
        assert done.returncode == 2
        assert "Usage: memfis mount" in done.stderr


def test_the_site_of_a_configuration(directory: Path, memcached: Memcached) -> None:
    path = directory / "m"
    path.mkdir()
    config = directory / "memfis.toml"
    site = f'[[sites]]\nname = "{{}}"\nsource = "store"\nstore = "memcached://{memcached.socket}"\n'
    config.write_text(site.format("a.example"))
    assert memfis("mount", "--config", config, path).returncode == 0
    try:
        assert "a.example" in Path("/proc/self/mountinfo").read_text()
    finally:
        subprocess.run(["fusermount3", "-u", path], check=True)
    config.write_text(site.format("a.example") + site.format("b.example"))
    one_line(memfis("mount", "--config", config, path), 2, "--site", "a.example, b.example")
    config.write_text(site.format("a.example") + 'root = "/srv"\n')
    one_line(memfis("mount", "--config", config, path), 2, "sites[0].root")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take things away")


@needs_root
def test_without_the_device(directory: Path, memcached: Memcached) -> None:
    path = directory / "m"
    path.mkdir()
    store = f"memcached://{memcached.socket}"
    command = (*COMMAND, "mount", "--site", SITE, "--store", store, path)
    script = "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3"
    done = isolated(*command, script=script)
    one_line(done, 2, "there is no /dev/fuse", "modprobe fuse")
    done = isolated(*command, script=f"{script}; mknod -m 000 /dev/fuse b 10 229")
    one_line(done, 2, str(path), "/dev/fuse")


@needs_root
def test_without_libfuse(directory: Path, memcached: Memcached) -> None:
    path = directory / "m"
    path.mkdir()
    script = (
        "import ctypes.util, sys\n"
        "ctypes.util.find_library = lambda name: None\n"
        "from memfis.commands import main; main(sys.argv[1:])"
    )
    store = f"memcached://{memcached.socket}"
    done = subprocess.run(
        [sys.executable, "-c", script, "mount", "--site", SITE, "--store", store, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    one_line(done, 2, "libfuse3 is missing", "apt-get install fuse3")
    helped = subprocess.run(
        [sys.executable, "-c", script, "mount", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert helped.returncode == 0


@needs_root
def test_for_other_users(directory: Path, memcached: Memcached) -> None:
    path = directory / "m"
    path.mkdir()
    os.chown(path, 65534, 65534)
    store = f"memcached://{memcached.socket}"
    command = (*UNPRIVILEGED, *COMMAND, "mount", "--site", SITE, "--store", store, path)
    done = isolated(*command, "--allow-other", script="true")
    one_line(done, 2, "allow_other", "user_allow_other", "/etc/fuse.conf")


@needs_root
def test_a_user_without_the_helper(directory: Path, memcached: Memcached) -> None:
    path = directory / "m"
    path.mkdir()
    os.chown(path, 65534, 65534)
    helper = shutil.which("fusermount3")
    assert helper is not None
    store = f"memcached://{memcached.socket}"
    command = (*UNPRIVILEGED, *COMMAND, "mount", "--site", SITE, "--store", store, path)
    empty = directory / "empty"
    empty.touch(mode=0o644)
    done = isolated(*command, script=f"mount --bind {empty} {helper}")
    one_line(done, 2, "fusermount3 is missing")


@needs_root
def test_a_user_may_mount(directory: Path, memcached: Memcached) -> None:
    path = directory / "m"
    path.mkdir()
    os.chown(path, 65534, 65534)
    store = f"memcached://{memcached.socket}"
    words = " ".join([*UNPRIVILEGED, *COMMAND, "mount", "--site", SITE, "--store", store])
    script = (
        f"chmod 666 /dev/fuse; {words} {path}; {' '.join(UNPRIVILEGED)} sh -c"
        f" 'echo page > {path}/page.html; cat {path}/page.html; fusermount3 -u {path}'"
    )
    mode = os.stat("/dev/fuse").st_mode
    try:
        done = isolated("true", script=script)
    finally:
        os.chmod("/dev/fuse", mode & 0o777)
    assert (done.returncode, done.stdout, done.stderr) == (0, "page\n", "")
