"""The gateway: pages through it and through memcached in its place, and a bulk sync.

    python bench/gateway.py [--seconds 2] [--rounds 5] [--files 20000] [--json FILE]

One nginx, two sites: one's store is memcached, the other's the gateway over CouchbaseMock. Both are
asked in turn with wrk. Hot keys are pages that are always in the gateway's hot cache; cold keys are
asked for over connections of our own, each once, so that every one goes through the SDK. `sync` is
`memfis sync` of 10 KB files into an empty bucket. The CPU time of the store's process is told
beside the rates: it depends little on what else the machine does. Needs nginx, memcached, wrk, and
Java with CouchbaseMock, whose speed is Java's and not Couchbase's.
"""

import argparse
import os
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from commands import memfis, seconds
from common import Section, Target, cpu_seconds, interleaved, medians, write_json
from serving import CONNECTIONS, SIZES, Way, measure, text
from support.couchbase_mock import CouchbaseMock, jar
from support.directory import reachable_directory
from support.gateway import Gateway
from support.memcached import Memcached
from support.nginx import Nginx, Site
from support.ports import free_port
from trees import made_tree

RATIO = 0.7
"""Of memcached's requests a second for hot keys."""

SYNCED = 5_000.0
"""Files a second of a bulk sync."""

COLD = 20_000
"""Keys asked for once each."""

ASKERS = 32
"""Connections over which cold keys are asked for."""


@dataclass(frozen=True)
class Store:
    """A way to ask by nginx, and the process behind it."""

    way: Way
    pid: int


@contextmanager
def scene() -> Iterator[tuple[Path, Gateway, list[Store]]]:
    """Start both stores and nginx; yield the gateway and the two ways to ask."""
    ports = {name: free_port() for name in ("memcached", "gateway")}
    with reachable_directory() as directory:
        mock = CouchbaseMock(directory)
        memcached = Memcached(directory)
        mock.start()
        gateway = Gateway(directory, mock)
        sites = [
            Site(directory, store, name, listen=[f"127.0.0.1:{ports[name]}"])
            for name, store in (("memcached", memcached), ("gateway", gateway))
        ]
        nginx = Nginx(directory, *sites)
        try:
            memcached.start()
            gateway.start()
            for site, size in product(sites, SIZES.values()):
                site.put(f"/{size}.html", text(size))
            nginx.start()
            processes = {"memcached": memcached.pid, "gateway": gateway.pid}
            yield (
                directory,
                gateway,
                [Store(Way(name, ports[name], ""), pid) for name, pid in processes.items()],
            )
        finally:
            nginx.end()
            gateway.end()
            memcached.end()
            mock.end()


def hot(stores: list[Store], options: argparse.Namespace) -> Section:
    """Compare requests a second for pages that are always hot."""
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)

    def ask(store: Store, size: str) -> float:
        before = cpu_seconds(store.pid)
        rate = measure(store.way, size, options.seconds)
        taken = cpu_seconds(store.pid) - before
        spent[store.way.name, size].append(1e6 * taken / (rate * options.seconds))
        return rate

    measures = {
        (store.way.name, size): partial(ask, store, size) for store, size in product(stores, SIZES)
    }
    rates = interleaved(measures, options.rounds)
    found, taken = medians(rates), medians(spent)
    rows = [("requests/s", *SIZES)]
    for store in stores:
        name = store.way.name
        rows.append((name, *(f"{found[name, size]:,.0f}" for size in SIZES)))
        rows.append(("  CPU time, us", *(f"{taken[name, size]:,.1f}" for size in SIZES)))
    targets = [
        Target(
            f"gateway / memcached, {size}",
            found["gateway", size] / found["memcached", size],
            RATIO,
            at_least=True,
        )
        for size in SIZES
    ]
    figures = {f"{name} {size}": rounds for (name, size), rounds in rates.items()}
    return Section(f"hot keys, wrk with {CONNECTIONS} connections", rows, targets, figures)


def cold(gateway: Gateway, options: argparse.Namespace) -> Section:
    """Ask for many keys once each: all go through the SDK."""
    value = text(10_000)
    with gateway.client() as client:
        for start in range(0, COLD, 500):
            batch = range(start, start + 500)
            assert not client.set_many({f"cold{n}": value for n in batch}, noreply=False)
    rates = []
    for _ in range(options.rounds):
        time.sleep(2.5)  # nothing is hot any more
        rates.append(COLD / _ask_once(gateway.socket))
    rows = [("cold keys, 10 KB", "keys/s"), ("median", f"{sorted(rates)[len(rates) // 2]:,.0f}")]
    return Section(f"cold keys over {ASKERS} connections", rows, [], {"rates": rates})


def _ask_once(path: Path) -> float:
    """Return the seconds that it takes to ask for every cold key, one at a time a connection."""
    clients = []
    for _ in range(ASKERS):
        client = socket.socket(socket.AF_UNIX)
        client.connect(os.fspath(path))
        clients.append((client, client.makefile("rb")))
    started = time.perf_counter()
    for start in range(0, COLD, ASKERS):
        for number, (client, _) in enumerate(clients):
            client.sendall(b"get cold%d\r\n" % (start + number))
        for _, answer in clients:
            head = answer.readline()
            if not head.startswith(b"VALUE"):
                sys.exit(f"cold key: {head!r}")
            answer.read(int(head.split()[3]) + 2)
            answer.readline()
    took = time.perf_counter() - started
    for client, answer in clients:
        answer.close()
        client.close()
    return took


def synced(directory: Path, gateway: Gateway, options: argparse.Namespace) -> Section:
    """Sync a tree through the gateway, and again with nothing to do."""
    with made_tree(directory, options.files, options.files // 100, 10_000, keep=False) as tree:
        flags = ("--root", tree.root, "--name", "bench", "--store", f"memcached://{gateway.socket}")
        command = memfis("sync", *flags)
        took, spent = [], []
        for _ in range(2):
            before = cpu_seconds(gateway.pid)
            took.append(seconds(command))
            spent.append(1e6 * (cpu_seconds(gateway.pid) - before) / options.files)
    first, again = took
    rows = [("memfis sync", "seconds", "files/s", "gateway's CPU time, us a file")]
    for name, each, cpu in zip(
        ("into an empty bucket", "with nothing to do"), took, spent, strict=True
    ):
        rows.append((name, f"{each:.2f}", f"{options.files / each:,.0f}", f"{cpu:,.0f}"))
    targets = [Target("files/s", options.files / first, SYNCED, at_least=True)]
    figures = {"first": first, "again": again, "cpu": spent}
    return Section(f"sync of {options.files:,} files", rows, targets, figures)


def main() -> None:
    """Measure, print tables, and write JSON when asked to; fail when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=2, help="for each measurement (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts")
    parser.add_argument("--files", type=int, default=20_000, help="in the bulk sync")
    parser.add_argument("--only", help="hot, cold or sync")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()
    if jar() is None:
        sys.exit("no CouchbaseMock: it takes Java, and Maven to fetch it once")
    with scene() as (directory, gateway, stores):
        sections: dict[str, Callable[[], Section]] = {
            "hot": lambda: hot(stores, options),
            "cold": lambda: cold(gateway, options),
            "sync": lambda: synced(directory, gateway, options),
        }
        done: dict[str, Section] = {}
        for name, section in sections.items():
            if options.only in (None, name):
                done[name] = section()
                print(done[name], flush=True)
    if options.json is not None:
        write_json(options.json, {name: section.document() for name, section in done.items()})
    if not all(target.met for section in done.values() for target in section.targets):
        sys.exit(1)


if __name__ == "__main__":
    main()
