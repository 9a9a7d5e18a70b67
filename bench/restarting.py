"""Seconds from a start of a store that kept its memory to the first HIT, and what is sent again.

    python bench/restarting.py [--files N] [--size N] [--memory N] [--rounds N] [--json FILE]

A store of 1 GiB with 100,000 pages is stopped and started as the role's units do it: its memory is
a file on a tmpfs, which is copied to a disk and back where the host is started anew. Counted from
when the start begins, with all that comes before memcached itself, until nginx answers with a page
from memory: so the agent has looked at all of the site by then.

restart       the agent and nginx go on meanwhile
boot          the kept memory comes from the disk, and the agent is started after the store

Needs root, memcached and nginx.
"""

import argparse
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from commands import cores
from common import Section, Target, interleaved, medians, write_json
from support.agent import Agent
from support.directory import reachable_directory
from support.http import Connection
from support.kept_store import KeptStore
from support.nginx import Nginx, Site
from support.process import unprivileged, wait_for
from synced import SITE
from trees import Tree, made_tree

FIRST_HIT = 3.0
"""Seconds in which a page is to be there again."""

SENT = 5
"""Items that are written without a page that is sent: the site's own."""

REST = 3.0
"""Seconds that all of it is left alone before."""

PATIENCE = 300.0
"""Seconds after which a page counts as never shown again."""


class Scene:
    """A store with all pages of `tree`, its agent and nginx."""

    def __init__(self, directory: Path, tree: Tree, memory: int) -> None:
        gates = directory / "gates"
        gates.mkdir()
        self.store = KeptStore(directory)
        self.store.limit = memory
        self.page = tree.url(0)
        self.site = Site(
            directory,
            self.store,
            SITE,
            root=str(tree.root),
            store_address=f"unix:{gates}/{SITE}.sock",
        )
        self.nginx = Nginx(directory, self.site)
        user = unprivileged()
        settings = {"store": f"memcached://{self.store.socket}", "gates": str(gates)}
        settings |= {"reader": user.pw_name} if user else {}
        self.agent = Agent(directory, settings, [{"name": SITE, "root": str(tree.root)}])
        self.parts = defaultdict[str, list[float]](list)
        self.sent: list[int] = []

    def start(self) -> None:
        """Fill the store."""
        self.store.start()
        self.agent.start(lambda: True)
        self.nginx.start()
        wait_for(self.is_hit, "the first page", PATIENCE)
        wait_for(self.agent.has_synced, "all pages", PATIENCE)

    def is_hit(self) -> bool:
        """Whether nginx answers with the page from memory."""
        with Connection(self.site.public) as connection:
            return connection.ask(self.page, host=SITE).header("X-Memfis") == "HIT"

    def seconds(self, *, boot: bool) -> float:
        """Stop and start the store, and return how long it takes until the page is there again."""
        time.sleep(REST)
        if boot:
            self.agent.end()
        items = len(self.store.items())
        began = time.monotonic()
        self.store.stop()
        if boot:
            self.store.shut_down()
            forget(self.store.kept / "memory")
        kind = "boot" if boot else "restart"
        self.parts[f"stop, {kind}"].append(time.monotonic() - began)
        began = time.monotonic()
        self.store.restart()
        self.parts[f"memcached listens, {kind}"].append(time.monotonic() - began)
        if boot:
            self.agent.start(lambda: True)
        wait_for(self.is_hit, "the page to be there again", PATIENCE)
        took = time.monotonic() - began
        if len(self.store.items()) != items:
            raise SystemExit("the store has not what it had")
        self.sent.append(int(self.store.stats()[b"cmd_set"]))
        return took

    def end(self) -> None:
        """End them all."""
        self.nginx.end()
        self.agent.end()
        self.store.end()


def forget(path: Path) -> None:
    """Let the kernel have nothing of the file in memory."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def measure(directory: Path, tree: Tree, memory: int, rounds: int) -> Section:
    """Measure both kinds of a start, by turns."""
    scene = Scene(directory, tree, memory)
    try:
        scene.start()
        used = int(scene.store.stats()[b"bytes"])
        measures: dict[str, Callable[[], float]] = {
            "restart": partial(scene.seconds, boot=False),
            "boot": partial(scene.seconds, boot=True),
        }
        found = interleaved(measures, rounds)
    finally:
        scene.end()
    middle = medians(found)
    rows = [["seconds", "median", "least", "most"]]
    rows += [
        [name, *(f"{figure:.2f}" for figure in (medians({0: took})[0], min(took), max(took)))]
        for name, took in (found | scene.parts).items()
    ]
    targets = [Target("restart to first HIT", middle["restart"], FIRST_HIT, unit="s")]
    targets.append(Target("items written after a start", max(scene.sent), SENT))
    title = f"Restart: {tree.files:,} pages, {used / 1e6:,.0f} MB of {memory} MiB, {rounds} rounds"
    return Section(title, rows, targets, {"seconds": found | scene.parts, "sent": scene.sent})


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--files", type=int, default=100_000, help="of the site (default %(default)s)")
    add("--directories", type=int, default=1_000, help="that have them (default %(default)s)")
    add("--size", type=int, default=7_000, help="bytes of a file (default %(default)s)")
    add("--memory", type=int, default=1024, help="MiB of the store (default %(default)s)")
    add("--rounds", type=int, default=3, help="of which the median counts (default %(default)s)")
    add("--tmpfs", type=Path, default=Path("/dev/shm"), metavar="DIR", help="for the web root")
    add("--disk", type=Path, default=Path("/var/tmp"), metavar="DIR", help="for what is kept")
    add("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    return parser.parse_args()


def main() -> None:
    """Measure, print the table, and write JSON when asked to."""
    given = options()
    machine = f"{cores()} cores, {platform.system()} {platform.release()}"
    print(f"{machine}, Python {platform.python_version()}\n", flush=True)
    with (
        reachable_directory(given.tmpfs) as parent,
        made_tree(parent, given.files, given.directories, given.size, keep=False) as tree,
        reachable_directory(given.disk) as directory,
    ):
        section = measure(directory, tree, given.memory, given.rounds)
    print(section)
    if given.json is not None:
        document: dict[str, Any] = {"machine": machine, "restarting": section.document()}
        write_json(given.json, document)


if __name__ == "__main__":
    main()
