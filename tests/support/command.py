"""The `memfis` command as a user runs it: a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.process import Process

COMMAND = (sys.executable, "-m", "memfis")


def environment(**more: str) -> dict[str, str]:
    """Return an environment without settings of the machine's own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MEMFIS_")}
    return kept | more


def memfis(
    *arguments: str | Path, user: str | None = None, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `memfis` to its end and return what it said; it must never show a traceback."""
    done = subprocess.run(
        [*COMMAND, *map(os.fspath, arguments)],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=120,
        user=user,
        extra_groups=[] if user else None,
        env=env or environment(),
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def memfis_json(*arguments: str | Path) -> Any:
    """Run `memfis … --json` and return its document: the one thing on stdout."""
    return json.loads(memfis(*arguments, "--json").stdout)


def in_background(directory: Path, *arguments: str | Path) -> Process:
    """Return a `memfis` that can be started and ended; its output goes to memfis.log."""
    return Process([*COMMAND, *map(os.fspath, arguments)], directory / "memfis.log")
