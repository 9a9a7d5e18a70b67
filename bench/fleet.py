"""Hosts that share a store, under load: each in turn is cut off, frozen, and loses its agent.

    python bench/fleet.py [--short] [--json FILE]

Three hosts, each with nginx, an agent and a way to the one memcached that can be cut. Visitors ask
all of them for pages of PHP, while twice a second one page changes and is purged at one host or
another. A failure is an answer that is not 200, or no whole page. A page is old when it comes as it
was more than a second before it was asked for, counted from when its purge was answered 200.
Purges at a host that is cut off, which are answered 503, count from when the host is back. The
first rows are without a fault: how long after a purge another host showed the page of before.
Exit code 1 when anything failed. Needs nginx, memcached and php-fpm; MEMFIS_TEST_READER=lua has
pages read by nginx's Lua module.
"""

import argparse
import itertools
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from signal import SIGKILL

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "tests"))

from support.directory import reachable_directory
from support.fleet import Host, Hosts, fleet
from support.http import Connection
from support.php import PhpFpm

NAMES = ("web1", "web2", "web3")
PAGES = 20
BOUND = 1.0
"""Seconds for which a page of before may be shown (docs/architecture.md, "Bounds")."""

KEPT = 900
"""Requests over one connection: nginx ends it after 1,000 (keepalive_requests)."""

EACH = 0.5
"""Seconds between two purges."""


@dataclass
class Result:
    """What came of a drill. Seconds, and numbers of answers."""

    drill: str
    requests: int = 0
    hits: int = 0
    failures: int = 0
    purges: int = 0
    old: int = 0
    oldest: float = 0.0
    """After its purge was answered, the page of before that was asked for last."""
    failed: list[str] = field(default_factory=list)


class Load:
    """Visitors of all hosts, and who changes and purges pages."""

    def __init__(self, hosts: Hosts, result: Result) -> None:
        self._hosts, self._result = hosts, result
        self._versions = [0] * PAGES
        self._purged: list[list[tuple[float, int]]] = [[] for _ in range(PAGES)]
        """When a purge of a page was answered, and which version it has at least from then on."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(host,)) for host in hosts.all]
        self._threads.append(threading.Thread(target=self._change))

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, host: Host) -> None:
        connection: Connection | None = None
        for turn in itertools.count():
            if self._stop.is_set():
                break
            if not turn % KEPT:
                connection = None
            number = random.randrange(PAGES)
            asked = time.monotonic()
            try:
                connection = connection or Connection(host.site.public)
                answer = connection.ask(f"/page-{number}", host="site.example")
            except (OSError, AssertionError, EOFError) as error:
                connection = None
                self._fail(f"{host.name}: {error!r}")
                continue
            whole = answer.body.startswith(b"<html><p>") and answer.body.endswith(b"</p></html>")
            if answer.status != 200 or not whole:
                self._fail(f"{host.name}: {answer.status} {answer.body[:100]!r}")
                continue
            version = json.loads(answer.body[len(b"<html><p>") : -len(b"</p></html>")])[number]
            with self._lock:
                self._result.requests += 1
                self._result.hits += answer.source == "HIT"
                after = [asked - at for at, least in self._purged[number] if version < least]
            if after and max(after) > 0:
                self._result.oldest = max(self._result.oldest, *after)
                self._result.old += max(after) > BOUND

    def _change(self) -> None:
        self._hosts.say(json.dumps(self._versions))
        while not self._stop.wait(EACH):
            number = random.randrange(PAGES)
            self._versions[number] += 1
            version = self._versions[number]
            self._hosts.say(json.dumps(self._versions))
            host = random.choice(self._hosts.all)
            try:
                status = host.purge(f"/page-{number}")
            except (OSError, AssertionError, EOFError) as error:
                self._result.failed.append(f"purge at {host.name}: {error!r}")
                continue
            if status == 200:
                with self._lock:
                    self._purged[number].append((time.monotonic(), version))
                self._result.purges += 1

    def _fail(self, what: str) -> None:
        self._result.failures += 1
        if len(self._result.failed) < 5:
            self._result.failed.append(what)


def nothing(_: Host, seconds: float) -> None:
    """Let all be well."""
    time.sleep(seconds)


def cut(host: Host, seconds: float) -> None:
    """End the host's connections to the store, and let it have none for a while."""
    host.link.cut()
    time.sleep(seconds)
    host.link.mend()
    time.sleep(seconds)


def frozen(host: Host, seconds: float) -> None:
    """Let nothing come through between the host and the store for a while."""
    host.link.freeze()
    time.sleep(seconds)
    host.link.thaw()
    time.sleep(seconds)


def killed(host: Host, seconds: float) -> None:
    """Kill the host's agent, and start it again after a while."""
    host.agent.end(SIGKILL)
    time.sleep(seconds)
    host.start_agent()
    time.sleep(seconds)


FAULTS: tuple[Callable[[Host, float], None], ...] = (nothing, cut, frozen, killed)


def main() -> int:
    """Run all drills, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a second for each state")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    seconds = 1.0 if arguments.short else 5.0
    results = []
    print("drill                 requests   hits  failures  purges  old  oldest")
    with reachable_directory() as directory:
        php = PhpFpm(directory, children=24)
        php.start()
        try:
            with fleet(directory, php, *NAMES) as hosts:
                for fault in FAULTS:
                    for host in hosts.all:
                        result = Result(f"{host.name} {fault.__name__}")
                        with Load(hosts, result):
                            fault(host, seconds)
                        results.append(result)
                        print(
                            f"{result.drill:20} {result.requests:9} {result.hits:6}"
                            f" {result.failures:9} {result.purges:7} {result.old:4}"
                            f" {result.oldest:7.3f}",
                            *result.failed[:3],
                            flush=True,
                        )
        finally:
            php.end()
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in results]))
    return 1 if any(each.failures or each.old for each in results) else 0


if __name__ == "__main__":
    sys.exit(main())
