"""What is to be rendered: the most urgent first, and one render a key at a time."""

import asyncio
import heapq
import itertools
from enum import IntEnum

from memfis.render.patterns import Pattern

LONGEST = 10_000
"""Hints that may wait; what comes then is dropped, and comes again with the next visitor."""


class Priority(IntEnum):
    """Why a page is rendered; the lower, the more urgent."""

    REFRESH = 0
    """It is being asked for, and about to expire."""
    LISTED = 1
    """It is always to be in memory."""
    HINT = 2
    """Somebody asked for it and PHP answered."""
    KEPT = 3
    """It is always to be in memory and about to expire, and nobody asked for it."""
    SITEMAP = 4
    """A sitemap names it, and it is not in memory."""


class Job:
    """One render of the page at `path`."""

    __slots__ = ("again", "path", "priority", "purged")

    def __init__(self, path: bytes, priority: Priority) -> None:
        """Render `path`; nothing happened to it yet."""
        self.path, self.priority = path, priority
        self.purged = False
        """What it brings is older than a purge, and must not be stored."""
        self.again = False
        """It was asked for once more since it began."""


class Queue:
    """Jobs that wait, and those that are being done."""

    def __init__(self) -> None:
        """Begin empty."""
        self.active: dict[bytes, Job] = {}
        """What is being rendered."""
        self.changed = asyncio.Event()
        """Set when there may be more to `take`, or one is done."""
        self._waiting: dict[bytes, Priority] = {}
        self._heap: list[tuple[Priority, int, bytes]] = []
        self._numbers = itertools.count()
        self._hints = 0
        """How many of those that wait do because of a hint."""

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def __contains__(self, path: bytes) -> bool:
        """Whether `path` waits or is being rendered."""
        return path in self._waiting or path in self.active

    def is_purged(self, path: bytes) -> bool:
        """Whether `path` is being rendered in vain, because it was purged since that began."""
        return path in self.active and self.active[path].purged

    def add(self, path: bytes, priority: Priority) -> bool:
        """Have `path` rendered; False where too many wait already."""
        if path in self.active:
            self.active[path].again |= self.active[path].purged
            return True
        if path in self._waiting and self._waiting[path] <= priority:
            return True
        if priority is Priority.HINT and self._hints >= LONGEST:
            return False
        self._hints += (priority is Priority.HINT) - (self._waiting.get(path) is Priority.HINT)
        self._waiting[path] = priority
        heapq.heappush(self._heap, (priority, next(self._numbers), path))
        self.changed.set()
        return True

    def take(self) -> Job | None:
        """Return the most urgent job, which is being done from now on."""
        while self._heap:
            priority, _, path = heapq.heappop(self._heap)
            if self._waiting.get(path) == priority:
                del self._waiting[path]
                self._hints -= priority is Priority.HINT
                job = self.active[path] = Job(path, priority)
                return job
        return None

    def done(self, job: Job) -> None:
        """Note that `job` is done; what was purged meanwhile is rendered anew if it is wanted."""
        del self.active[job.path]
        if job.again:
            self.add(job.path, job.priority)
        self.changed.set()

    def purge(self, pattern: Pattern) -> None:
        """Mark what is being rendered and `pattern` fits: it must not be stored."""
        for path, job in self.active.items():
            if pattern.fits(path):
                job.purged = True
