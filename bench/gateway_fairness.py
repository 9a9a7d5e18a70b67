"""The gateway under loads that would take all of it: what others notice, and what it takes.

    python bench/gateway_fairness.py [--seconds 10] [--only 2] [--json FILE]

Others ask for small pages, one at a time, over a connection of their own: hot ones, which the
gateway has in memory, and cold ones, of which each is asked of the database. It is in memory, in
the gateway's process, and answers with copies made in threads as Couchbase's SDK does. All settings
are the defaults. The gateway's processor time between a question and its answer is told beside the
time that it took: it depends little on what else the machine does.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from common import Section, Target, write_json
from support.directory import reachable_directory
from support.gateway import Gateway
from support.gateway_loads import (
    MIB,
    Readers,
    Served,
    Stalled,
    many_files,
    others,
    percentile,
    put,
    resident,
)
from support.process import wait_for

LATE = 50.0
"""Milliseconds within which 99 % of others' answers should come."""

HOT = 5
"""Pages that are asked for so often that they stay hot."""


@contextmanager
def scene() -> Iterator[tuple[Gateway, dict[str, list[bytes]]]]:
    """Yield a gateway and the keys of small pages, of those of 1 MB and of 20 MB."""
    with reachable_directory() as directory, many_files(12_000):
        gateway = Gateway(directory, copies=True, timeout=0.2, write_timeout=2.5)
        gateway.start()
        try:
            yield (
                gateway,
                {
                    "small": put(gateway, "small", 3000, 10_000),
                    "mb": put(gateway, "mb", 200, MIB),
                    "largest": put(gateway, "largest", 10, 20 * MIB),
                },
            )
        finally:
            gateway.end()


def shuffled(keys: list[bytes]) -> list[bytes]:
    """Return a request each for 200 clients: 200 pages, one after the other, in any order."""
    order = random.Random(1)
    return [
        b"".join(b"get %b\r\n" % key for key in order.sample(keys, len(keys))) for _ in range(200)
    ]


@contextmanager
def nothing(gateway: Gateway, keys: dict[str, list[bytes]]) -> Iterator[None]:
    """Let others be alone."""
    yield


@contextmanager
def connections(gateway: Gateway, keys: dict[str, list[bytes]]) -> Iterator[None]:
    """Connect 9,900 clients: most ask for nothing, the others do not read or do not send on."""
    many = b"get %b\r\n" % b" ".join(keys["small"][:100])
    kinds = (
        *(b"get mb1\r\n", b"get small1\r\n" * 30, many),
        *(b"set k 0 0 1000\r\n" + b"x" * 500, *[b"get sma"] * 6),
    )
    stalled = Stalled(gateway.socket, [kinds[n % len(kinds)] for n in range(9_900)])
    others(gateway, keys["small"][:1], 0)  # once all before it are accepted
    yield
    stalled.go()


@contextmanager
def reading(gateway: Gateway, keys: dict[str, list[bytes]]) -> Iterator[None]:
    """Let 200 clients read 200 pages of 1 MB each, as fast as they can, again and again."""
    readers = Readers(gateway.socket, [request * 20 for request in shuffled(keys["mb"])])
    yield
    readers.go()


@contextmanager
def stalled(gateway: Gateway, keys: dict[str, list[bytes]]) -> Iterator[None]:
    """Let 200 clients ask for 200 pages of 1 MB each, and read nothing."""
    clients = Stalled(gateway.socket, shuffled(keys["mb"]))
    yield
    clients.go()


@contextmanager
def largest(gateway: Gateway, keys: dict[str, list[bytes]]) -> Iterator[None]:
    """Let ten clients ask for a page of 20 MB each and read nothing, ten others read one slowly."""
    downloads = Readers(gateway.socket, [b"get %b\r\n" % keys["largest"][0]] * 10, rate=800_000)
    clients = Stalled(gateway.socket, [b"get %b\r\n" % key for key in keys["largest"]])
    yield
    if not downloads.wait(60):
        sys.exit("a slow download does not end")
    if not all(end.endswith(b"\r\nEND\r\nMN\r\n") for end in downloads.go()):
        sys.exit("a slow download is not whole")
    clients.go()


LOADS = {
    "none": nothing,
    "9,900 connections": connections,
    "200 readers x 200 x 1 MB": reading,
    "the same, and read nothing": stalled,
    "10 x 20 MB stalled, 10 slow": largest,
}


def milliseconds(served: Served) -> list[str]:
    """Return the cells of a row: 50th and 99th percentile, and the gateway's processor time."""
    return [
        f"{1e3 * percentile(served.seconds, 0.5):.1f}",
        f"{1e3 * percentile(served.seconds, 0.99):.1f}",
        f"{1e3 * percentile(served.work, 0.99):.1f}",
    ]


def main() -> None:
    """Measure, print a table, and write JSON when asked to; fail when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10, help="for each load (default 10)")
    parser.add_argument("--only", type=int, help="the number of a load, from 0 on")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()
    rows: list[Sequence[str]] = [
        ("load", "hot p50, ms", "p99", "CPU p99", "cold p50", "p99", "CPU p99", "refused", "MiB")
    ]
    targets: list[Target] = []
    figures: dict[str, dict[str, list[float]]] = {}
    with scene() as (gateway, keys):
        before = resident(gateway)
        for number, (name, load) in enumerate(LOADS.items()):
            if options.only not in (None, number):
                continue
            with load(gateway, keys):
                time.sleep(0.5)
                hot = others(gateway, keys["small"][:HOT], options.seconds / 2)
                cold = others(gateway, keys["small"][HOT:], options.seconds / 2)
            wait_for(_all_gone(gateway), "all bytes to be given back")
            grown = max(hot.largest, cold.largest) - before
            refused = hot.refused + cold.refused
            cells = (*milliseconds(hot), *milliseconds(cold), f"{refused:,}", f"{grown / MIB:,.0f}")
            rows.append((name, *cells))
            for kind, served in (("hot", hot), ("cold", cold)):
                late = 1e3 * percentile(served.seconds, 0.99)
                targets.append(Target(f"{name}: {kind}, p99", late, LATE, unit="ms"))
            targets.append(Target(f"{name}: refused", refused, 0))
            figures[name] = {"hot": hot.seconds, "cold": cold.seconds}
    section = Section("others' answers under load", rows, targets, figures)
    print(section)
    if options.json is not None:
        write_json(options.json, {"fairness": section.document()})
    if not all(target.met for target in targets):
        sys.exit(1)


def _all_gone(gateway: Gateway) -> Callable[[], bool]:
    def gone() -> bool:
        stats = gateway.stats()
        return stats[b"outgoing_bytes"] == stats[b"incoming_bytes"] == 0

    return gone


if __name__ == "__main__":
    main()
