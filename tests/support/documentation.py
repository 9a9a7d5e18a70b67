"""Real documentation trees, from the distribution's packages."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache" / "documentation"

LARGE = ("openjdk-17-doc", "openjdk-21-doc", "openjdk-25-doc")
"""Over 10,000 HTML files; which one there is depends on the release of the distribution."""


def documentation(*packages: str) -> Path:
    """Return the unpacked tree of the first of `packages` that can be had, fetched only once.

    The packages are downloaded and unpacked, not installed: some images drop documentation.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        said = []
        for package in packages:
            tree = CACHE / package
            if tree.is_dir():
                return tree
            fetched = subprocess.run(
                ["apt-get", "download", "-q", package], cwd=CACHE, capture_output=True, text=True
            )
            archives = sorted(CACHE.glob(f"{package}_*.deb"))
            if fetched.returncode or not archives:
                said.append(fetched.stderr)
                continue
            unpacked = CACHE / f"{package}.new"
            shutil.rmtree(unpacked, ignore_errors=True)
            subprocess.run(["dpkg-deb", "-x", archives[-1], unpacked], check=True)
            os.rename(unpacked, tree)
            archives[-1].unlink()
            return tree
    raise AssertionError(f"none of {packages} can be downloaded: {said}")
