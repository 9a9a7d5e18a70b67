"""Seconds that syncing takes, against the programs that copy files and fill stores.

    python bench/syncing.py [--only SECTION,...] [--files N] [--rounds N] [--json FILE]

preload     an empty store is filled, uncompressed: memfis sync, memccp, the least that Python can
            do (bare.py), cp, rsync, tar; memory
unchanged   nothing changed, every page confirmed: memfis sync, rsync between two directories
start       100 files with nothing to do; memfis --help
compressed  an empty store is filled with a documentation tree: memfis sync, gzip
change      from close() of a changed file to the first HIT with it, under memfis agent and nginx

Everything is in a tmpfs, the processes' start is included, and what a run needs (an empty store,
no target) is made outside of its time. Runs take turns, round by round; the median counts.
Needs memcached, nginx, rsync and libmemcached-tools; the documentation is downloaded by apt-get.
"""

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from commands import cores, memfis, peak_memory, seconds
from common import Section, Target, interleaved, medians, write_json
from saving import measure_changes
from support.directory import reachable_directory
from synced import synced
from trees import LARGEST, SMALLEST, Tree, copy_documentation, made_tree

MEMORY = 60_000_000, 200
"""Bytes that a sync may take, and for each file."""

BARE = Path(__file__).with_name("bare.py")

FEW = 100
"""Files in the tree of `start`."""

REPEATED = 5
"""Times that a command of less than a second is run in a round."""


@dataclass(frozen=True)
class Bench:
    """What all sections work with. `directory`: in the tmpfs, the servers may write to it."""

    directory: Path
    tree: Tree
    rounds: int
    changes: int

    @property
    def memory(self) -> int:
        """MiB for the store: the tree, and as much again for memcached's slabs and the rest."""
        return max(2048, 2 * self.tree.files * self.tree.size >> 20)


def copy(command: Sequence[str], target: Path) -> float:
    """Return the seconds of a `command` that writes `target`, which is not there before."""
    shutil.rmtree(target, ignore_errors=True)
    try:
        return seconds(command)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def table(
    found: Mapping[str, Sequence[float]], base: str, megabytes: float | None = None
) -> list[list[str]]:
    """Return the medians for reading, each against that of `base`."""
    rows = [["", "seconds", f"of {base}", *(["MB/s"] if megabytes else [])]]
    middle = medians(found)
    for name, took in middle.items():
        row = [name, f"{took:.3f}", f"{took / middle[base]:.2f}"]
        rows.append(row + ([f"{megabytes / took:,.0f}"] if megabytes else []))
    return rows


def figures(found: Mapping[str, Sequence[float]], **more: Any) -> dict[str, Any]:
    """Return what was measured, for JSON."""
    return {"seconds": medians(found), "rounds": dict(found), **more}


def one_only(ways: Mapping[str, Any]) -> list[str]:
    """Return a note when memfis has no say in its processes."""
    return ["memfis sync has no --jobs: one process only"] if "memfis sync" in ways else []


def preload(bench: Bench) -> Section:
    """Fill an empty store with the tree."""
    tree, root = bench.tree, str(bench.tree.root)
    target = bench.directory / "target"
    with synced(bench.directory, bench.memory, tree.root) as site:
        ways = site.ways()
        # memccp's fastest that stores everything: --buffer loses ends of batches (1.1.4)
        script = 'xargs -0 memccp --servers="$1" --relative --non-blocking'
        memccp = ["sh", "-c", f'find "$0" -type f -print0 | {script}', root, str(site.store.socket)]
        bare = [sys.executable, str(BARE), root, str(site.store.socket)]
        fillers = ways | {"memccp": memccp, "bare Python, 1 process": bare}
        measures: dict[str, Callable[[], float]] = {
            name: partial(site.fill, command, tree.files) for name, command in fillers.items()
        }
        copiers = {
            "cp -a": ["cp", "-a", root, str(target)],
            "rsync -a": ["rsync", "-a", f"{root}/", str(target)],
            "tar | cat": ["sh", "-c", 'tar cf - "$0" 2>/dev/null | cat >/dev/null', root],
        }
        measures |= {name: partial(copy, command, target) for name, command in copiers.items()}
        found = interleaved(measures, bench.rounds)
        peaks = {}
        for name, command in ways.items():
            site.empty()
            peaks[name] = peak_memory(command)
    took = medians(found)
    first, *others = ways
    limits = {first: 0.5} | dict.fromkeys(others, 0.75)
    targets = [
        *(Target(f"{way} / cp -a", took[way] / took["cp -a"], at) for way, at in limits.items()),
        Target(f"memccp / {first}", took["memccp"] / took[first], 5, at_least=True),
    ]
    fixed, each = MEMORY
    limit = (fixed + each * tree.files) / 1e6
    targets += [
        Target(f"{name}, memory", peak.together / 1e6, limit, unit="MB")
        for name, peak in peaks.items()
    ]
    memory = {name: peak._asdict() for name, peak in peaks.items()}
    return Section(
        f"Preload: {tree}, median of {bench.rounds}",
        table(found, "cp -a", tree.files * tree.size / 1e6),
        targets,
        figures(found, memory=memory),
        [
            *one_only(ways),
            *(f"{n}: largest process {peak.largest / 1e6:.0f} MB" for n, peak in peaks.items()),
        ],
    )


def unchanged(bench: Bench) -> Section:
    """Sync a store that has everything."""
    tree = bench.tree
    target = bench.directory / "target"
    rsync = ["rsync", "-a", f"{tree.root}/", str(target)]
    with synced(bench.directory, bench.memory, tree.root) as site:
        ways = site.ways()
        seconds(site.command())
        seconds(rsync)
        report = site.report()
        if report["unchanged"] != tree.files:
            sys.exit(f"memfis sync, nothing changed: {report}")
        commands = ways | {"rsync -a": rsync}
        measures = {name: partial(seconds, command) for name, command in commands.items()}
        found = interleaved(measures, bench.rounds)
    shutil.rmtree(target)
    took = medians(found)
    first = next(iter(ways))
    return Section(
        f"Nothing changed: {tree}, median of {bench.rounds}",
        table(found, "rsync -a"),
        [Target(f"{first} / rsync -a", took[first] / took["rsync -a"], 3)],
        figures(found),
        one_only(ways),
    )


def start(bench: Bench) -> Section:
    """Sync a few files that have not changed, and show the help."""
    few = Tree(bench.directory / "few", FEW, 1, bench.tree.size)
    few.make()
    with synced(bench.directory, bench.memory, few.root) as site:
        site.fill(site.command(), few.files)
        commands = {
            "memfis sync": site.command(),
            "memfis --help": memfis("--help"),
            "python -c pass": [sys.executable, "-c", "pass"],
        }
        measures = {name: partial(seconds, command) for name, command in commands.items()}
        found = interleaved(measures, bench.rounds * REPEATED)
    took = medians(found)
    return Section(
        f"Start: {few.files} files with nothing to do, median of {bench.rounds * REPEATED}",
        table(found, "python -c pass"),
        [
            Target("memfis sync", took["memfis sync"], 0.3, unit="s"),
            Target("memfis --help", took["memfis --help"], 0.15, unit="s"),
        ],
        figures(found),
    )


def gzip(root: Path, target: Path, level: int) -> list[str]:
    """Return gzip in one process a core, each for many files and into one file of its own."""
    script = f'exec gzip -{level}c "$@" >"$0/$$"'
    pages = f'find "$0" -type f -print0 | xargs -0 -n 200 -P {cores()} sh -c \'{script}\' "$1"'
    return ["sh", "-c", f'mkdir "$1" && {pages}', str(root), str(target)]


def compressed(bench: Bench) -> Section:
    """Fill an empty store with pages that compress."""
    root, target = bench.directory / "documentation", bench.directory / "target"
    files, size = copy_documentation(root, bench.tree.files)
    with synced(bench.directory, bench.memory, root, max_page=16 << 20) as site:
        every_core, *_ = site.ways().values()
        measures = {
            "memfis sync": partial(site.fill, every_core, files),
            "gzip -1": partial(copy, gzip(root, target, 1), target),
        }
        found = interleaved(measures, bench.rounds)
        site.empty()
        stored = site.report()["bytes_written"]
    seconds(gzip(root, target, 6))
    best = sum(file.stat().st_size for file in target.iterdir())
    shutil.rmtree(target)
    took = medians(found)
    return Section(
        f"Compressed: {files:,} files of documentation, {size / 1e6:.0f} MB,"
        f" median of {bench.rounds}",
        table(found, "gzip -1", size / 1e6),
        [
            Target("throughput / gzip -1", took["gzip -1"] / took["memfis sync"], 1, at_least=True),
            Target("size / gzip -6", stored / best, 1.1),
        ],
        figures(found, files=files, bytes=size, bytes_stored=stored, bytes_gzip_6=best),
        [f"stored {stored / 1e6:.1f} MB, gzip -6 {best / 1e6:.1f} MB; {cores()} cores"],
    )


def change(bench: Bench) -> Section:
    """Change files under a running agent."""
    return measure_changes(bench.directory, bench.tree, bench.changes, bench.memory)


SECTIONS = {each.__name__: each for each in (preload, unchanged, start, compressed, change)}


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", default=",".join(SECTIONS), metavar="SECTION,...", help="leave out the others")
    add("--files", type=int, default=100_000, help="in the tree (default %(default)s)")
    add("--directories", type=int, default=1_000, help="of the tree (default %(default)s)")
    add("--size", type=int, default=10_000, help="bytes of a file (default %(default)s)")
    add("--changes", type=int, default=200, help="of files while the agent runs (default 200)")
    add("--rounds", type=int, default=3, help="of which the median counts (default 3)")
    add("--tmpfs", type=Path, default=Path("/dev/shm"), metavar="DIR", help="where to work")
    add("--keep", action="store_true", help="leave the tree for another run")
    add("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    given = parser.parse_args()
    given.only = given.only.split(",")
    if unknown := set(given.only) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    if min(given.directories, given.rounds, given.changes) < 1:
        parser.error("--directories, --rounds and --changes are at least 1")
    if given.files <= given.changes:
        parser.error("--files must be more than --changes")
    if not SMALLEST <= given.size <= LARGEST:
        parser.error(f"--size is from {SMALLEST} to {LARGEST}")
    return given


def main() -> None:
    """Measure, print each section's table, and write JSON when asked to."""
    given = options()
    machine = f"{cores()} cores, {platform.system()} {platform.release()}"
    print(f"{machine}, Python {platform.python_version()}\n", flush=True)
    document: dict[str, Any] = {"machine": machine}
    shape = given.files, given.directories, given.size
    with made_tree(given.tmpfs, *shape, given.keep) as tree:
        document |= {"files": tree.files, "directories": tree.directories, "size": tree.size}
        for name in given.only:
            with reachable_directory(given.tmpfs) as directory:
                section = SECTIONS[name](Bench(directory, tree, given.rounds, given.changes))
            print(f"{section}", flush=True)
            document[name] = section.document()
    if given.json is not None:
        write_json(given.json, document)


if __name__ == "__main__":
    main()
