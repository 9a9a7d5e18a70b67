"""Ways of unmounting: each time all that was written is on the store."""

import os
import re
import subprocess
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

import pytest

from mount.conftest import SITE, Items, Mounts
from support.command import memfis
from support.memcached import Memcached
from support.mount import Mount, run
from support.process import wait_for

GONE = re.compile("not connected|connection abort")


def change(root: Path) -> None:
    """Change files, and times that may wait."""
    (root / "d").mkdir()
    (root / "d" / "page.html").write_text("page")
    os.utime(root / "d", ns=(0, 1_000_000_007))


def check(root: Path) -> None:
    """Check that it was changed."""
    assert (root / "d" / "page.html").read_text() == "page"
    assert (root / "d").stat().st_mtime_ns == 1_000_000_007


@pytest.mark.parametrize("command", [("fusermount3", "-u"), ("umount",), ("umount", "-l")])
def test_unmounting(command: tuple[str, ...], mount: Mount, new_mount: Mounts) -> None:
    if os.geteuid() != 0 and command[0] == "umount":
        pytest.skip("umount is for root")
    change(mount.path)
    mount.unmount(*command)
    assert os.listdir(mount.path) == []
    check(new_mount().path)


@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGHUP])
def test_signals(number: int, mount: Mount, new_mount: Mounts) -> None:
    change(mount.path)
    mount.signal(number)  # type: ignore[arg-type]
    assert not os.path.ismount(mount.path)
    check(new_mount().path)


def test_a_signal_while_a_file_is_open(mount: Mount, items: Items) -> None:
    file = os.open(mount.path / "page.html", os.O_WRONLY | os.O_CREAT)
    os.write(file, b"what was written")
    mount.signal(SIGTERM)
    with pytest.raises(OSError, match=GONE):
        os.write(file, b", and no more")
    with pytest.raises(OSError, match=GONE):
        os.close(file)
    assert items.page("/page.html") == b"what was written"
    assert not os.path.ismount(mount.path)


def test_a_busy_mount_is_not_unmounted(mount: Mount) -> None:
    with (mount.path / "file").open("w"):
        busy = subprocess.run(["fusermount3", "-u", mount.path], capture_output=True, text=True)
        assert "busy" in busy.stderr
        (mount.path / "other").touch()


def test_a_mount_whose_process_was_killed_loses_nothing_that_was_closed(
    mount: Mount, items: Items, memcached: Memcached
) -> None:
    change(mount.path)
    mount.kill()
    assert items.page("/d/page.html") == b"page"
    done = memfis("mount", "--site", SITE, "--store", f"memcached://{memcached.socket}", mount.path)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "fusermount3 -u" in line
    run("fusermount3", "-u", mount.path)


def test_in_the_background(directory: Path, memcached: Memcached) -> None:
    path = directory / "background"
    path.mkdir()
    store = f"memcached://{memcached.socket}"
    done = memfis("mount", "--site", SITE, "--store", store, path.name, cwd=directory)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    try:
        assert os.path.ismount(path)
        change(path)
        [pid] = run("pgrep", "-f", f"memfis mount .*{store} {path.name}").split()
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        for number in range(3):
            assert os.readlink(f"/proc/{pid}/fd/{number}") == "/dev/null"
        again = memfis("mount", "--site", SITE, "--store", store, path)
        assert again.returncode == 2
        assert f"{SITE} (fuse.memfis) is mounted there already" in again.stderr
    finally:
        run("fusermount3", "-u", path)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the mount to end")
    assert memfis("mount", "--site", SITE, "--store", store, path).returncode == 0
    try:
        check(path)
    finally:
        run("fusermount3", "-u", path)
