"""`mount -t memfis`, as /etc/fstab and systemd call it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from memfis.commands.fstab import arguments
from memfis.errors import UsageError
from mount.conftest import SITE
from support.command import environment
from support.memcached import Memcached

HELPER = "from memfis.commands.fstab import main; main()"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a.example /m", "mount --site a.example -- /m"),
        ("a.example /m -o rw", "mount --site a.example -- /m"),
        ("a.example /m -o ro,nofail,_netdev", "mount --read-only --site a.example -- /m"),
        (
            "a.example /m -o store=memcached:///s.sock,attribute_timeout=0.2,allow_other",
            "mount --store memcached:///s.sock --attribute-timeout 0.2 --allow-other"
            " --site a.example -- /m",
        ),
        (
            "a.example /m -v -n -t memfis -o x-systemd.automount,X-mount.mkdir,noatime -o noexec",
            "mount --option noatime --option noexec --verbose --site a.example -- /m",
        ),
        (
            "a.example /m -o uid=deploy,gid=33,mode=0775",
            "mount --owner deploy --group 33 --mode 0775 --site a.example -- /m",
        ),
        ("a.example /m -s -o frobnicate", "mount --site a.example -- /m"),
    ],
)
def test_words(words: str, expected: str) -> None:
    assert arguments(words.split()) == expected.split()


def test_nothing_is_mounted_when_that_is_asked() -> None:
    assert arguments(["-f", "a.example", "/m"]) is None


@pytest.mark.parametrize(
    "words", ["", "a.example", "a b c", "a.example /m -o frobnicate", "a /m -z"]
)
def test_wrong_words(words: str) -> None:
    with pytest.raises(UsageError):
        arguments(words.split())


def helper(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", HELPER, *(os.fspath(word) for word in words)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )


def test_exit_codes_of_mount(directory: Path, memcached: Memcached) -> None:
    path = directory / "m"
    store = f"store=memcached://{memcached.socket}"
    wrong = helper(SITE, path, "-o", f"{store},frobnicate")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert "frobnicate" in wrong.stderr
    missing = helper(SITE, path, "-o", store)
    assert missing.returncode == 32
    assert "No such file or directory" in missing.stderr
    path.mkdir()
    assert helper(SITE, path, "-o", f"{store},nofail,noexec").returncode == 0
    try:
        flags = os.statvfs(path).f_flag
        assert flags & os.ST_NOEXEC
        assert flags & os.ST_NOSUID
    finally:
        subprocess.run(["fusermount3", "-u", path], check=True)
    assert helper("--help").stdout.startswith("usage: mount.memfis SITE DIRECTORY")


@pytest.mark.skipif(os.geteuid() != 0, reason="mount(8) is for root")
def test_fstab(directory: Path, memcached: Memcached) -> None:
    for name in ("upper", "work", "m"):
        (directory / name).mkdir()
    program = directory / "upper" / "mount.memfis"
    words = [f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", sys.executable, "-c", HELPER]
    program.write_text(f'#!/bin/sh\nexec env {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    fstab = directory / "fstab"
    fstab.write_text(
        f"{SITE} {directory}/m memfis nofail,_netdev,x-systemd.requires=memfis-memcached.service,"
        f"store=memcached://{memcached.socket} 0 0\n"
    )
    script = f"""
        cd {directory}
        mount -t overlay none -o lowerdir=/usr/sbin,upperdir=upper,workdir=work /usr/sbin
        mount --bind {fstab} /etc/fstab
        mount -a -t memfis
        echo page > {directory}/m/page.html
        findmnt -no SOURCE,FSTYPE {directory}/m
        mount -a -t memfis
        umount {directory}/m
        mount {directory}/m -o ro
        cat {directory}/m/page.html
        umount {directory}/m
        ls {directory}/m
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    if "overlay" in done.stderr:
        pytest.skip("the kernel has no overlayfs here")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [SITE, "fuse.memfis", "page"]
