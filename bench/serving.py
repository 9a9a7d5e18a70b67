"""Requests a second: pages from memory against what one would use instead, all in one nginx.

    python bench/serving.py [--seconds 1] [--rounds 3] [--json FILE]

Every way is asked in turn, round by round, so that whatever else the machine does hits all of them;
the median of the rounds counts. The configuration measured is the one that memfis installs.
Needs nginx, memcached and wrk.
"""

import argparse
import gzip
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from pymemcache.client.base import Client

from common import interleaved, medians, write_json
from memfis.layout import keys
from support.directory import reachable_directory
from support.memcached import Memcached
from support.nginx import Nginx, Site
from support.ports import answers, free_port
from support.process import Process, unprivileged

SIZES = {"1 KB": 1_000, "10 KB": 10_000, "100 KB": 100_000}
CONNECTIONS = 32
BASELINE = "disk, sendfile"


@dataclass(frozen=True)
class Way:
    """One way to answer: where it listens, what the client sends."""

    name: str
    port: int
    path: str
    compressed: bool = False


def text(size: int) -> bytes:
    """Return `size` bytes of HTML that compress about as well as a page of documentation."""
    choice = random.Random(size)
    words = ["".join(choice.choices("etaoinshrdlu", k=choice.randint(2, 9))) for _ in range(900)]
    page = "<!doctype html><title>page</title>\n"
    while len(page) < size:
        page += f"<p class={choice.choice(words)}>{' '.join(choice.choices(words, k=12))}</p>\n"
    return page.encode()[:size]


def measure(way: Way, size: str, seconds: int) -> float:
    """Return requests a second; fail when an answer is not 200."""
    number = SIZES[size]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    if way.compressed:
        command += ["-H", "Accept-Encoding: gzip"]
    url = f"http://127.0.0.1:{way.port}/{way.path}{number}.html"
    said = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"{way.name}, {size}: {said}")
    return float(found[1])


def rivals(site: Site, ports: dict[str, int]) -> str:
    """Return what one would write without us, for the same files."""
    common = f'access_log off; root "{site.root}";'
    return f"""
server {{ listen 127.0.0.1:{ports["disk"]}; {common} gzip off; }}
server {{ listen 127.0.0.1:{ports["cache"]}; {common} gzip off; open_file_cache max=1000; }}
server {{ listen 127.0.0.1:{ports["gzip"]}; {common} gzip on; }}
server {{
    listen 127.0.0.1:{ports["recipe"]}; {common} gzip off;
    location / {{
        set $memcached_key memfis://bench$uri;
        memcached_pass 127.0.0.1:{ports["old store"]};
    }}
}}
"""


@contextmanager
def ways() -> Iterator[list[Way]]:
    """Start two stores and an nginx with one worker, and yield every way to ask it."""
    ports = {name: free_port() for name in ("site", "old store", "disk", "cache", "gzip", "recipe")}
    with reachable_directory() as directory:
        store = Memcached(directory)
        user = unprivileged()
        old = Process(
            [
                *("memcached", "-l", "127.0.0.1", "-p", str(ports["old store"])),
                *(("-u", user.pw_name) if user else ()),
            ],
            directory / "old.log",
        )
        site = Site(directory, store, "bench", listen=[f"127.0.0.1:{ports['site']}"])
        nginx = Nginx(directory, site, more=rivals(site, ports))
        try:
            store.start()
            old.start(lambda: answers(ports["old store"]))
            for size in SIZES.values():
                page = text(size)
                site.write(f"{size}.html", page)
                site.put(f"/{size}.html", page)
                site.put(f"/packed-{size}.html", gzip.compress(page, 9), flags=2)
                with closing(Client(("127.0.0.1", ports["old store"]))) as client:
                    client.set(keys.page_key("bench", b"/%d.html" % size), page, noreply=False)
            nginx.start()
            yield [
                Way("memory", ports["site"], ""),
                Way("memory, stored gzip", ports["site"], "packed-", compressed=True),
                Way(BASELINE, ports["disk"], ""),
                Way("disk, open_file_cache", ports["cache"], ""),
                Way("disk, gzip on", ports["gzip"], "", compressed=True),
                Way("recipe of 2012", ports["recipe"], ""),
            ]
        finally:
            nginx.end()
            old.end()
            store.end()


def table(results: dict[str, dict[str, float]]) -> str:
    """Return the results for reading, with what each is against the disk."""
    lines = [f"{'requests/s':24}" + "".join(f"{size:>18}" for size in SIZES)]
    for name, row in results.items():
        cells = (
            f"{rate:10,.0f} {rate / results[BASELINE][size]:5.2f} x" for size, rate in row.items()
        )
        lines.append(f"{name:24}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    """Measure every way with every size, print a table, and write JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=1, help="for each measurement (default 1)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()
    if options.seconds < 1 or options.rounds < 1:
        parser.error("--seconds and --rounds are at least 1")
    with ways() as every:
        measures = {
            (way.name, size): partial(measure, way, size, options.seconds)
            for way, size in product(every, SIZES)
        }
        rates = interleaved(measures, options.rounds)
    results: dict[str, dict[str, float]] = {}
    for (name, size), rate in medians(rates).items():
        results.setdefault(name, {})[size] = rate
    print(f"{CONNECTIONS} connections, one nginx worker, median of {options.rounds}")
    print(table(results))
    if options.json is not None:
        rounds: dict[str, Any] = {name: {} for name in results}
        for (name, size), found in rates.items():
            rounds[name][size] = found
        document = {
            "seconds": options.seconds,
            "connections": CONNECTIONS,
            "requests_per_second": results,
            "rounds": rounds,
        }
        write_json(options.json, document)


if __name__ == "__main__":
    main()
