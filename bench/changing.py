"""Milliseconds from a change of a web root to the right answers, of every kind of change.

    python bench/changing.py [--only KIND,...] [--files N] [--rounds N] [--json FILE]

Changes of content, all with one size and one time of modification, as content stores, image layers
and reproducible builds make them: written in place with the time set back, renamed over, copied by
`cp -p`, a directory swapped, a link pointed elsewhere, `current` pointed to another release, the
whole root replaced by a copy. Withdrawals: a mode (of a file, a directory, the root, its parent),
an ACL, a pattern in `exclude` and a reload.

The web root is documentation, in a tmpfs. Visitors ask nginx for some of the pages concerned all
the time; what counts is when the last of them got the right answer and none a wrong one after it:
200 with the new content, or 403 or 404. Kinds take turns, round by round; the median counts.
Needs memcached and nginx; the documentation is downloaded by apt-get.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from signal import SIGHUP
from typing import Any

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from commands import cores
from common import Section, Target, interleaved, medians, write_json
from kinds import KINDS, Kind, Right, Scene
from support.agent import Agent
from support.directory import reachable_directory
from support.http import Connection
from support.memcached import Memcached
from support.nginx import Site, Web
from support.process import unprivileged
from synced import SITE

BOUND, EACH = 100.0, 0.02
"""Milliseconds that a change may take, and for each page that it concerns."""

RIGHT_FOR = 0.25
"""Seconds without a wrong answer after which there is none any more."""

GIVEN_UP = 300.0
"""Seconds after which a change counts as never seen."""

PAUSE = 0.001
"""Seconds between two rounds of requests."""

FEW = 5
"""Items that an agent asks for while there is nothing to do."""

MEMORY = 4096
"""MiB for the store."""


def seen(site: Site, right: Right, *, from_memory: bool = False) -> float:
    """Return when the first answers came that were right, and stayed so (`time.perf_counter`).

    `from_memory`: they have to come from there.
    """
    end = time.perf_counter() + GIVEN_UP
    since: float | None = None
    with Connection(site.public) as connection:
        while since is None or time.perf_counter() < since + RIGHT_FOR:
            asked = time.perf_counter()
            answers = {url: connection.ask(url, host=SITE) for url in right}
            if not all(
                right[url](answer) and (answer.source == "HIT" or not from_memory)
                for url, answer in answers.items()
            ):
                since = None
            elif since is None:
                since = time.perf_counter()
            if asked > end:
                sys.exit(f"{sorted(right)}: not as they should be after {GIVEN_UP:.0f} s")
            time.sleep(PAUSE)
    return since


def rest(store: Memcached) -> None:
    """Wait until nobody asks the store much: the agent is done with what was before."""
    while True:
        before = store.stats()
        time.sleep(RIGHT_FOR)
        now = store.stats()
        if all(int(now[each]) - int(before[each]) < FEW for each in (b"cmd_get", b"cmd_set")):
            return


def milliseconds(site: Site, scene: Scene, kind: Kind, concerned: Callable[[int], None]) -> float:
    """Return how long a change of a `kind` took to be seen; `concerned` is told of how many pages.

    It begins where all is well, and ends so.
    """
    seen(site, scene.right(*scene.urls()), from_memory=True)
    rest(site.store)
    changes = kind(scene)
    right, pages = next(changes)
    changed = time.perf_counter()
    took = seen(site, right) - changed
    concerned(pages)
    for again, _ in changes:
        seen(site, again, from_memory=True)
    return took * 1000


@contextmanager
def kept(directory: Path, files: int) -> Iterator[tuple[Site, Scene]]:
    """Yield a site of `files` files that an agent keeps, and its web root."""
    user = unprivileged()
    web = Web(directory, "-m", str(MEMORY))
    srv = directory / "srv"
    srv.mkdir(mode=0o755)
    more = "keepalive_requests 1000000000; keepalive_time 1d;"
    site = web.site(SITE, root=os.fspath(directory / "root"), extra=more)
    site.settings["root"] = os.fspath(srv / "current")
    settings: dict[str, object] = {"store": f"memcached://{web.store.socket}"}
    settings |= {"reader": user.pw_name} if user else {}
    own: dict[str, object] = {"name": SITE, "root": os.fspath(srv / "current")}
    agent = Agent(directory, settings, [own])

    def reload(exclude: Sequence[str]) -> None:
        agent.sites[0]["exclude"] = list(exclude)
        agent.configure()
        agent.tell(SIGHUP)

    scene = Scene(srv, files, reload)
    try:
        web.start()
        agent.start(lambda: True)
        yield site, scene
    finally:
        agent.end()
        web.end()


def measure(directory: Path, names: Sequence[str], files: int, rounds: int) -> Section:
    """Measure the kinds called `names`, by turns."""
    pages: dict[str, int] = {}
    with kept(directory, files) as (site, scene):
        measures: dict[str, Callable[[], float]] = {
            name: partial(milliseconds, site, scene, KINDS[name], partial(pages.__setitem__, name))
            for name in names
        }
        found = interleaved(measures, rounds)
    middle = medians(found)
    rows = [["milliseconds", "pages", "median", "least", "most"]]
    rows += [
        [name, f"{pages[name]:,}", *(f"{f:,.0f}" for f in (middle[name], min(took), max(took)))]
        for name, took in found.items()
    ]
    targets = [Target(name, middle[name], BOUND + EACH * pages[name], unit="ms") for name in names]
    title = f"Change to right answers: {scene.files:,} files, median of {rounds}"
    return Section(title, rows, targets, {"milliseconds": found, "pages": pages})


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", metavar="WORD,...", default="", help="kinds whose names have one of the words")
    add("--files", type=int, default=7_000, help="of documentation (default %(default)s)")
    add("--rounds", type=int, default=5, help="of which the median counts (default %(default)s)")
    add("--tmpfs", type=Path, default=Path("/dev/shm"), metavar="DIR", help="where to work")
    add("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    given = parser.parse_args()
    given.kinds = [name for name in KINDS if any(w in name for w in given.only.split(","))]
    if not given.kinds:
        parser.error(f"no such kind: {given.only}")
    return given


def main() -> None:
    """Measure, print the table, and write JSON when asked to."""
    given = options()
    machine = f"{cores()} cores, {platform.system()} {platform.release()}"
    print(f"{machine}, Python {platform.python_version()}\n", flush=True)
    with reachable_directory(given.tmpfs) as directory:
        section = measure(directory, given.kinds, given.files, given.rounds)
    print(section)
    if given.json is not None:
        document: dict[str, Any] = {"machine": machine, "changing": section.document()}
        write_json(given.json, document)


if __name__ == "__main__":
    main()
