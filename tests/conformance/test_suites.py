"""Public suites for file systems, over a mount: pjdfstest and fsx, as `./check -s posix` has them.

Both are Rust programs from crates.io; where they are not in PATH, nothing is tested.
"""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from conformance.seeds import EFFORT, numbers
from support.mount import Mount

KNOWN = Path(__file__).with_name("known.toml")

FSX_OPERATIONS = 2000 * EFFORT

PJDFSTEST = """
[features]
posix_fallocate = {{}}
rename_ctime = {{}}
utime_now = {{}}
utimensat = {{}}
[settings]
naptime = 0.01
allow_remount = {remount}
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"""
"""Its settings; the users are those of every Debian, each with the group that it is in."""

FSX = """
flen = 262144
[weights]
close_open = 1
invalidate = 1
truncate = 5
fsync = 1
fdatasync = 1
posix_fallocate = 2
punch_hole = 2
sendfile = 2
posix_fadvise = 2
copy_file_range = 2
"""


def program(name: str) -> str:
    """Return the path of a suite."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: ./check -s posix")
    return found


def pjdfstest(directory: Path, path: Path, *patterns: str, remount: bool) -> dict[str, str]:
    """Run pjdfstest in `path`; return `ok`, `skipped` or what is wrong, by test."""
    settings = directory / "pjdfstest.toml"
    settings.write_text(PJDFSTEST.format(remount=str(remount).lower()))
    done = subprocess.run(
        [program("pjdfstest"), "-c", settings, "-p", path, "-s", directory, *patterns],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{directory}:{os.environ['PATH']}", "NO_COLOR": "1"},
        timeout=600,
    )
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    found = re.findall(r"^(\S+) +(ok|skipped|FAILED)$(?:\n\t(.*))?", said, re.MULTILINE)
    total = re.search(r"(\d+) total$", said, re.MULTILINE)
    assert total, f"no summary: {said[-1000:]}\n{done.stderr}"
    assert len(found) == int(total[1])
    return {
        name: detail or result if result == "FAILED" else result for name, result, detail in found
    }


def known(*, sometimes: bool) -> set[str]:
    """Return the tests that fail always, or only sometimes."""
    groups = tomllib.loads(KNOWN.read_text())["differences"]
    chosen = [group for group in groups if group.get("sometimes", False) == sometimes]
    return {test for group in chosen for test in group["tests"]}


def test_pjdfstest_finds_what_is_known(directory: Path, mount: Mount) -> None:
    found = pjdfstest(directory, mount.path, remount=False)
    failed = {test: said for test, said in found.items() if said not in {"ok", "skipped"}}
    expected = known(sometimes=False)
    new = [
        f"{test}: {failed[test]}"
        for test in sorted(failed.keys() - expected - known(sometimes=True))
    ]
    assert not new, "\n".join(["fails, and is not in known.toml:", *new])
    better = sorted(expected - failed.keys())
    assert not better, "\n".join(["does not fail any more, but is in known.toml:", *better])
    assert sum(said == "ok" for said in found.values()) > 100


def test_pjdfstest_finds_no_change_in_what_is_mounted_read_only(
    directory: Path, mount: Mount
) -> None:
    # mount(8) would look for a helper, which starts what is mounted already. By itself: after the
    # others, which leave files open, nothing can be remounted.
    remounting = directory / "mount"
    remounting.write_text(f'#!/bin/sh\nexec {shutil.which("mount")} -i "$@"\n')
    remounting.chmod(0o755)
    found = pjdfstest(directory, mount.path, "erofs", remount=True)
    assert set(found.values()) == {"ok"}, found


@pytest.mark.parametrize("number", numbers(1))
def test_fsx_finds_no_difference(directory: Path, mount: Mount, number: int) -> None:
    settings = directory / "fsx.toml"
    settings.write_text(FSX)
    done = subprocess.run(
        [
            *(program("fsx"), "-q", "-f", settings, "-P", directory),
            *("-N", str(FSX_OPERATIONS), "-S", str(number), mount.path / "file"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
