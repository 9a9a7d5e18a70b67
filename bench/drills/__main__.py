"""Fault drills: what visitors see while the store, the agent or nginx fails, under load.

    python bench/drills [--short] [--json FILE] [DRILL ...]

Visitors ask for pages over connections that are kept, while files change ten times a second; every
answer must be 200 and a whole page, of whatever version: anything else is a failure. A page is
stale when it comes as it was more than a second before it was asked for, counted from its
replacement on disk, but not before an agent was running and had ended its first sync. The site is
whole again when every page is a HIT and current; the time counts from the end of the fault, and
from then on no file changes. Exit code 1 when anything failed. Needs nginx and memcached; with
MEMFIS_TEST_READER=lua in the environment pages are read by nginx's Lua module, which that needs.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, os.fspath(Path(__file__).parents[2] / "tests"))

from scene import Scene, scene
from visitors import STALE

from support.directory import reachable_directory


class Length(NamedTuple):
    """How long the drills take: seconds, and how often the agent and nginx's workers end."""

    down: float
    frozen: float
    filling: float
    kills: int
    killing: float
    whole: float
    turns: int


FULL = Length(down=3, frozen=5, filling=15, kills=50, killing=300, whole=60, turns=20)
SHORT = Length(down=1, frozen=2, filling=5, kills=5, killing=10, whole=5, turns=5)

TURN = 1.0
"""Seconds between two ends of nginx's workers. With Lua whoever asks for what a killed one was
fetching waits for its lock, half a second (lua/memfis/first_level.lua, WAIT)."""

BURST = 100
"""Pages that change at once before the agent is killed."""


@dataclass
class Result:
    """What came of a drill. Seconds, and numbers of answers."""

    drill: str
    requests: int = 0
    hits: int = 0
    failures: int = 0
    stale: int = 0
    oldest: float = 0.0
    whole: float | None = None
    """None: not within the time given."""
    remarks: str = ""
    failed: list[str] = field(default_factory=list)
    """The first failures."""


def store_killed(scene: Scene, length: Length) -> str:
    """Kill memcached, and start it again, empty."""
    scene.store.end()
    time.sleep(length.down)
    scene.store.start()
    return f"down for {length.down:g} s"


def store_frozen(scene: Scene, length: Length) -> str:
    """Stop memcached with SIGSTOP: it accepts connections and answers nothing."""
    scene.store.freeze()
    time.sleep(length.frozen)
    scene.store.thaw()
    return f"for {length.frozen:g} s"


def store_flushed(scene: Scene, length: Length) -> str:
    """Empty memcached while it runs."""
    with scene.store.client() as client:
        client.flush_all(noreply=False)
    return ""


def store_filled(scene: Scene, length: Length) -> str:
    """Fill memcached with what is somebody else's until it has evicted a part of the site."""
    choice = random.Random(2)
    stuff = choice.randbytes(100_000)
    written = 0
    end = time.monotonic() + length.filling
    with scene.store.client() as client:
        while (absent := scene.absent()) < len(scene.pages) // 10 and time.monotonic() < end:
            for _ in range(10_000):
                size = choice.randrange(300, 3_000) if written % 20 else 60_000
                client.set(f"foreign-{written}", stuff[written % 1000 :][:size], noreply=True)
                written += 1
            client.version()  # answered when all of it was read
    return f"{written:,} foreign items, {absent} pages evicted"


def agent_killed(scene: Scene, length: Length) -> str:
    """Kill the agent in the middle of syncs, again and again; then start it for good.

    In turn: in its first sync, and in the one that follows a burst of changes. A kill counts when
    the first sync had not ended, or when of the pages that changed some were current and some not.
    """
    choice = random.Random(3)
    scene.kill_agent()
    total = middle = 0
    end = time.monotonic() + length.killing
    while middle < length.kills and time.monotonic() < end:
        scene.start_agent()
        if total % 2:
            scene.wait_until_kept()
        changed = choice.sample(range(len(scene.pages)), BURST)
        for page in changed:
            scene.pages.change(page)
        time.sleep(choice.uniform(0.03, 0.12) if total % 2 else choice.uniform(0, 0.06))
        kept = scene.is_kept()
        scene.kill_agent()
        total += 1
        middle += not kept or 0 < scene.current(changed) < BURST
    scene.start_agent()
    scene.wait_until_kept()
    return f"{total} times, {middle} of them in the middle of a sync"


def nginx_reloaded(scene: Scene, length: Length) -> str:
    """Let nginx read its configuration again, and again."""
    for _ in range(length.turns):
        scene.nginx.reload()
        time.sleep(TURN)
    return f"{length.turns} times"


def worker_killed(scene: Scene, length: Length) -> str:
    """Kill the older of nginx's workers, again and again."""
    for _ in range(length.turns):
        scene.nginx.kill_a_worker()
        time.sleep(TURN)
    return f"{length.turns} times"


class Drill(NamedTuple):
    """A fault, and what it is made for: options of memcached, and visitors who `reconnects`."""

    fault: Callable[[Scene, Length], str]
    memcached: tuple[str, ...] = ()
    reconnects: bool = False


DRILLS = {
    "store killed": Drill(store_killed),
    "store frozen": Drill(store_frozen),
    "store flushed": Drill(store_flushed),
    "store filled": Drill(store_filled, ("-m", "16", "-I", "1m")),
    "agent killed": Drill(agent_killed),
    "nginx reloaded": Drill(nginx_reloaded, reconnects=True),
    "worker killed": Drill(worker_killed, reconnects=True),
}


def run(name: str, drill: Drill, length: Length) -> Result:
    """Run one drill on a scene of its own."""
    with reachable_directory() as directory, scene(directory, *drill.memcached) as stage:
        stage.begin(reconnects=drill.reconnects)
        remarks = drill.fault(stage, length)
        over = time.monotonic()
        stage.still()
        whole = stage.seconds_until_whole(over, length.whole)
        seen = stage.end()
    if drill.reconnects:
        remarks += f", {seen.lost} asked again"
    return Result(
        name,
        seen.requests,
        seen.hits,
        len(seen.failures),
        seen.stale,
        round(seen.oldest, 2),
        None if whole is None else round(whole, 2),
        remarks,
        seen.failures[:5],
    )


def row(result: Result, length: Length) -> str:
    """Return a line of the table."""
    whole = f"> {length.whole:g} s" if result.whole is None else f"{result.whole:.1f} s"
    return (
        f"{result.drill:15}{result.requests:>10,}{result.hits / result.requests:>9.0%}"
        f"{result.failures:>10,}{result.stale:>13,}{result.oldest:>8.1f} s{whole:>13}"
        f"  {result.remarks}"
    )


def main() -> int:
    """Run the drills, print a table, and write JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("drills", nargs="*", metavar="DRILL", help=", ".join(DRILLS))
    parser.add_argument("--short", action="store_true", help="less of everything, in a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()
    if unknown := set(options.drills) - DRILLS.keys():
        parser.error(f"no such drill: {', '.join(sorted(unknown))}")
    length = SHORT if options.short else FULL
    print(
        f"{'drill':15}{'requests':>10}{'memory':>9}{'failures':>10}{f'stale > {STALE:g} s':>13}"
        f"{'oldest':>10}{'whole after':>13}"
    )
    results = []
    for name in options.drills or DRILLS:
        results.append(run(name, DRILLS[name], length))
        print(row(results[-1], length), flush=True)
        for failure in results[-1].failed:
            print(f"    {failure}")
    if options.json is not None:
        document = {"length": length._asdict(), "drills": [asdict(each) for each in results]}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if any(result.failures for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
