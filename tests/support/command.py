"""The `memfis` command as a user runs it: a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.process import Process

COMMAND = (sys.executable, "-m", "memfis")

WITHOUT_POWER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Takes from root what lets it read everything (capabilities(7))."""


def environment(**more: str) -> dict[str, str]:
    """Return an environment without settings of the machine's own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MEMFIS_")}
    return kept | more


def memfis(
    *arguments: str | Path,
    powerless: bool = False,
    env: dict[str, str] | None = None,
    timeout: float = 120,
    cwd: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run `memfis` to its end and return what it said; it must never show a traceback.

    `powerless`: file permissions hold, even when the tests are run by root.
    """
    prefix = WITHOUT_POWER if powerless and os.geteuid() == 0 else ()
    done = subprocess.run(
        [*prefix, *COMMAND, *(str(word) for word in arguments)],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
        env=env or environment(),
        cwd=cwd,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def memfis_json(*arguments: str | Path, env: dict[str, str] | None = None) -> Any:
    """Run `memfis … --json` and return its document: the one thing on stdout."""
    return json.loads(memfis(*arguments, "--json", env=env).stdout)


def in_background(directory: Path, *arguments: str | Path) -> Process:
    """Return a `memfis` that can be started and ended; its output goes to memfis.log."""
    return Process([*COMMAND, *(str(word) for word in arguments)], directory / "memfis.log")
