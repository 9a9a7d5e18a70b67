"""The site answers as plain nginx does on the same tree, but for what is known to differ.

Two plain servers are the measure, both with `root`, `index`, and nginx's own `gzip on` for HTML:

- What memory answers is measured by one with `gzip_static on` (and `gzip_vary`, `gzip_proxied any`)
  and a .gz beside every file that memory has compressed. That is what memory stands for: pages that
  were compressed once, and are sent so to whom takes it.
- What the disk answers is measured by one on the tree itself, without any .gz: it is what the disk
  has. So is what memory's site leaves to its disk, which gives the same answers as a site with an
  empty store.

Compared are status, body, and the header fields of the representation, of caching, validation and
ranges (`servers.FIELDS`). What differs must be in `known.KNOWN`, whose entries say exactly which
answers they mean; an entry that nothing bears out any more fails too. A table of requests is sent
each time; MEMFIS_PARITY random ones (1,000) besides, from MEMFIS_PARITY_SEED.
"""

import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from differential import requests
from differential.known import ANY, KNOWN, Case, explanations, unexplained
from differential.seeds import NUMBER, SEED
from differential.servers import Request, Servers, servers

PAGE = Path(__file__).parents[2] / "docs/architecture/parity.md"
SHOWN = 20
"""Differences that a failure shows."""


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "more settings"])
def running(request: pytest.FixtureRequest) -> Iterator[Servers]:
    with servers(request.param) as running:
        yield running


def cases(running: Servers, asked: Iterable[Request]) -> Iterator[Case]:
    """Yield a case of each request for the site with memory, and one for the site without."""
    for request in asked:
        static, plain = running.static.ask(request), running.plain.ask(request)
        for site in (running.memory, running.fallback):
            yield Case(request, site.ask(request), static, plain, site.ask)


def compare(running: Servers, asked: Iterable[Request]) -> Counter[str]:
    """Fail for what is not known; return how often memory answered, and what is known was seen."""
    seen: Counter[str] = Counter()
    unknown: list[str] = []
    for case in cases(running, asked):
        seen["from memory"] += case.is_hit
        seen.update(known.what for known, _ in explanations(case))
        fields = unexplained(case)
        if fields and len(unknown) < SHOWN:
            said = {name: (case.ours[name], case.theirs[name]) for name in sorted(fields)}
            where = "memory" if case.is_hit else "disk"
            unknown.append(f"{where}: {case.request}\n    ours, nginx's: {shorter(said)}")
    assert not unknown, "\n".join(unknown)
    return seen


def shorter(said: dict[str, tuple[object, object]]) -> str:
    """Return the fields without most of their bodies."""
    return re.sub(r"(.{60})[^',]{20,}", r"\1…", str(said))


def test_table(running: Servers) -> None:
    seen = compare(running, requests.table())
    assert seen["from memory"] > 1000
    gone = [known.what for known in KNOWN if not seen[known.what]]
    assert not gone, "known differences that are none"


def test_random_requests(running: Servers) -> None:
    source = random.Random(int(os.environ[SEED]))
    seen = compare(running, (requests.at_random(source) for _ in range(NUMBER)))
    assert seen["from memory"] > NUMBER // 20


def test_the_tree_is_all_asked_for(running: Servers) -> None:
    """Of each file memory answers, but for what is too large and what is an error page."""
    left = set()
    for target in map(requests.encode, requests.SPELLED):
        answer = running.memory.ask(Request(target))
        if answer["status"] == 200 and answer.source != "HIT":
            left.add(target)
    assert left - {b"/errors/lost.html"} == {b"/large.bin", b"/large.txt"}


def test_known_differences_are_documented() -> None:
    rows = [f"| {known.what} | {known.why} | {' '.join(known.readers)} |" for known in ANY]
    assert [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:] == rows
