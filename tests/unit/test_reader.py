"""Who may read what: compared with the kernel's own answer where we can ask for it."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from memfis.errors import UsageError
from memfis.webroot.reader import READ, SEARCH, Reader
from support.directory import reachable_directory

OTHER = Reader("nobody-like", 64000, frozenset([64001]))


def may(reader: Reader, want: int, path: Path) -> bool:
    return reader.may(want, os.fsencode(path), path.stat())


@pytest.mark.parametrize(
    ("mode", "uid", "gids", "readable"),
    [
        (0o400, 64000, {64001}, True),
        (0o044, 64000, {64001}, False),  # the owner's bits decide for the owner
        (0o040, 64002, {64001}, True),
        (0o404, 64002, {64001}, False),  # the group's for the group
        (0o004, 64002, {64003}, True),
        (0o440, 64002, {64003}, False),
    ],
)
def test_mode_bits_decide_as_in_the_kernel(
    mode: int, uid: int, gids: set[int], readable: bool, tmp_path: Path
) -> None:
    file = tmp_path / "a.html"
    file.touch()
    status = os.stat_result((stat.S_IFREG | mode, 1, 1, 1, 64000, 64001, 0, 0, 0, 0))
    reader = Reader("x", uid, frozenset(gids))
    assert reader.may(READ, os.fsencode(file), status) is readable
    assert reader.certainly_reads(os.fsencode(file), status) is readable


def test_root_reads_everything(tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    file.touch(mode=0)
    assert may(Reader("root", 0, frozenset([0])), READ, file)


def test_entering_a_directory_is_not_listing_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o754)
    assert not may(OTHER, SEARCH, tmp_path)
    assert may(OTHER, READ, tmp_path)
    tmp_path.chmod(0o751)
    assert may(OTHER, SEARCH, tmp_path)


@pytest.mark.parametrize(
    ("entry", "mode", "readable"),
    [
        ("u:64000:r", 0o600, True),
        ("u:64000:-", 0o644, False),
        ("g:64001:r", 0o600, True),
        ("g:64001:-", 0o644, False),
        ("u:64002:r", 0o600, False),
    ],
)
def test_acls_decide_as_in_the_kernel(
    tmp_path: Path, entry: str, mode: int, readable: bool
) -> None:
    assert shutil.which("setfacl"), "install acl"
    file = tmp_path / "a.html"
    file.touch()
    file.chmod(mode)
    subprocess.run(["setfacl", "-m", entry, file], check=True)
    assert may(OTHER, READ, file) is readable
    assert not OTHER.certainly_reads(os.fsencode(file), file.stat())


@pytest.mark.parametrize(
    ("entries", "mode"),
    [
        ("u:64000:r,m::x", 0o644),  # limited by the mask
        ("u:64000:r,m::r", 0o600),
        ("u:64000:r,m::-", 0o644),  # an empty mask: the kernel asks the mode bits alone
        ("u:64000:r,m::-", 0o640),
        ("u:64000:-,m::-", 0o644),
        ("g:64001:-,m::-", 0o644),
    ],
)
def test_the_mask_of_an_acl_is_that_of_the_kernel(entries: str, mode: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may ask the kernel as somebody else")
    with reachable_directory() as directory:
        file = directory / "a.html"
        file.touch()
        file.chmod(mode)
        subprocess.run(["setfacl", "-m", entries, file], check=True)
        somebody = ("setpriv", "--reuid=64000", "--regid=64001", "--clear-groups")
        done = subprocess.run([*somebody, "cat", file], capture_output=True)
        assert may(OTHER, READ, file) is (done.returncode == 0)


def test_a_user_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match="no-such-user"):
        Reader.called("no-such-user")
