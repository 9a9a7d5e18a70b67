"""memcached's own protocol tests, from the source package of Debian 12, against any server."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

VERSION = "1.6.18"
SUM = "35872bd25f8d29d7cc2072d23e74344530891bfd0aa4f4f64184a8ae7291164b"
"""SHA-256 of the source; apt has also found it in what Debian has signed."""

CACHE = Path(__file__).parents[2] / ".cache" / "memcacheds-tests"

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

PATIENCE = 60.0
"""Seconds for one file; the longest takes 20."""

_RESULT = re.compile(r"^(not ok|ok) (\d+)", re.M)
_PLAN = re.compile(r"^1\.\.(\d+)", re.M)


def source() -> Path:
    """Return the source of memcached 1.6.18, which is fetched once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        tree = CACHE / f"memcached-{VERSION}"
        if not tree.is_dir():
            _fetch(tree)
    return tree


def _fetch(tree: Path) -> None:
    mirror = _mirror()
    if mirror is None or not KEYRING.exists():
        pytest.skip("needs a mirror of Debian in apt's sources")
    new = CACHE / "new"
    shutil.rmtree(new, ignore_errors=True)
    for directory in ("lists/partial", "cache/archives/partial"):
        (new / directory).mkdir(parents=True)
    (new / "sources").write_text(f"deb-src [signed-by={KEYRING}] {mirror} bookworm main\n")
    # Lists of its own, so that neither root nor a change of the machine's is needed.
    options = {
        "Dir::Etc::SourceList": new / "sources",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": new / "lists",
        "Dir::Cache": new / "cache",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    package = f"memcached={VERSION}-1"
    for words in (["update"], ["source", "--only-source", "--download-only", package]):
        done = subprocess.run([*apt, *words], cwd=new, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    archive = new / f"memcached_{VERSION}.orig.tar.xz"
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == SUM
    subprocess.run(["tar", "-xf", archive], cwd=new, check=True)
    program = shutil.which("memcached")
    assert program is not None
    # They ask their program what it was built with, and do not start it.
    (new / tree.name / "memcached-debug").symlink_to(program)
    os.rename(new / tree.name, tree)
    shutil.rmtree(new)


def _mirror() -> str | None:
    """Return the mirror of Debian that apt uses here."""
    if not shutil.which("apt-get"):
        return None
    form = ("--format", "$(ORIGIN) $(SUITE) $(REPO_URI)", "Created-By: Packages")
    told = subprocess.run(["apt-get", "indextargets", *form], capture_output=True, text=True)
    for line in told.stdout.splitlines():
        origin, suite, address = line.split(" ", 2)
        if origin == "Debian" and "security" not in suite:
            return address
    return None


def failures(name: str, port: int) -> tuple[set[int], str]:
    """Run the tests of the file `name` against a server; return those that failed, and all output.

    Those that did not come to be run have failed, too.
    """
    done = subprocess.run(
        ["perl", f"t/{name}.t"],
        cwd=source(),
        env={**os.environ, "T_MEMD_USE_DAEMON": f"127.0.0.1:{port}"},
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=False,
    )
    results = {int(number): said == "ok" for said, number in _RESULT.findall(done.stdout)}
    plan = _PLAN.search(done.stdout)
    planned = int(plan[1]) if plan else 0
    failed = {number for number in range(1, planned + 1) if not results.get(number, False)}
    assert planned, done.stdout + done.stderr
    return failed, f"{done.stdout}\n{done.stderr}"
