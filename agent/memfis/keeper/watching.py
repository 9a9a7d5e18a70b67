"""The watch on a web root: begun, begun anew when it was lost, or made up for by more syncs."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Protocol

from memfis.keeper.journal import Journal
from memfis.keeper.times import NEVER, RETRY, now
from memfis.service.mount_table import MountTable
from memfis.watch import Changes, TreeWatcher, WatchLimitError
from memfis.watch.mounts import Mount, mounts_among

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

    def __init__(
        self,
        root: str,
        journal: Journal,
        watcher: Watcher,
        mounts: MountTable,
        follow: Sequence[str] = (),
    ) -> None:
        """Prepare to watch `root` and `follow`, and to tell `watcher`.

        Failures go to `journal`, once. `mounts` says what is mounted.
        """
        self._root = root
        self._journal = journal
        self._watcher = watcher
        self._mounts = mounts
        self._listening = contextlib.ExitStack()
        self._listens = False
        self._tree = TreeWatcher(os.fsencode(root), follow=[os.fsencode(each) for each in follow])
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
        if not self._listens:
            self._listens = True
            self._listening.enter_context(self._mounts.telling(self._mounted))
        if self._tree.started:
            self._read()
            return
        try:
            self._tree.start()
        except (OSError, WatchLimitError) as error:
            self._failed(error)
            return
        self._started()
        self._watcher.missed_changes()

    def stop(self) -> None:
        """Watch no more, for good."""
        self._listening.close()
        self._again = NEVER
        if self._tree.started:
            asyncio.get_running_loop().remove_reader(self._tree.fileno())
        self._tree.close()

    def _started(self) -> None:
        """Hear what the tree, which is watched anew, has to say."""
        asyncio.get_running_loop().add_reader(self._tree.fileno(), self._read)
        self._find_the_deaf()
        for given in self._tree.left_out:
            self._journal.once(
                logging.WARNING,
                f"follow: {os.fsdecode(given)} leads to the web root, to a directory above it or"
                " into it, so links to it are not followed",
            )

    def _find_the_deaf(self) -> None:
        """Look often where others change files unseen."""
        mounts = [
            mount for root in self._tree.roots for mount in mounts_among(self._mounts.lines, root)
        ]
        deaf: list[Mount] = [mount for mount in mounts if mount.is_shared]
        before, self._period = self._period, POLL if deaf else RECONCILE
        if deaf:
            self._journal.once(
                logging.WARNING,
                f"{os.fsdecode(deaf[0].point)} is {deaf[0].type}: what others change there is found"
                f" by looking, every {POLL:.0f} s",
            )
        if self._period < before:
            self._watcher.missed_changes()  # the next look would be too late

    def _read(self) -> None:
        self._take(self._tree.read)

    def _mounted(self, points: Set[bytes]) -> None:
        """Look at what was mounted or unmounted at `points`, as far as the site has to do with it.

        What the site needs may have come at last, so a watch that could not begin is tried again.
        """
        if not self._tree.concerned(points):
            return
        if not self._tree.started:
            self._again = now()
            self._watcher.missed_changes()
            return
        self._take(lambda: self._tree.remounted(points))
        if self._tree.started:
            self._find_the_deaf()

    def _take(self, seen: Callable[[], Changes]) -> None:
        """Tell what was `seen`; what comes next comes from a new descriptor after much of it."""
        loop = asyncio.get_running_loop()
        before = self._tree.fileno()
        try:
            changes = seen()
        except (OSError, WatchLimitError) as error:
            loop.remove_reader(before)
            self._failed(error)
            return
        if changes.everything:  # a new descriptor, which may well have the number of the old one
            loop.remove_reader(before)
            self._started()
        self._watcher.changed(changes)

    def _failed(self, error: Exception) -> None:
        self._tree.close()
        limit = isinstance(error, WatchLimitError)
        self._again = now() + (RECONCILE if limit else RETRY)
        self._watcher.missed_changes()
        why = error.strerror if isinstance(error, OSError) else None
        message = f"{self._root} cannot be watched: {why}" if why else str(error)
        self._journal.once(logging.WARNING, message)
