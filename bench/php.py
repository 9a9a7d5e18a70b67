"""Requests a second of a page that PHP makes: from memory, and from what one would use instead.

    python bench/php.py [--seconds 1] [--rounds 3] [--json FILE]

One nginx with one worker and one php-fpm answer all of them, in turn, round by round, so that
whatever else the machine does hits all of them; the median of the rounds counts, for a ratio that
of each round's. The site is the one that memfis installs. Then a crowd comes to a cold page, with a
real agent: how often is PHP asked?
Needs nginx, memcached, php-fpm and wrk.
"""

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from common import Section, Target, interleaved, medians, ratio, write_json
from support.agent import Agent
from support.directory import reachable_directory
from support.memcached import Memcached
from support.nginx import Nginx, Site
from support.php import PhpFpm, settings
from support.ports import free_port
from support.process import wait_for

CONNECTIONS = 32
AT_A_TIME = 250
CROWD = 1000
MEMORY, CACHE, PHP = "memory", "fastcgi_cache", "PHP-FPM"
PACKED, ZIPPED = f"{MEMORY}, stored gzip", f"{CACHE}, gzip on"
LUA, LUA_PACKED = f"{MEMORY} by Lua", f"{MEMORY} by Lua, stored gzip"
WAYS = (MEMORY, LUA, CACHE, PACKED, LUA_PACKED, ZIPPED, PHP)
SITES = {MEMORY: ("bench", "memcached_pass"), LUA: ("lua", "lua")}
"""The name of a site, and what reads it."""

# About 10 KB, made by what applications do: words, patterns, a template. It takes milliseconds,
# less than most applications do.
SCRIPT = rb"""<?php
$begun = microtime(true);
if (str_starts_with($_SERVER['REQUEST_URI'], '/cold')) {
    usleep(200000);
    file_put_contents(dirname($_SERVER['DOCUMENT_ROOT']) . '/asked', "$begun\n", FILE_APPEND);
}
$page = '';
for ($pass = 0; $pass < 10; $pass++) {
    $page = '<!doctype html><title>page</title>';
    for ($row = 0; $row < 100; $row++) {
        $text = str_repeat("etaoin **shrdlu** //cmfwyp// $row ", 2);
        $text = preg_replace('~\*\*(.+?)\*\*~', '<b>$1</b>', htmlspecialchars($text));
        $text = preg_replace('~//(.+?)//~', '<i>$1</i>', $text);
        $page .= '<p id="' . substr(md5("$row"), 0, 8) . "\">$text</p>\n";
    }
}
echo $page;
"""


def rivals(site: Site, php: PhpFpm, ports: dict[str, int]) -> str:
    """Return what one would write without us, for the same script."""
    common = f"""access_log off; root "{site.root}"; include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root/index.php; fastcgi_pass {php.backend};"""
    cached = "fastcgi_cache rival; fastcgi_cache_key $host$uri; fastcgi_cache_valid 200 1h;"
    return f"""
fastcgi_cache_path "{site.root}.cache" levels=1:2 keys_zone=rival:10m inactive=1h;
server {{ listen 127.0.0.1:{ports[PHP]}; gzip off; location / {{ {common} }} }}
server {{ listen 127.0.0.1:{ports[CACHE]}; gzip off; location / {{ {common} {cached} }} }}
server {{
    listen 127.0.0.1:{ports[ZIPPED]};
    gzip on;
    location / {{ {common} {cached} }}
}}
"""


@contextmanager
def served() -> Iterator[tuple[dict[str, Site], dict[str, int]]]:
    """Start everything, and yield the sites and the port of each way."""
    ports = {way: free_port() for way in WAYS}
    ports[PACKED], ports[LUA_PACKED] = ports[MEMORY], ports[LUA]
    with reachable_directory() as directory, ExitStack() as ends:
        store, php = Memcached(directory), PhpFpm(directory)
        sites: dict[str, Site] = {}
        of_the_agent: list[dict[str, Any]] = []
        asked: list[str] = []
        for way, (name, reader) in SITES.items():
            parts = ("hints", "purge", "microcache")
            own = {key: os.fspath(directory / f"{name}.{key}") for key in parts}
            asked += [own["hints"], own["purge"]]
            table = settings(directory, php, canonical=f"http://{name}", **own)
            site = Site(
                directory,
                store,
                name,
                listen=[f"127.0.0.1:{ports[way]}", f"unix:{directory}/{name}.public"],
                php=table,
                index=["index.php"],
                charset="utf-8",
                from_memory=reader,
            )
            site.write("index.php", SCRIPT)
            told = ("canonical", "lifetime", "concurrency", "timeout", *parts)
            of_the_agent.append(
                {
                    "name": name,
                    "root": os.fspath(site.root),
                    "origin": os.fspath(site.origin),
                    "index": ["index.php"],
                    "charset": "utf-8",
                    "from_memory": reader,
                    "php": {key: table[key] for key in told},
                }
            )
            sites[way] = site
        more = rivals(sites[MEMORY], php, ports)
        nginx = Nginx(directory, *sites.values(), more=more)
        keys = {"store": f"memcached://{store.socket}", "first_level": os.fspath(nginx.told)}
        agent = Agent(directory, keys, of_the_agent)
        for each in (store, php, nginx, agent):
            ends.callback(each.end)
            each.start()
        for path in asked:
            Path(path).chmod(0o666)
        yield sites, ports


def measure(way: str, port: int, seconds: int) -> float:
    """Return requests a second; fail when an answer is not 200."""
    time.sleep(0.2)  # PHP works off what it was asked before
    host, _ = SITES[LUA if way in (LUA, LUA_PACKED) else MEMORY]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Host: {host}"]
    if "gzip" in way:
        command += ["-H", "Accept-Encoding: gzip"]
    name = "packed" if way == PACKED else "page"
    url = f"http://127.0.0.1:{port}/{name}/"
    said = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"{way}: {said}")
    return float(found[1])


def crowd(site: Site) -> tuple[int, int]:
    """Let visitors come to a cold page for 5 s; return how many, and what PHP was asked."""
    begun = time.time()

    def visit(_: int) -> int:
        visits = 0
        while time.time() < begun + 5:
            answer = site.get("/cold/")
            if answer.status != 200:
                sys.exit(f"the crowd: {answer.status}")
            visits += 1
        return visits

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        visits = sum(pool.map(visit, range(AT_A_TIME)))
    asked = [float(line) for line in (site.root / "../asked").read_text().splitlines()]
    return visits, sum(each < begun + 5 for each in asked)


def section(rates: dict[str, list[float]], visits: int, asked: int) -> Section:
    """Return the table and the targets."""
    middle = medians(rates)
    rows = [("", "requests/s", "to PHP", "to fastcgi_cache")]
    rows += [
        (
            way,
            f"{rate:,.0f}",
            f"{ratio(rates, way, PHP):.1f} x",
            f"{ratio(rates, way, CACHE):.2f} x",
        )
        for way, rate in middle.items()
    ]
    targets = [
        Target("memory to fastcgi_cache", ratio(rates, MEMORY, CACHE), 1, at_least=True),
        Target("memory by Lua to it", ratio(rates, LUA, CACHE), 1.4, at_least=True),
        Target("the same with gzip", ratio(rates, PACKED, ZIPPED), 1, at_least=True),
        Target("memory to PHP-FPM", ratio(rates, MEMORY, PHP), 20, at_least=True),
        Target("visitors of a cold page in 5 s", visits, CROWD, at_least=True),
        Target("what PHP is asked by them", asked, 3, unit="requests"),
    ]
    notes = [f"the cold page takes 0.2 s; {AT_A_TIME} visitors at a time, each by a new connection"]
    figures = {"requests_per_second": rates, "crowd": {"visits": visits, "asked": asked}}
    title = f"A page that PHP makes: {CONNECTIONS} connections, one nginx worker"
    return Section(title, rows, targets, figures, notes)


def main() -> None:
    """Measure every way, print a table, and write JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=1, help="for each measurement (default 1)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()
    if options.seconds < 1 or options.rounds < 1:
        parser.error("--seconds and --rounds are at least 1")
    with served() as (sites, ports):
        site = sites[MEMORY]
        # What the agent renders; the others are measured without waiting for it.
        wait_for(lambda: sites[LUA].get("/page/").source == "HIT", "a page by Lua")
        page = site.get_origin("/page/").body
        site.put("/page/", page)
        site.put("/packed/", gzip.compress(page, 9), flags=2)
        measures = {way: partial(measure, way, ports[way], options.seconds) for way in WAYS}
        rates = interleaved(measures, options.rounds)
        if any(each.get("/page/").source != "HIT" for each in sites.values()):
            sys.exit("the page did not stay in memory")
        result = section(rates, *crowd(site))
    print(result)
    if options.json is not None:
        write_json(options.json, json.loads(json.dumps(result.document())))


if __name__ == "__main__":
    main()
