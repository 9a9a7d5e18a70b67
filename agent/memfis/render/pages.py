"""The rendered pages of a site that are in the store, and when each is to be looked at again."""

import heapq
import itertools
from collections.abc import Iterator

import msgspec

from memfis.layout.records import Entry
from memfis.render.patterns import Pattern


class Known(msgspec.Struct, gc=False):
    """A rendered page in the store. Times are of the event loop's clock, in seconds."""

    entry: Entry
    """Its record."""
    fresh: float
    """Until when it is fresh."""
    stale: float
    """Until when it may be shown while PHP is in trouble."""
    recorded: float
    """When its record was written."""
    due: float = 0.0
    """When it is looked at."""
    asked: bool = False
    """Visitors asked for it since it was written."""
    failing: bool = False
    """It could not be rendered again."""
    pause: float = 0.0
    """Seconds between two attempts then."""
    retry: float = 0.0
    """Before which it is not tried again."""


class KnownPages:
    """All of a site, by URL path."""

    def __init__(self) -> None:
        """Begin with none."""
        self._pages: dict[bytes, Known] = {}
        self._heap: list[tuple[float, int, bytes]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._pages)

    def __contains__(self, path: bytes) -> bool:
        """Whether the page at `path` is known."""
        return path in self._pages

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the paths."""
        return iter(self._pages)

    def get(self, path: bytes) -> Known | None:
        """Return the page at `path`, None if it is not known."""
        return self._pages.get(path)

    def add(self, path: bytes, page: Known, due: float) -> None:
        """Know `page`, and look at it at `due`."""
        self._pages[path] = page
        self.look(path, due)

    def look(self, path: bytes, due: float) -> None:
        """Look at the page at `path` at `due`."""
        self._pages[path].due = due
        heapq.heappush(self._heap, (due, next(self._numbers), path))

    def forget(self, path: bytes) -> bool:
        """Know the page at `path` no more; whether it was known."""
        return self._pages.pop(path, None) is not None

    def fitting(self, pattern: Pattern) -> list[bytes]:
        """Return the paths that `pattern` fits."""
        if pattern.exact is not None:
            return [pattern.exact] if pattern.exact in self._pages else []
        return [path for path in self._pages if pattern.fits(path)]

    def all_due(self, due: float) -> None:
        """Look at all of them at `due`, or before."""
        for path, page in self._pages.items():
            if page.due > due:
                self.look(path, due)

    def expiring_due(self, end: float, due: float) -> None:
        """Look at those that are not fresh after `end` at `due`, or before."""
        for path, page in self._pages.items():
            if page.fresh < end and page.due > due:
                self.look(path, due)

    def next_due(self) -> float:
        """Return when the next is to be looked at."""
        return self._heap[0][0] if self._heap else float("inf")

    def take_due(self, now: float, most: int) -> list[bytes]:
        """Return `most` paths at most that are to be looked at; each must be given a new time."""
        paths: list[bytes] = []
        while self._heap and self._heap[0][0] <= now and len(paths) < most:
            due, _, path = heapq.heappop(self._heap)
            page = self._pages.get(path)
            if page is not None and page.due == due:
                paths.append(path)
        return paths
