"""The watch on a web root: begun, begun anew when it was lost, or made up for by more syncs."""

import asyncio
import logging
import os
from collections.abc import Iterator
from typing import Protocol

from memfis.keeper.journal import Journal
from memfis.keeper.times import NEVER, RETRY, now
from memfis.watch import Changes, TreeWatcher, WatchLimitError
from memfis.watch.mounts import mounts_of

RECONCILE = 300.0
"""Seconds between two syncs of the whole site when nothing seems to change: evictions, foreign
writes, leases."""

POLL = 10.0
"""The same where the web root cannot be watched."""


class Watcher(Protocol):
    """Who is told of what the watch sees."""

    def changed(self, changes: Changes) -> None:
        """Take note of `changes`; without any there may be a file that is whole by now."""

    def missed_changes(self) -> None:
        """Sync the whole site soon: what happened before now was not seen."""


class Watching:
    """Watches a web root as well as it can be; times are of the event loop's clock, in seconds."""

    def __init__(self, root: str, journal: Journal, watcher: Watcher) -> None:
        """Prepare to watch `root`, and to tell `watcher`; failures go to `journal`, once."""
        self._root = root
        self._journal = journal
        self._watcher = watcher
        self._tree = TreeWatcher(os.fsencode(root))
        self._again = 0.0
        self._period = RECONCILE

    @property
    def directories(self) -> int:
        """How many directories are watched; 0: changes are found by syncs of the whole site."""
        return self._tree.directories

    @property
    def period(self) -> float:
        """How long the whole site may go without a sync."""
        return self._period if self._tree.started else POLL

    @property
    def due(self) -> float:
        """When to `start_or_read` next if no event comes before."""
        if not self._tree.started:
            return self._again
        moment = self._tree.due
        return NEVER if moment is None else moment

    def writing(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the files that are being written: path, and whether for long."""
        return self._tree.writing()

    def start_or_read(self) -> None:
        """Start watching, or read what happened, if that is due; a failure is said once."""
        if self.due > now():
            return
        if self._tree.started:
            self._read()
            return
        try:
            self._start()
        except (OSError, WatchLimitError) as error:
            self._failed(error)
        else:
            self._watcher.missed_changes()

    def stop(self) -> None:
        """Watch no more."""
        if self._tree.started:
            asyncio.get_running_loop().remove_reader(self._tree.fileno())
        self._tree.close()

    def _start(self) -> None:
        self._tree.start()
        mounts = mounts_of(os.path.realpath(os.fsencode(self._root)))
        deaf = [mount for mount in mounts if mount.is_shared]
        self._period = POLL if deaf else RECONCILE
        if deaf:
            self._journal.once(
                logging.WARNING,
                f"{os.fsdecode(deaf[0].point)} is {deaf[0].type}: what others change there is found"
                f" by looking, every {POLL:.0f} s",
            )
        asyncio.get_running_loop().add_reader(self._tree.fileno(), self._read)

    def _read(self) -> None:
        loop = asyncio.get_running_loop()
        before = self._tree.fileno()
        try:
            changes = self._tree.read()
        except (OSError, WatchLimitError) as error:
            loop.remove_reader(before)
            self._failed(error)
            return
        if changes.everything:  # a new descriptor, which may well have the number of the old one
            loop.remove_reader(before)
            loop.add_reader(self._tree.fileno(), self._read)
        self._watcher.changed(changes)

    def _failed(self, error: Exception) -> None:
        self._tree.close()
        limit = isinstance(error, WatchLimitError)
        self._again = now() + (RECONCILE if limit else RETRY)
        self._watcher.missed_changes()
        why = error.strerror if isinstance(error, OSError) else None
        message = f"{self._root} cannot be watched: {why}" if why else str(error)
        self._journal.once(logging.WARNING, message)
