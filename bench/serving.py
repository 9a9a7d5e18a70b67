"""Requests a second: pages from memory against what one would use instead, all in one nginx.

    python bench/serving.py [--seconds 1] [--rounds 3] [--json FILE]

Every way is asked in turn, round by round, so that whatever else the machine does hits all of them;
the median of the rounds counts, and of ratios that of each round's own. Beside it stands the
processor time of all server processes for a request. The configuration measured is the one that
memfis installs. Needs nginx with its Lua module, memcached, varnish and wrk.
"""

import argparse
import gzip
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from pymemcache.client.base import Client

from common import (
    Section,
    Target,
    cpu_seconds,
    interleaved,
    medians,
    ratio,
    write_json,
)
from memfis.layout import keys
from memfis.layout.heads import Head, encode_head
from memfis.layout.keys import head_key
from memfis.settings.site_parts import TLS
from support.directory import reachable_directory
from support.http import Connection
from support.memcached import Memcached
from support.nginx import Nginx, Site
from support.ports import answers, free_port
from support.process import Process, unprivileged
from support.tls import Certificate

SIZES = {"1 KB": 1_000, "10 KB": 10_000, "100 KB": 100_000}
CONNECTIONS = 32
BASELINE = "disk, sendfile"
PACKED = "disk, gzip_static, open_file_cache"


@dataclass(frozen=True)
class Way:
    """One way to answer: where it listens, what the client sends."""

    name: str
    port: int
    path: str
    compressed: bool = False
    condition: bool = False
    """Whether the client has the page, and asks by its ETag."""
    tls: bool = False


def text(size: int) -> bytes:
    """Return `size` bytes of HTML that compress about as well as a page of documentation."""
    choice = random.Random(size)
    words = ["".join(choice.choices("etaoinshrdlu", k=choice.randint(2, 9))) for _ in range(900)]
    page = "<!doctype html><title>page</title>\n"
    while len(page) < size:
        page += f"<p class={choice.choice(words)}>{' '.join(choice.choices(words, k=12))}</p>\n"
    return page.encode()[:size]


def etag(way: Way, number: int) -> str:
    """Return what the page is told from others by."""
    with Connection(("127.0.0.1", way.port)) as connection:
        found = connection.ask(f"/{way.path}{number}.html", host="bench").header("ETag")
    return found or sys.exit(f"{way.name} has no ETag")


def measure(way: Way, size: str, seconds: float) -> float:
    """Return requests a second; fail when an answer is none of those that are wanted."""
    number = SIZES[size]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    if way.compressed:
        command += ["-H", "Accept-Encoding: gzip"]
    if way.condition:
        command += ["-H", f"If-None-Match: {etag(way, number)}"]
    url = f"http{'s' if way.tls else ''}://127.0.0.1:{way.port}/{way.path}{number}.html"
    said = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"{way.name}, {size}: {said}")
    return float(found[1])


def rivals(site: Site, ports: dict[str, int], packed: Path, certificate: Certificate) -> str:
    """Return what one would write without us; `packed`: the files, with a .gz beside each."""
    common = f'access_log off; root "{site.root}";'
    keys = certificate.settings
    return f"""
server {{ listen 127.0.0.1:{ports["disk"]}; {common} gzip off; }}
server {{ listen 127.0.0.1:{ports["cache"]}; {common} gzip off; open_file_cache max=1000; }}
server {{ listen 127.0.0.1:{ports["gzip"]}; {common} gzip on; }}
server {{
    listen 127.0.0.1:{ports["packed"]};
    listen 127.0.0.1:{ports["packed tls"]} ssl;
    ssl_certificate {keys["certificate"]};
    ssl_certificate_key {keys["certificate_key"]};
    access_log off; root "{packed}"; gzip_static on; gzip_vary on; open_file_cache max=1000;
}}
server {{
    listen 127.0.0.1:{ports["recipe"]}; {common} gzip off;
    location / {{
        set $memcached_key memfis://bench$uri;
        memcached_pass 127.0.0.1:{ports["old store"]};
    }}
}}
"""


PORTS = (
    *("site", "lua", "lua tls", "old store", "disk", "cache", "gzip", "packed", "packed tls"),
    *("recipe", "varnish"),
)


def varnish(directory: Path, port: int, backend: int) -> Process:
    """Return a Varnish in front of the nginx at `backend`, with what it takes by default."""
    command = [
        *("varnishd", "-F", "-n", str(directory / "varnish"), "-a", f"127.0.0.1:{port}"),
        *("-b", f"127.0.0.1:{backend}", "-s", "malloc,64m", "-t", "86400"),
    ]
    return Process(command, directory / "varnish.log")


@contextmanager
def ways() -> Iterator[tuple[list[Way], Callable[[], float]]]:
    """Start two stores, an nginx with one worker and a Varnish, and yield every way to ask them.

    And what tells how many seconds of processor time all of them have taken.
    """
    ports = {name: free_port() for name in PORTS}
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
        certificate = Certificate(directory, "bench")
        site = Site(directory, store, "bench", listen=[f"127.0.0.1:{ports['site']}"])
        lua = Site(
            directory,
            store,
            "lua",
            from_memory="lua",
            listen=[f"127.0.0.1:{ports['lua']}"],
            tls={
                **TLS.defaults("nginx"),
                **certificate.settings,
                "listen": [f"127.0.0.1:{ports['lua tls']}"],
                "redirect": False,
            },
        )
        packed = directory / "packed"
        packed.mkdir()
        nginx = Nginx(directory, site, lua, more=rivals(site, ports, packed, certificate))
        front = varnish(directory, ports["varnish"], ports["disk"])
        try:
            store.start()
            old.start(lambda: answers(ports["old store"]))
            for size in SIZES.values():
                page = text(size)
                site.write(f"{size}.html", page)
                site.put(f"/{size}.html", page)
                site.put(f"/packed-{size}.html", gzip.compress(page, 9), flags=2)
                (packed / f"{size}.html").write_bytes(page)
                (packed / f"{size}.html.gz").write_bytes(gzip.compress(page, 9))
                for name, value, flags in (
                    (f"/{size}.html", page, 0),
                    (f"/packed-{size}.html", gzip.compress(page, 9), 2),
                ):
                    lua.put(name, value, flags)
                    head = head_key("lua", name.encode())
                    store.put(head, encode_head(Head(mtime_ns=1_700_000_000 * 10**9)), flags)
                with closing(Client(("127.0.0.1", ports["old store"]))) as client:
                    client.set(keys.page_key("bench", b"/%d.html" % size), page, noreply=False)
            nginx.start()
            front.start(lambda: answers(ports["varnish"]))

            def used() -> float:
                return sum(map(cpu_seconds, servers(nginx.pid, store.pid, old.pid, front.pid)))

            yield (
                [
                    Way("memory", ports["site"], ""),
                    Way("memory, stored gzip", ports["site"], "packed-", compressed=True),
                    Way("Lua", ports["lua"], ""),
                    Way("Lua, stored gzip", ports["lua"], "packed-", compressed=True),
                    Way("Lua, 304", ports["lua"], "packed-", compressed=True, condition=True),
                    Way("Lua, gzip, TLS", ports["lua tls"], "packed-", compressed=True, tls=True),
                    Way(BASELINE, ports["disk"], ""),
                    Way("disk, open_file_cache", ports["cache"], ""),
                    Way("disk, gzip on", ports["gzip"], "", compressed=True),
                    Way(PACKED, ports["packed"], "", compressed=True),
                    Way(f"{PACKED}, TLS", ports["packed tls"], "", compressed=True, tls=True),
                    Way("disk, 304", ports["disk"], "", condition=True),
                    Way("Varnish, gzip", ports["varnish"], "", compressed=True),
                    Way("recipe of 2012", ports["recipe"], ""),
                ],
                used,
            )
        finally:
            front.end()
            nginx.end()
            old.end()
            store.end()


def servers(*pids: int) -> Iterator[int]:
    """Yield the processes `pids`, and those that they have started."""
    for pid in pids:
        yield pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        yield from servers(*map(int, children))


TARGETS = (
    # what, of which way, to which, at least, by size
    ("gzip, to disk with both", "Lua, stored gzip", PACKED, (0.95, 0.95, 0.75)),
    ("gzip, to Varnish", "Lua, stored gzip", "Varnish, gzip", (1.3, 1.3, 1.2)),
    ("identity, to sendfile", "Lua", BASELINE, (1.05, 1.0, 0.9)),
    ("304, to disk", "Lua, 304", "disk, 304", (0.95, 0.95, 0.95)),
    ("gzip over TLS, to disk with both", "Lua, gzip, TLS", f"{PACKED}, TLS", (0.95, 0.95, 0.95)),
)
PROCESSOR = (0.6, 0.55, 0.65)
"""Processor time of a gzip page by Lua, to that by memcached_pass, at most; by size."""


def section(
    rates: dict[tuple[str, str], list[float]], spent: dict[tuple[str, str], list[float]]
) -> Section:
    """Return the table of requests a second, and of µs of processor time for each."""
    rate, cost = medians(rates), medians(spent)
    rows = [["requests/s, to the disk, µs", *SIZES]]
    for name in dict.fromkeys(name for name, _ in rates):
        cells = (
            f"{rate[name, size]:,.0f} {ratio(rates, (name, size), (BASELINE, size)):.2f}"
            f" {cost[name, size]:.1f}"
            for size in SIZES
        )
        rows.append([name, *cells])
    targets = [
        Target(f"{what}, {size}", ratio(rates, (one, size), (other, size)), least, at_least=True)
        for what, one, other, leasts in TARGETS
        for size, least in zip(SIZES, leasts, strict=True)
    ]
    targets += [
        Target(
            f"processor time, to memcached_pass, {size}",
            ratio(spent, ("Lua, stored gzip", size), ("memory, stored gzip", size)),
            most,
        )
        for size, most in zip(SIZES, PROCESSOR, strict=True)
    ]
    figures = {
        "requests_per_second": {f"{name}, {size}": each for (name, size), each in rates.items()},
        "microseconds": {f"{name}, {size}": each for (name, size), each in spent.items()},
    }
    return Section(f"{CONNECTIONS} connections, one nginx worker", rows, targets, figures)


def main() -> None:
    """Measure every way with every size, print a table, and write JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=1, help="for each measurement (default 1)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()
    if options.seconds < 1 or options.rounds < 1:
        parser.error("--seconds and --rounds are at least 1")
    spent: dict[tuple[str, str], list[float]] = {}
    with ways() as (every, used):

        def measured(way: Way, size: str) -> float:
            before = used()
            rate = measure(way, size, options.seconds)
            micro = 1e6 * (used() - before) / (rate * options.seconds)
            spent.setdefault((way.name, size), []).append(micro)
            return rate

        measures = {
            (way.name, size): partial(measured, way, size) for way, size in product(every, SIZES)
        }
        rates = interleaved(measures, options.rounds)
    found = section(rates, spent)
    print(f"median of {options.rounds} rounds of {options.seconds} s")
    print(found)
    if options.json is not None:
        write_json(options.json, found.document())


if __name__ == "__main__":
    main()
