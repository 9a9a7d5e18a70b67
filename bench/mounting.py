"""Seconds that files take into a mount and out of it, beside the least that Python can do.

    python bench/mounting.py [--files N] [--directories N] [--rounds N] [--json FILE]

Each round makes a new filesystem, empty, of each kind: `memfis mount` over an empty memcached, and
bare_filesystem.py, files in memory over mfusepy. Into each goes `cp -a` of a tree in many
directories and of one with as many files in one directory. Then the first is read, cold (just
mounted) and warm, by `find -type f -exec cat`. Processor time is that of the filesystem's process
alone, as the kernel counts it, so that it says something on a machine that others use too.

Everything is in a tmpfs. Runs take turns, round by round; the median counts. Needs memcached and
fuse3, and to be allowed to mount.
"""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from commands import cores, memfis, seconds
from common import Section, Target, cpu_seconds, medians, write_json
from support.command import environment
from support.directory import reachable_directory
from support.memcached import Memcached
from support.process import wait_for
from trees import Tree

BARE = Path(__file__).with_name("bare_filesystem.py")

RATE, SHARE = 2_500, 0.75
"""Files a second that `cp -a` is to make, or the share of what the bare filesystem makes."""

ONE_DIRECTORY = 1.2
"""Times as long as for many directories that one with all files may take."""

MEMORY = 60_000_000, 700
"""Bytes resident that a mount may take, and for each file that the kernel remembers."""


@dataclass
class Mounted:
    """A filesystem and its process."""

    path: Path
    process: "subprocess.Popen[bytes]"

    def used(self) -> float:
        """Return the seconds of processor time that its process took so far (proc(5), stat)."""
        return cpu_seconds(self.process.pid)

    def memory(self) -> int:
        """Return its bytes resident (proc(5), status)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        [line] = [line for line in lines if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024


@contextmanager
def mounted(directory: Path, command: list[str]) -> Iterator[Mounted]:
    """Let `command` mount at `directory`/mount for a while."""
    path = directory / "mount"
    path.mkdir(exist_ok=True)
    command = [*command, os.fspath(path)]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: process.poll() is not None or os.path.ismount(path), "the mount")
        yield Mounted(path, process)
    finally:
        subprocess.run(["fusermount3", "-u", path], check=True)
        if process.wait():
            sys.exit(f"{command}: ended with {process.returncode}")


Figures = dict[str, float]


def timed(filesystem: Mounted, name: str, command: list[str]) -> Figures:
    """Return the seconds of `command`, and those of the processor in the filesystem's process."""
    before = filesystem.used()
    took = seconds(command)
    return {name: took, f"{name}, processor": filesystem.used() - before}


def measure(directory: Path, command: list[str], many: Tree, one: Tree) -> Figures:
    """Return what a filesystem that `command` mounts takes, by what was done."""
    with mounted(directory, command) as filesystem:
        idle = filesystem.memory()
        figures = timed(filesystem, "cp -a", copy(many, filesystem))
        figures |= timed(filesystem, "cp -a, one directory", copy(one, filesystem))
        figures["memory, idle"] = idle
        figures["memory"] = filesystem.memory()
        figures |= timed(filesystem, "read, warm", read(many, filesystem))
        return figures


def measure_cold(directory: Path, command: list[str], many: Tree) -> Figures:
    """Return what reading takes that begins with nothing in memory."""
    with mounted(directory, command) as filesystem:
        return timed(filesystem, "read, cold", read(many, filesystem))


def copy(tree: Tree, filesystem: Mounted) -> list[str]:
    """Return the command that copies `tree`."""
    return ["cp", "-a", os.fspath(tree.root), os.fspath(filesystem.path)]


def read(tree: Tree, filesystem: Mounted) -> list[str]:
    """Return the command that reads all of `tree`."""
    root = filesystem.path / tree.root.name
    return ["find", os.fspath(root), "-type", "f", "-exec", "cat", "{}", "+"]


@contextmanager
def empty_store(directory: Path, tree: Tree) -> Iterator[Memcached]:
    """Run a memcached with room for `tree` several times."""
    store = Memcached(directory, "-M", "-m", str(max(1024, 6 * tree.files * tree.size >> 20)))
    store.start()
    try:
        yield store
    finally:
        store.end()


def rounds(directory: Path, many: Tree, one: Tree, number: int) -> dict[str, list[Figures]]:
    """Return the figures of each kind of filesystem, `number` times in turn."""
    found: dict[str, list[Figures]] = {"memfis mount": [], "bare": []}
    for _ in range(number):
        with empty_store(directory, many) as store:
            site = ("--site", "bench", "--store", f"memcached://{store.socket}")
            command = memfis("mount", "--foreground", *site)
            figures = measure(directory, command, many, one)
            found["memfis mount"].append(figures | measure_cold(directory, command, many))
        found["bare"].append(measure(directory, [sys.executable, str(BARE)], many, one))
    return found


def section(found: Mapping[str, list[Figures]], many: Tree) -> Section:
    """Return the table, and the targets beside the figures."""
    middle = {
        kind: medians({name: [each[name] for each in all_] for name in all_[0]})
        for kind, all_ in found.items()
    }
    rows = [["", "seconds", "files/s", "processor", "bare", "files/s", "processor"]]
    ours, bare = middle["memfis mount"], middle["bare"]
    for name in ("cp -a", "cp -a, one directory", "read, cold", "read, warm"):
        row = [name]
        for figures in (ours, bare):
            if name in figures:
                took = figures[name]
                used = figures[f"{name}, processor"]
                row += [f"{took:.2f}", f"{many.files / took:,.0f}", f"{used:.2f}"]
            else:
                row += ["", "", ""]
        rows.append(row)
    rate = many.files / ours["cp -a"]
    fixed, each = MEMORY
    targets = [
        Target("cp -a, files/s", rate, RATE, at_least=True),
        Target("… of bare", bare["cp -a"] / ours["cp -a"], SHARE, at_least=True),
        Target("one directory / many", ours["cp -a, one directory"] / ours["cp -a"], ONE_DIRECTORY),
        Target("memory", ours["memory"] / 1e6, (fixed + 2 * each * many.files) / 1e6, unit="MB"),
    ]
    return Section(
        f"Mounting: {many}",
        rows,
        targets,
        {"medians": middle, "rounds": dict(found)},
        [
            "of the first two targets one is to be met",
            f"memory idle {ours['memory, idle'] / 1e6:.0f} MB,"
            f" bare with all files {bare['memory'] / 1e6:.0f} MB",
        ],
    )


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--files", type=int, default=10_000, help="in the tree (default %(default)s)")
    add("--directories", type=int, default=50, help="of the tree (default %(default)s)")
    add("--size", type=int, default=10_000, help="bytes of a file (default %(default)s)")
    add("--rounds", type=int, default=5, help="of which the median counts (default %(default)s)")
    add("--tmpfs", type=Path, default=Path("/dev/shm"), metavar="DIR", help="where to work")
    add("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    return parser.parse_args()


def main() -> None:
    """Measure, print the table, and write JSON when asked to."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    given = options()
    machine = f"{cores()} cores, {platform.system()} {platform.release()}"
    print(f"{machine}, Python {platform.python_version()}\n", flush=True)
    with reachable_directory(given.tmpfs) as directory:
        many = Tree(directory / "many", given.files, given.directories, given.size)
        one = Tree(directory / "one", given.files, 1, given.size)
        for tree in (many, one):
            tree.make()
        found = rounds(directory, many, one, given.rounds)
        result = section(found, many)
        shutil.rmtree(many.root)
        shutil.rmtree(one.root)
    print(result, flush=True)
    if given.json is not None:
        document: dict[str, Any] = {"machine": machine, "mounting": result.document()}
        write_json(given.json, document)


if __name__ == "__main__":
    main()
