"""The scene of a drill: nginx, memcached, an agent, pages that change, and visitors."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pages import Pages
from visitors import Tally, Visitors, body

from support.command import in_background
from support.http import Connection
from support.memcached import Memcached
from support.nginx import Nginx, Site
from support.process import unprivileged, wait_for
from support.reader import READER

NAME = "drill.example"
PAGES = 300
VISITORS = 6
CHANGES = 0.1
"""Seconds between two changes of a page."""

LOOK = 0.05
"""Seconds between two looks whether the site is whole: the error of that figure."""


class Scene:
    """A site that is served and kept; changes happen until `still`."""

    def __init__(self, directory: Path, stack: ExitStack, *memcached: str) -> None:
        user = unprivileged()
        self.store = Memcached(directory, *memcached)
        self._site = Site(directory, self.store, NAME)
        self.pages = Pages(self._site.root, PAGES)
        self.nginx = Nginx(directory, self._site, workers=2)
        config = directory / "memfis.toml"
        config.write_text(
            f'store = "memcached://{self.store.socket}"\nruntime_directory = "{directory}/run"\n'
            + (f'reader = "{user.pw_name}"\n' if user else "")
            + (f'first_level = "{self._site.told}"\n' if self._site.told else "")
            + f'[[sites]]\nname = "{NAME}"\nroot = "{self._site.root}"\n'
            + f'from_memory = "{READER}"\n'
        )
        self.agent = in_background(directory, "agent", "--config", config)
        self._kept_since: float | None = None
        self._still = threading.Event()
        self._changer = threading.Thread(target=self._change, daemon=True)
        self._visitors = Visitors(self._site.public, NAME, self.pages, lambda: self._kept_since)
        stack.callback(self.store.end)
        self.store.start()
        stack.callback(self.nginx.end)
        self.nginx.start()
        stack.callback(self.agent.end, signal.SIGKILL)
        self.start_agent()
        self.wait_until_kept()
        if self.seconds_until_whole(time.monotonic(), 20) is None:
            raise AssertionError(f"the site was never whole: {self.agent.log.read_text()}")

    def begin(self, *, reconnects: bool = False) -> None:
        """Let the visitors come and the pages change; `reconnects`: visitors.py."""
        self._visitors.reconnects = reconnects
        self._visitors.start(VISITORS)
        self._changer.start()
        time.sleep(1)

    def still(self) -> None:
        """Change no page any more."""
        self._still.set()
        self._changer.join()

    def end(self) -> Tally:
        """Return what the visitors saw, a second after the last event."""
        time.sleep(1)
        return self._visitors.stop()

    def start_agent(self) -> None:
        """Start an agent, and go on when it is about to begin its first sync."""
        before = self._log_size()
        self._started = time.time()
        self.agent.start(lambda: self._log_size() > before)

    def is_kept(self) -> bool:
        """Whether the agent has ended its first sync: its time is in the site item."""
        with self.store.client() as client:
            item = client.get(b"memfis-site://" + NAME.encode())
        return item is not None and json.loads(item)["last_sync"] >= self._started

    def wait_until_kept(self) -> None:
        """Wait for the agent's first sync; from now on a stale page is one that counts."""
        wait_for(self.is_kept, "the agent's first sync")
        self._kept_since = time.monotonic()

    def kill_agent(self) -> None:
        """Kill the agent and all that it started."""
        self._kept_since = None
        self.agent.end(signal.SIGKILL)

    def current(self, pages: list[int]) -> int:
        """Return how many of `pages` come out of the store as they are on the disk."""
        with Connection(self._site.public) as connection:
            return sum(self._is_current(connection, page) for page in pages)

    def absent(self) -> int:
        """Return how many pages the store does not have; by its list, as to ask keeps pages in."""
        page = b"key=memfis%3A%2F%2F" + NAME.encode()
        return len(self.pages) - sum(item.startswith(page) for item in self.store.items())

    def seconds_until_whole(self, since: float, limit: float) -> float | None:
        """Return how long after `since` every page was a HIT and current; None: not in `limit`."""
        pending = list(range(len(self.pages)))
        while time.monotonic() < since + limit:
            with Connection(self._site.public) as connection:
                while pending and self._is_current(connection, pending[-1]):
                    pending.pop()
            if not pending:
                return time.monotonic() - since
            time.sleep(LOOK)
        return None

    def _is_current(self, connection: Connection, page: int) -> bool:
        answer = connection.ask(self.pages.path(page), host=NAME)
        version = self.pages.version(page, body(answer))
        return answer.source == "HIT" and version == self.pages.current(page)

    def _change(self) -> None:
        choice = random.Random(1)
        while not self._still.wait(CHANGES):
            self.pages.change(choice.randrange(len(self.pages)))

    def _log_size(self) -> int:
        log = self.agent.log
        return log.stat().st_size if log.exists() else 0


@contextmanager
def scene(directory: Path, *memcached: str) -> Iterator[Scene]:
    """Yield a scene whose site is whole; `memcached`: more options for it."""
    os.makedirs(directory, exist_ok=True)
    with ExitStack() as stack:
        yield Scene(directory, stack, *memcached)
