"""The nginx that runs on this host: its configuration, and how it takes a new one."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from memfis.errors import ProgramError

READING = 60.0
"""Seconds that nginx has to read its configuration: it may resolve names of hosts."""

PATIENCE = 30.0
"""Seconds for new workers to be there, and the old ones to take no more requests."""

PID_FILE = "/run/nginx.pid"
"""Where the distributions' nginx writes it, unless its configuration says otherwise."""

_PID = re.compile(r"^\s*pid\s+[\"']?([^\"';]+)[\"']?\s*;", re.MULTILINE)


class Refused(ProgramError):
    """nginx refuses its configuration, or did not take it. The text is its own message."""


class Dump(NamedTuple):
    """What nginx says of its configuration (`nginx -T`)."""

    text: str
    """All files, each below a line with its path."""
    errors: tuple[str, ...]
    """The lines of its standard error."""


class RunningNginx(NamedTuple):
    """The nginx whose main file is `configuration`; None: its own."""

    configuration: Path | None

    def read(self) -> Dump:
        """Return all that it reads; raises Refused, ProgramError.

        That is the configuration on disk, which it would take at its next reload.
        """
        found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if not found:
            raise ProgramError("nginx is not installed")
        chosen = ["-c", os.fspath(self.configuration)] if self.configuration else []
        try:
            done = subprocess.run(
                [found, "-T", *chosen],
                capture_output=True,
                text=True,
                errors="surrogateescape",
                stdin=subprocess.DEVNULL,
                timeout=READING,
            )
        except subprocess.TimeoutExpired as error:
            raise ProgramError(f"nginx -T: no answer within {READING:.0f} seconds") from error
        lines = tuple(done.stderr.strip().splitlines())
        if done.returncode != 0:
            said = [line for line in lines if "[emerg]" in line or "[alert]" in line]
            raise Refused("; ".join(said or lines[-1:]))
        return Dump(done.stdout, lines)

    def reload(self, text: str) -> bool:
        """Let it read its configuration `text` (as in what `read` returns) again.

        Returns when no request begins any more with the one before; False: it does not run, and
        reads it when it starts. Raises Refused.
        """
        named = _PID.search(text)
        master = _master(Path(named[1] if named else PID_FILE))
        if master is None:
            return False
        before = _workers(master)
        os.kill(master, signal.SIGHUP)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            now = _workers(master)
            if now.keys() - before.keys() and not any(now.get(each) for each in before):
                return True
            time.sleep(0.02)
        raise Refused("nginx did not take its configuration: its error log says why")


def _master(file: Path) -> int | None:
    """Return the process id in `file` if that is an nginx."""
    try:
        number = int(file.read_text())
        name = Path(f"/proc/{number}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return number if name.strip() == "nginx" else None


def _workers(master: int) -> dict[int, bool]:
    """Return the workers of `master`, and of each whether it takes requests."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"\nPPid:\t{master}\n" not in status.read_text(errors="replace"):
                continue
            title = (status.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        if b"worker process" in title:
            found[int(status.parent.name)] = b"shutting down" not in title
    return found
