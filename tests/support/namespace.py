"""Programs in a mount namespace of their own (mount_namespaces(7)), where tests mount things."""

import os
import subprocess

import pytest

APART = ("unshare", "--mount", "--propagation", "private")
"""Put before a command: what is mounted for it then is for nobody else."""

needs_mounts = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


def inside(pid: int, script: str, *words: object) -> None:
    """Run a shell's `script` with the arguments `words` where the process `pid` is; it succeeds."""
    command = ["nsenter", f"--target={pid}", "--mount", "sh", "-euc", script, "sh"]
    done = subprocess.run(
        [*command, *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
