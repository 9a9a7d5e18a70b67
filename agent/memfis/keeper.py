"""Keep sites equal to their web roots: sync at start, on change, and from time to time."""

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from memfis.catalog import Catalog
from memfis.config import Site, StoreAddress
from memfis.errors import MemfisError, UsageError
from memfis.store import Store
from memfis.sync import Options, Report, site_lock, sync
from memfis.sync.report import shown
from memfis.watch import TreeWatcher, WatchLimitError

QUIET = 0.05
"""Seconds without a change before a burst counts as over."""

BURST = 0.5
"""Seconds after the first change of a burst when the sync starts at the latest."""

PROBE = 1.0
"""Seconds between two looks whether the store still is the one that was filled."""

RECONCILE = 300.0
"""Seconds between two syncs when nothing seems to change: evictions, foreign writes, leases."""

POLL = 10.0
"""The same where the web root cannot be watched."""

RETRY = 2.0
"""Seconds before a sync that failed is tried again."""

log = logging.getLogger("memfis")


class KeptSite:
    """One site, and when it is to be synced next. Times are those of `time.monotonic`, seconds."""

    def __init__(self, site: Site, options: Options, locks: Path) -> None:
        """Prepare to keep `site`; `locks` is the directory of lock files."""
        self.site = site
        self.store = Store(StoreAddress.parse(site.store))
        self.catalog = Catalog(self.store, site.name)
        self.watcher = TreeWatcher(os.fsencode(site.root))
        self.due = 0.0
        self.report: Report | None = None
        self._options = options
        self._locks = locks
        self._first_change: float | None = None
        self._watch_again = 0.0
        self._epoch: str | None = None
        self._told: set[str] = set()

    def changed(self) -> None:
        """Note that something in the web root happened now."""
        now = time.monotonic()
        if self._first_change is None:
            self._first_change = now
        self.due = min(now + QUIET, self._first_change + BURST)

    def watch(self) -> None:
        """Read what the watcher saw, or start it; on a failure say so once and go on looking."""
        try:
            if not self.watcher.started:
                if time.monotonic() < self._watch_again:
                    return
                self.watcher.start()
                self.due = 0.0
            elif self.watcher.changed():
                self.changed()
        except (OSError, WatchLimitError) as error:
            self.watcher.close()
            limit = isinstance(error, WatchLimitError)
            self._watch_again = time.monotonic() + (RECONCILE if limit else RETRY)
            self.tell(logging.WARNING, f"{self.site.name}: {error}")

    def probe(self) -> None:
        """Sync soon if the store lost the site: it was restarted, flushed, or replaced."""
        if self.report is None:
            return
        try:
            item = self.catalog.site_item()
        except MemfisError as error:
            self._epoch = None
            self.store.close()  # no connection to a store that is gone
            self.tell(logging.ERROR, str(error))
            return
        if item is None or item.epoch != self._epoch:
            if self._epoch is not None:
                log.warning("%s: the store lost the site; filling it again", self.site.name)
            self._epoch = None
            self.due = 0.0

    def sync(self) -> Report | None:
        """Make the store equal to the web root now; on a failure say so and try again later."""
        self._first_change = None
        try:
            with site_lock(self._locks, self.site.name):
                report = sync(self.site, self.store, self._options)
                item = self.catalog.site_item()
        except MemfisError as error:
            self.store.close()
            self.due = time.monotonic() + RETRY
            self.tell(logging.ERROR, str(error))
            return None
        self._epoch = item.epoch if item else None
        self.due = time.monotonic() + (RECONCILE if self.watcher.started else POLL)
        problems = {
            f"{self.site.name}: {shown(each.path)}: {each.reason}" for each in report.problems
        }
        for problem in sorted(problems - self._told):
            log.warning("%s", problem)
        self._told = problems
        if self.report is None or report.did_something:
            log.info("%s", report.summary())
        self.report = report
        return report

    def tell(self, level: int, message: str) -> None:
        """Log `message` unless it was logged since the last sync that went well."""
        if message not in self._told:
            self._told.add(message)
            log.log(level, "%s", message)

    def close(self) -> None:
        """Stop watching and let go of the store."""
        self.watcher.close()
        self.store.close()


class Stopper:
    """Turns SIGINT and SIGTERM into something a selector can wait for."""

    def __init__(self) -> None:
        """Catch the signals from now on; the process must be in its main thread."""
        self.signal: int | None = None
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno())
        self._before = {
            number: signal.signal(number, self._caught)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a signal came."""
        return self._reader.fileno()

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._reader.close()
        self._writer.close()

    def _caught(self, number: int, _: object) -> None:
        self.signal = number


def keep(
    sites: Sequence[KeptSite], stopper: Stopper, each_second: Callable[[], None] = lambda: None
) -> None:
    """Keep `sites` until a signal comes. `each_second` may raise to end it."""
    if not sites:
        raise UsageError("no site to keep: configure one under [[sites]]")
    probed = time.monotonic()
    while stopper.signal is None:
        for site in sites:
            site.watch()
            if site.due <= time.monotonic() and stopper.signal is None:
                site.sync()
        now = time.monotonic()
        if now >= probed + PROBE:
            probed = now
            each_second()
            for site in sites:
                site.probe()
        with selectors.DefaultSelector() as selector:
            selector.register(stopper, selectors.EVENT_READ)
            for site in sites:
                if site.watcher.started:
                    selector.register(site.watcher, selectors.EVENT_READ)
            wait = min([probed + PROBE, *(site.due for site in sites)]) - time.monotonic()
            selector.select(max(0.0, wait))
