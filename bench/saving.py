"""From `close()` of a changed file to the first visitor who gets it from memory."""

import multiprocessing
import os
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from math import ceil
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Protocol

from common import Section, Target
from support.command import in_background, memfis_json
from support.http import Connection
from support.nginx import Web
from synced import SITE, configure
from trees import Page, Tree, body, page_of

PACE = 0.05, 0.15
"""Seconds between two changes: at random from the first to the second."""

PAUSE = 0.001
"""Seconds between two looks at a page that was changed, and between two of a visitor's requests."""

AT_ONCE = 8
"""Changed pages asked for between two pauses, in turn when more are waited for."""

GIVEN_UP = 60.0
"""Seconds after which a change counts as never served."""

FIRST_SYNC = 900.0
"""Seconds for the agent to fill the store."""

TARGET = 100.0
"""Milliseconds at the 99th percentile."""


class Sender(Protocol):
    """The writing end of a pipe between processes."""

    def send(self, obj: Any) -> None:
        """Send one object."""


@dataclass
class Visits:
    """What was asked, and how it went."""

    requests: int = 0
    fallbacks: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, others: "Visits") -> None:
        """Count `others` too."""
        self.requests += others.requests
        self.fallbacks += others.fallbacks
        self.failures += others.failures


class Visitor:
    """Asks for pages over a connection that is kept, and judges every answer."""

    def __init__(self, public: Path, tree: Tree) -> None:
        self.visits = Visits()
        self._public = public
        self._tree = tree
        self._newest: dict[int, int] = {}
        self._connection = Connection(public)

    def ask(self, number: int) -> int | None:
        """Ask for file `number`; return its version when it came whole and from memory."""
        failures = self.visits.failures
        self.visits.requests += 1
        try:
            answer = self._connection.ask(self._tree.url(number), host=SITE)
        except (OSError, HTTPException) as error:
            failures[f"no answer: {error!r}"] += 1
            self._connection.socket.close()
            self._connection = Connection(self._public)
            return None
        page = page_of(answer.body)
        if answer.status != 200:
            failures[f"status {answer.status}"] += 1
        elif page is None or page.number != number:
            failures["not a whole page"] += 1
        elif page.version < self._newest.get(number, 0):
            failures["an older page again"] += 1
        else:
            self._newest[number] = page.version
            if answer.source == "HIT":
                return page.version
            self.visits.fallbacks += 1
        return None


@dataclass
class Change:
    """A file that was changed; times are those of `time.perf_counter`."""

    number: int
    version: int
    renamed: bool
    closed: float = 0.0
    served: float | None = None

    def make(self, tree: Tree) -> None:
        """Write the new content in place, or beside it and over it as careful programs save."""
        path = tree.path(self.number)
        target = path.with_name(f".{path.name}.new") if self.renamed else path
        with target.open("wb") as file:
            file.write(body(Page(self.number, self.version), tree.size))
        if self.renamed:
            os.rename(target, path)
        self.closed = time.perf_counter()

    @property
    def milliseconds(self) -> float:
        """How long it took until it was served; GIVEN_UP when it never was."""
        return (GIVEN_UP if self.served is None else self.served - self.closed) * 1000


def make_changes(tree: Tree, visitor: Visitor, changes: Sequence[Change]) -> None:
    """Make `changes` at their pace, whatever is still waited for, and note when each is served."""
    moments = random.Random(1)
    to_do, waiting = deque(changes), deque[Change]()
    due = time.perf_counter()
    while to_do or waiting:
        if to_do and time.perf_counter() >= due:
            change = to_do.popleft()
            change.make(tree)
            waiting.append(change)
            due += moments.uniform(*PACE)
        for _ in range(min(AT_ONCE, len(waiting))):
            change = waiting.popleft()
            served = visitor.ask(change.number) == change.version
            now = time.perf_counter()
            if served:
                change.served = now
            elif now < change.closed + GIVEN_UP:
                waiting.append(change)
        time.sleep(PAUSE)


def visit(public: Path, tree: Tree, changing: Sequence[int], ended: Event, results: Sender) -> None:
    """Ask for any page and for those that change, by turns, until `ended`: a process of its own."""
    choice = random.Random(2)
    visitor = Visitor(public, tree)
    while not ended.is_set():
        visitor.ask(choice.randrange(tree.files))
        visitor.ask(choice.choice(changing))
        time.sleep(PAUSE)
    results.send(visitor.visits)


@contextmanager
def another_visitor(public: Path, tree: Tree, changing: Sequence[int]) -> Iterator[Visits]:
    """Let another process ask all the time; its visits are known at the end."""
    context = multiprocessing.get_context("fork")
    ended = context.Event()
    receiver, sender = context.Pipe(duplex=False)
    arguments = (public, tree, changing, ended, sender)
    process = context.Process(target=visit, args=arguments, daemon=True)
    visits = Visits()
    process.start()
    sender.close()
    try:
        yield visits
    finally:
        ended.set()
        visits.add(receiver.recv())
        process.join()


def wait_for_agent(config: Path, tree: Tree, visitor: Visitor, number: int) -> None:
    """Return when the agent has filled the store and follows changes; fail when it never does."""
    end = time.monotonic() + FIRST_SYNC
    while not memfis_json("status", "--config", config)["sites"][0].get("last_sync"):
        if time.monotonic() > end:
            sys.exit(f"the agent did not fill the store within {FIRST_SYNC:.0f} s")
        time.sleep(0.5)
    make_changes(tree, visitor, planned(tree, [number]))


def planned(tree: Tree, numbers: Sequence[int]) -> list[Change]:
    """Return a change of each of the files `numbers`, every other one by rename."""
    changes = []
    for position, number in enumerate(numbers):
        page = page_of(tree.path(number).read_bytes())
        if page is None:
            sys.exit(f"{tree.path(number)}: not as it was made; remove the tree")
        changes.append(Change(number, page.version + 1, renamed=bool(position % 2)))
    return changes


def percentile(figures: Sequence[float], part: float) -> float:
    """Return the smallest figure that `part` of all do not exceed."""
    return sorted(figures)[max(0, ceil(part * len(figures)) - 1)]


def summary(changes: Sequence[Change]) -> dict[str, float]:
    """Return the percentiles of `changes` in milliseconds."""
    figures = [change.milliseconds for change in changes]
    parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: percentile(figures, part) for name, part in parts.items()}


def measure_changes(directory: Path, tree: Tree, number: int, memory: int) -> Section:
    """Change `number` files under a running agent; `memory`: MiB of the store.

    With MEMFIS_TEST_READER=lua every page was asked for before: nginx's own memory is full of them.
    """
    *changing, first = random.Random(number).sample(range(tree.files), number + 1)
    web = Web(directory, "-m", str(memory))
    site = web.site(
        SITE, root=os.fspath(tree.root), extra="keepalive_requests 1000000000; keepalive_time 1d;"
    )
    with ExitStack() as ends:
        ends.callback(web.end)
        web.start()
        config = configure(directory, web.store, tree.root, site.told)
        agent = in_background(directory, "agent", "--config", config)
        ends.callback(agent.end)
        agent.start(lambda: True)
        visitor = Visitor(site.public, tree)
        wait_for_agent(config, tree, visitor, first)
        for each in range(tree.files if site.told else 0):
            visitor.ask(each)
        visitor.visits = Visits()
        changes = planned(tree, changing)
        with another_visitor(site.public, tree, changing) as visits:
            make_changes(tree, visitor, changes)
        visits.add(visitor.visits)
    return section(tree, changes, visits)


def section(tree: Tree, changes: Sequence[Change], visits: Visits) -> Section:
    """Return the table of `changes` and of the `visits` meanwhile."""
    kinds = {
        "all": list(changes),
        "written in place": [change for change in changes if not change.renamed],
        "renamed over": [change for change in changes if change.renamed],
    }
    rows = {f"{name} ({len(those)})": summary(those) for name, those in kinds.items() if those}
    table = [["milliseconds", *summary(changes)]]
    table += [
        [name, *(f"{figure:,.1f}" for figure in figures.values())] for name, figures in rows.items()
    ]
    lost = sum(change.served is None for change in changes)
    failed = visits.failures.total() + lost
    note = f"{visits.requests:,} requests meanwhile, {visits.fallbacks:,} of them from disk"
    reasons = [f"failure: {reason}: {count}" for reason, count in visits.failures.items()]
    return Section(
        f"Change to served: {len(changes)} of {tree.files:,} files, from close() to the first HIT",
        table,
        [
            Target("99th percentile", summary(changes)["p99"], TARGET, unit="ms"),
            Target("failures", failed, 0),
        ],
        {
            "milliseconds": [change.milliseconds for change in changes],
            "renamed": [change.renamed for change in changes],
            "percentiles": rows,
            "requests": visits.requests,
            "fallbacks": visits.fallbacks,
            "failures": dict(visits.failures),
            "never_served": lost,
        },
        [note, *([f"never served: {lost}"] if lost else []), *reasons],
    )
