"""The rendered pages of a site that are in the store, and when each is to be checked again."""

import asyncio
import heapq
import itertools
from collections.abc import Iterator

import msgspec

from memfis.layout.identity import decoded, is_spelled
from memfis.layout.records import Entry
from memfis.render.patterns import Pattern


class RenderedPage(msgspec.Struct, gc=False):
    """A rendered page in the store. Times are of the event loop's clock, in seconds."""

    entry: Entry
    """Its record."""
    fresh: float
    """Until when it is fresh."""
    stale: float
    """Until when it may be shown while PHP is in trouble."""
    recorded: float
    """When its record was written."""
    rendered: float
    """When it was rendered, or before."""
    revalidate: float = 0.0
    """Seconds after it was fresh for which it may be shown while it is rendered again."""
    due: float = 0.0
    """When it is checked: is it asked for, does it expire?"""
    again: bool = False
    """It is to be rendered again, fresh or not."""
    asked: bool = False
    """Visitors asked for it since it was written."""
    failing: bool = False
    """It could not be rendered again."""
    pause: float = 0.0
    """Seconds between two attempts then."""
    retry: float = 0.0
    """Before which it is not tried again."""


class RenderedPages:
    """All of a site, by the path that each is kept under. Times are of the event loop's clock."""

    def __init__(self) -> None:
        """Begin with none."""
        self.sooner = asyncio.Event()
        """Set when `next_due` is sooner than it was."""
        self._pages: dict[bytes, RenderedPage] = {}
        self._spelled: dict[bytes, set[bytes]] = {}
        """Paths that are targets as they were sent, by the decoded path."""
        self._heap: list[tuple[float, int, bytes]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._pages)

    def __contains__(self, path: object) -> bool:
        """Whether there is a page at `path`."""
        return path in self._pages

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the paths."""
        return iter(self._pages)

    def get(self, path: bytes) -> RenderedPage | None:
        """Return the page at `path`, None if there is none."""
        return self._pages.get(path)

    def add(self, path: bytes, page: RenderedPage, due: float) -> None:
        """Add `page`, or put it in place of the one at `path`; it is checked at `due`."""
        self._pages[path] = page
        if is_spelled(path):
            self._spelled.setdefault(decoded(path), set()).add(path)
        self.schedule(path, due)

    def schedule(self, path: bytes, due: float) -> None:
        """Have the page at `path` checked at `due`, and not when it was to be until now."""
        self._pages[path].due = due
        if due < self.next_due():
            self.sooner.set()
        heapq.heappush(self._heap, (due, next(self._numbers), path))

    def discard(self, path: bytes) -> None:
        """Take the page at `path` out, if it is there; the store is not touched."""
        self._pages.pop(path, None)
        if is_spelled(path):
            plain = decoded(path)
            spelled = self._spelled.get(plain, set())
            spelled.discard(path)
            if not spelled:
                self._spelled.pop(plain, None)

    def of(self, plain: bytes) -> list[bytes]:
        """Return the paths whose decoded path is `plain`."""
        return [plain] * (plain in self._pages) + sorted(self._spelled.get(plain, ()))

    def fitting(self, pattern: Pattern) -> Iterator[list[bytes]]:
        """Yield the paths that `pattern` fits, in lists: other things may happen in between."""
        if pattern.exact:
            yield [path for plain in pattern.exact for path in self.of(plain)]
        else:
            yield from pattern.slices(list(self._pages))

    def schedule_all(self, due: float) -> None:
        """Have all of them checked at `due`, or before."""
        for path, page in self._pages.items():
            if page.due > due:
                self.schedule(path, due)

    def schedule_expiring(self, end: float, due: float) -> None:
        """Have those that are not fresh after `end` checked at `due`, or before."""
        for path, page in self._pages.items():
            if page.fresh < end and page.due > due:
                self.schedule(path, due)

    def next_due(self) -> float:
        """Return when the next is to be checked."""
        return self._heap[0][0] if self._heap else float("inf")

    def take_due(self, now: float, most: int) -> list[bytes]:
        """Return `most` paths at most that are to be checked; each must be given a new time."""
        paths: list[bytes] = []
        while self._heap and self._heap[0][0] <= now and len(paths) < most:
            due, _, path = heapq.heappop(self._heap)
            page = self._pages.get(path)
            if page is not None and page.due == due:
                page.due = float("inf")  # it may be in the heap twice for the same time
                paths.append(path)
        return paths
