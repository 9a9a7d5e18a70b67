"""What many pages cost the reader in Lua: a hot set larger than its first level, and memory.

    python bench/first_level.py [--only hot,memory] [--requests 1000000] [--rounds 3] [--json FILE]

hot     requests a second to pages of 10 KB at random, four times as many as nginx has room for, by
        Lua and by `memcached_pass`: most are misses of the first level
memory  what a worker of nginx has in memory, in MiB without what is shared, after so many requests
        to 2,000 pages of 100 KB at random for who takes gzip, then a tenth as many for who takes
        none: each of these is unpacked, as a worker has no room for so many

The pages are documentation's words, compressed as memfis stores them, but those of `hot`, which are
stored as they are. Needs nginx with its Lua module, memcached and wrk.
"""

import argparse
import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from common import Section, Target, interleaved, medians, ratio, write_json
from memfis.layout.heads import Head, encode_head
from memfis.layout.keys import head_key
from serving import CONNECTIONS, servers, text
from support.directory import reachable_directory
from support.memcached import Memcached
from support.nginx import Nginx, Site
from support.ports import free_port

FIRST_LEVEL = 64
"""MiB of nginx's own memory, as the role gives it."""
HOT = 4 * FIRST_LEVEL * 2**20 // 10_000
"""Pages of 10 KB."""
LARGE = 2_000
"""Pages of 100 KB."""
SECONDS = 5
HEAD = encode_head(Head(mtime_ns=1_700_000_000 * 10**9))

RANDOM = """
math.randomseed(os.time())
request = function()
    return wrk.format("GET", "/" .. math.random({first}, {last}) .. ".html")
end
"""


def wrk(directory: Path, port: int, pages: range, seconds: int, *headers: str) -> tuple[float, int]:
    """Ask for `pages` at random; return requests a second, and how many there were."""
    script = directory / "random.lua"
    script.write_text(RANDOM.format(first=pages.start, last=pages.stop - 1))
    said = subprocess.run(
        [
            *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script),
            *(word for header in headers for word in ("-H", header)),
            f"http://127.0.0.1:{port}/",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    count = re.search(r"(\d+) requests in", said)
    if rate is None or count is None or "Non-2xx" in said or "Socket errors" in said:
        sys.exit(said)
    return float(rate[1]), int(count[1])


def own_memory(nginx: Nginx) -> float:
    """Return the largest private memory of a worker, in MiB (proc_pid_smaps_rollup)."""
    found = []
    for pid in set(servers(nginx.pid)) - {nginx.pid}:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found.append(sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB", rollup, re.MULTILINE))))
    return max(found) / 1024


@contextmanager
def served(
    pages: Mapping[str, tuple[bytes, int]],
) -> Iterator[tuple[Path, Nginx, dict[str, tuple[Site, int]]]]:
    """Start an nginx with one worker that has `pages`, values and flags, by both readers."""
    with reachable_directory() as directory:
        store = Memcached(directory, "-m", "2048")
        sites = {}
        for name in ("lua", "memcached_pass"):
            port = free_port()
            listen = [f"127.0.0.1:{port}"]
            site = Site(directory, store, name.partition("_")[0], from_memory=name, listen=listen)
            sites[name] = site, port
        nginx = Nginx(directory, *(site for site, _ in sites.values()), first_level=FIRST_LEVEL)
        try:
            store.start()
            for site, _ in sites.values():
                for path, (value, flags) in pages.items():
                    site.put(path, value, flags)
                    if site.name == "lua":
                        store.put(head_key("lua", path.encode()), HEAD, flags)
            nginx.start()
            yield directory, nginx, sites
        finally:
            nginx.end()
            store.end()


def contents(number: int, size: int) -> Iterator[bytes]:
    """Yield `number` pages: LuaJIT keeps what is the same only once."""
    content = text(size)
    for each in range(number):
        place = each % size
        yield (b"%7d" % each + content[place:] + content[:place])[:size]


def hot(rounds: int, _requests: int) -> Section:
    """Measure a hot set that is four times the first level."""
    pages = {f"/{n}.html": (body, 0) for n, body in enumerate(contents(HOT, 10_000))}
    with served(pages) as (directory, _, sites):
        measures: dict[str, Callable[[], float]] = {
            name: partial(lambda port: wrk(directory, port, range(HOT), SECONDS)[0], port)
            for name, (_, port) in sites.items()
        }
        for measure in measures.values():
            measure()
        rates = interleaved(measures, rounds)
    rows = [["requests/s", ""], *([name, f"{rate:,.0f}"] for name, rate in medians(rates).items())]
    target = Target("Lua, to memcached_pass", ratio(rates, "lua", "memcached_pass"), 0.7, True)
    title = f"{HOT:,} pages of 10 KB at random, {FIRST_LEVEL} MiB of first level"
    return Section(title, rows, [target], {"hot": rates})


def memory(_rounds: int, requests: int) -> Section:
    """Measure what a worker keeps."""
    pages = {
        f"/{n}.html": (gzip.compress(body, 9), 2) for n, body in enumerate(contents(LARGE, 100_000))
    }
    found = {}
    with served(pages) as (directory, nginx, sites):
        _, port = sites["lua"]
        wrk(directory, port, range(1), 1)
        found["of one page"] = own_memory(nginx)
        for name, header, wanted in (
            ("gzip", "Accept-Encoding: gzip", requests),
            ("identity", "Accept: */*", requests // 10),
        ):
            asked = 0
            while asked < wanted:
                asked += wrk(directory, port, range(LARGE), SECONDS, header)[1]
                found[name] = max(found.get(name, 0), own_memory(nginx))
    rows = [["MiB of a worker", ""], *([name, f"{mib:,.1f}"] for name, mib in found.items())]
    title = f"{requests:,} requests to {LARGE:,} pages of 100 KB"
    return Section(title, rows, [], {"memory": found})


def main() -> None:
    """Measure, print the tables, and write JSON when asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", default="hot,memory", metavar="NAME,...", help="default %(default)s")
    add("--requests", type=int, default=10**6, help="of `memory` (default %(default)s)")
    add("--rounds", type=int, default=3, help="of `hot`, of which the median counts")
    add("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()
    document = {}
    for name in options.only.split(","):
        section = {"hot": hot, "memory": memory}[name](options.rounds, options.requests)
        print(section, flush=True)
        document[name] = section.document()
    if options.json is not None:
        write_json(options.json, document)


if __name__ == "__main__":
    main()
