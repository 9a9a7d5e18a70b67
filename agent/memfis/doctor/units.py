"""Do the agent and nginx see a web root: their units may hide it (systemd.exec(5))."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from memfis.doctor.findings import Finding
from memfis.service.sandbox import PROPERTIES, hidden_by
from memfis.webroot.links import places_on_the_way

BOOTED = Path("/run/systemd/system")
"""Is there where systemd runs (sd_booted(3))."""

PATIENCE = 10.0
"""Seconds that systemd has for an answer."""

PROC = Path("/proc")

_MORE = ("LoadState", "MainPID", "ExecMainStartTimestampMonotonic", "FragmentPath", "DropInPaths")


class Unit(NamedTuple):
    """A unit that must see web roots."""

    name: str
    what: str
    """What comes of it when it does not."""


UNITS = (
    Unit("memfis-agent.service", "the agent cannot keep the site"),
    Unit("nginx.service", "nginx answers 404 or 403 for what is not in memory"),
)


def check_units(site: str, root: str) -> Iterator[Finding]:
    """Yield what there is to say of how the units see the web root `root`, absolute."""
    if not BOOTED.exists():
        return
    for unit in UNITS:
        properties = ask(unit.name)
        if properties is None:
            yield Finding(
                site,
                "sandbox",
                "ok",
                f"systemd cannot be asked whether {unit.name} hides the web root",
            )
        elif properties.get("LoadState") == "loaded":
            yield examine_unit(site, root, properties, unit)


def ask(name: str) -> dict[str, str] | None:
    """Return what systemd says of the unit `name`; None: it cannot be asked."""
    program = shutil.which("systemctl")
    if program is None:
        return None
    wanted = ",".join((*PROPERTIES, *_MORE))
    try:
        done = subprocess.run(
            [program, "show", f"--property={wanted}", "--", name],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def examine_unit(site: str, root: str, properties: Mapping[str, str], unit: Unit) -> Finding:
    """Say whether `unit` sees the web root `root`, and what to do where it does not.

    Its settings count first, as they are for its next start; then what its process sees, if that
    was started with them and we may look.
    """
    places = [os.fsdecode(each) for each in places_on_the_way(os.fsencode(root))]
    hidden = hidden_by(places, properties)
    if hidden:
        place, why = hidden
        return Finding(
            site,
            "sandbox",
            "problem",
            f"{unit.name} hides {place}, which {root} leads through ({why}): {unit.what}",
            f"run the play again, or change it: systemctl edit {unit.name}",
        )
    process = int(properties.get("MainPID") or 0)
    if not process or _is_outdated(properties):
        seen, how = True, "by its settings, at its next start"
    else:
        seen, how = _sees(process, root)
    if seen:
        return Finding(site, "sandbox", "ok", f"{unit.name} sees the web root ({how})")
    return Finding(
        site,
        "sandbox",
        "problem",
        f"{unit.name} does not see the directory that {root} leads to here: {unit.what}",
        f"look at its settings (systemctl cat {unit.name}), and at what is mounted for this shell"
        f" alone; systemctl restart {unit.name}",
    )


def _is_outdated(properties: Mapping[str, str]) -> bool:
    """Whether the process was started before the unit was written as it is now."""
    started = int(properties.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
    files = [properties.get("FragmentPath", ""), *properties.get("DropInPaths", "").split()]
    for path in filter(None, files):
        with suppress(OSError):
            if os.stat(path).st_mtime > time.time() - (time.monotonic() - started):
                return True
    return False


def _sees(process: int, root: str) -> tuple[bool, str]:
    """Return whether `root` is for the process with that number what it is here, and how we know.

    Its `/` is `/proc/PID/root`, with its own mounts (proc_pid_root(5)); links have to be followed
    by hand, or they would lead to ours.
    """
    top = PROC / str(process) / "root"
    try:
        os.stat(top)
    except OSError:
        return True, "by its settings; this user may not look with its process's eyes"
    try:
        ours = os.stat(root)
        end = places_on_the_way(os.fsencode(root), os.fsencode(top))[-1]
        theirs = os.stat(os.fsencode(top) + end)
    except OSError:
        return False, ""  # not there, or below what systemd made inaccessible, for others than root
    same = (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
    return same, "as its process does"
