"""Programs that are run to their end, and what they take of time and memory."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from support.command import COMMAND, environment

INTERVAL = 0.01
"""Seconds between two looks at memory."""


class Peak(NamedTuple):
    """Bytes resident: of all processes together, shared pages once, and of the largest one."""

    together: int
    largest: int


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def memfis(*words: str | Path) -> list[str]:
    """Return the command line of a `memfis` command."""
    return [*COMMAND, *(os.fspath(word) for word in words)]


def seconds(command: Sequence[str]) -> float:
    """Run `command` and return how long it took, its start included; fail when it failed."""
    started = time.perf_counter()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    took = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)}: ended with {done.returncode}: {done.stderr}")
    return took


def peak_memory(command: Sequence[str]) -> Peak:
    """Run `command` and return the most memory that was seen (proc(5): smaps_rollup, status).

    Together: what the processes have of their own (PSS: proportional where they share it), and
    once the files that the largest has mapped, of which PSS leaves out what strangers map too.
    Not the ru_maxrss of wait4(2): a child starts with that of the process it was forked from.
    """
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())
    together = largest = 0
    while child.poll() is None:
        family = [_figures(each) for each in _family(child.pid)]
        own = sum(each["Pss_Anon"] + each["Pss_Shmem"] for each in family)
        together = max(together, own + max(each["RssFile"] for each in family))
        largest = max([largest, *(each["VmHWM"] for each in family)])
        time.sleep(INTERVAL)
    if child.returncode:
        sys.exit(f"{' '.join(command)}: ended with {child.returncode}")
    return Peak(together, largest)


def _family(pid: int) -> list[int]:
    """Return `pid` and all its descendants."""
    found = [pid]
    for each in found:  # grows meanwhile
        with suppress(OSError):  # ended
            for children in Path(f"/proc/{each}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


def _figures(pid: int) -> Counter[str]:
    """Return bytes by name; none of a process that has ended."""
    said = ""
    with suppress(OSError):
        said = "".join(
            Path(f"/proc/{pid}/{file}").read_text() for file in ("smaps_rollup", "status")
        )
    return Counter(
        {name: int(number) * 1024 for name, number in re.findall(r"^(\w+):\s+(\d+) kB", said, re.M)}
    )
