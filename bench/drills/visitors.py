"""Visitors: connections that are kept, one request after the other, every answer checked."""

import gzip
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pages import BROKEN, Pages

from support.http import Answer, Connection

STALE = 1.0
"""Seconds that a page may be asked for after it was replaced, and still come as it was."""

PAUSE = 0.002
"""Seconds between two requests of one visitor: a load, but not a race for the processors."""

POPULAR = 0.95
"""The part of the requests that goes to a quarter of the pages. memcached evicts the others."""

_REQUESTS = 500
"""Requests over one connection; nginx closes it after 1,000."""


@dataclass
class Tally:
    """What visitors saw."""

    requests: int = 0
    hits: int = 0
    stale: int = 0
    oldest: float = 0.0
    """Seconds since the replacement of the oldest page that came, when it was asked for."""
    lost: int = 0
    """Connections that ended instead of an answer, where visitors may ask once more."""
    failures: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count what another visitor saw."""
        self.requests += other.requests
        self.hits += other.hits
        self.stale += other.stale
        self.oldest = max(self.oldest, other.oldest)
        self.lost += other.lost
        self.failures += other.failures


def body(answer: Answer) -> bytes:
    """Return the content of an answer, which may have come compressed."""
    return gzip.decompress(answer.body) if answer.header("Content-Encoding") else answer.body


class Visitors:
    """Visitors of a site, from `start` to `stop`.

    `kept_since` returns since when an agent keeps the site (`time.monotonic`), None while none
    does: a page counts as stale only for the time that an agent had to put it right. Whoever
    `reconnects` asks once more when a connection ends without an answer, as browsers do.
    """

    def __init__(
        self, address: Path, host: str, pages: Pages, kept_since: Callable[[], float | None]
    ) -> None:
        self.reconnects = False
        self._address, self._host = address, host
        self._pages = pages
        self._kept_since = kept_since
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._tallies: list[Tally] = []

    def start(self, number: int) -> None:
        """Let `number` visitors come; every second one takes gzip."""
        self._tallies = [Tally() for _ in range(number)]
        self._threads = [
            threading.Thread(target=self._visit, args=(each, tally), daemon=True)
            for each, tally in enumerate(self._tallies)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> Tally:
        """Let every visitor finish the request, and return what they saw."""
        self._stopped.set()
        total = Tally()
        for thread, tally in zip(self._threads, self._tallies, strict=True):
            thread.join()
            total.add(tally)
        return total

    def _visit(self, number: int, tally: Tally) -> None:
        page = 0
        choice = random.Random(number)
        popular = len(self._pages) // 4
        headers = {"Accept-Encoding": "gzip"} if number % 2 else {}
        again = False
        while not self._stopped.is_set():
            try:
                with Connection(self._address) as connection:
                    for _ in range(_REQUESTS):
                        if self._stopped.is_set():
                            return
                        if not again:
                            often = choice.random() < POPULAR
                            page = choice.randrange(popular if often else len(self._pages))
                            tally.requests += 1
                        self._ask(connection, page, headers, tally)
                        again = False
                        self._stopped.wait(PAUSE)
            except Exception as error:  # whatever a client sees is what is to be told
                again = self.reconnects and not again and isinstance(error, ConnectionError)
                tally.lost += again
                if not again:
                    tally.failures.append(f"{self._pages.path(page)}: {error!r}")

    def _ask(
        self, connection: Connection, page: int, headers: dict[str, str], tally: Tally
    ) -> None:
        kept_since = self._kept_since()
        asked = time.monotonic()
        answer = connection.ask(self._pages.path(page), headers=headers, host=self._host)
        version = self._pages.version(page, body(answer))
        tally.hits += answer.source == "HIT"
        if answer.status != 200 or version == BROKEN:
            said = f"{answer.status} {answer.source}, {len(answer.body)} bytes"
            tally.failures.append(f"{self._pages.path(page)}: {said}")
            return
        replaced = self._pages.replaced(page, version)
        if replaced is None or kept_since is None or self._kept_since() != kept_since:
            return
        age = asked - max(replaced, kept_since)
        tally.oldest = max(tally.oldest, age)
        tally.stale += age > STALE
