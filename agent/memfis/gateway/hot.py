"""The pages asked for most, kept in the process: bounded in bytes, and in how old they may be."""

from collections import OrderedDict
from collections.abc import Callable
from math import inf

from memfis.gateway.answers import Answer, with_value
from memfis.gateway.backend import Document
from memfis.gateway.budget import LARGE

OVERHEAD = 400
"""Bytes that an entry takes besides key and value (measured with tracemalloc, CPython 3.11)."""

GRACE = 1.0
"""Seconds after `hot_ttl` in which an entry is still answered while it is asked for anew."""

_TAIL = b"\r\nEND\r\n"


class HotItem:
    """A document as it was at `since`, with the answer to `get` ready to be sent."""

    __slots__ = (
        *("accessed", "answer", "cas", "ends", "flags", "fresh", "key", "large", "size"),
        "start",
    )

    def __init__(self, key: bytes, document: Document, fresh: float, ends: float) -> None:
        head = b"VALUE %b %d %d\r\n" % (key, document.flags, len(document.value))
        self.key = key
        self.answer: Answer = with_value(head, document.value, _TAIL)
        self.large = document if len(document.value) > LARGE else None
        """The document itself, when its value is large."""
        self.start = len(head)
        self.size = len(document.value)
        self.flags = document.flags
        self.cas = document.cas
        self.fresh = fresh
        """The time until which it is answered without a question."""
        self.ends = ends
        """The time at which it expires; infinite where nobody told."""
        self.accessed = 0.0
        """When a client last asked for it; 0 for never."""

    def document(self) -> Document:
        """Return what it holds."""
        if self.large is not None:
            return self.large
        assert isinstance(self.answer, bytes)
        value = self.answer[self.start : self.start + self.size]
        return Document(value, self.flags, self.cas)

    @property
    def weight(self) -> int:
        """Bytes that it takes."""
        return self.start + self.size + len(_TAIL) + len(self.key) + OVERHEAD


class HotCache:
    """Entries by key, the least recently asked for first; times are those of `clock`."""

    def __init__(self, limit: int, ttl: float, keep: float, clock: Callable[[], float]) -> None:
        """Hold at most `limit` bytes; an entry is fresh for `ttl` seconds.

        It may be `keep` seconds old when the database cannot be asked.
        """
        self._limit, self.ttl, self._keep, self._clock = limit, ttl, keep, clock
        self._entries: OrderedDict[bytes, HotItem] = OrderedDict()
        self.get = self._entries.get
        """Return the entry of a key, however old, or None."""
        self.used = self._entries.move_to_end
        """Say that a key's entry was asked for."""
        self.bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: bytes, document: Document, ends: float = inf) -> HotItem:
        """Return an entry for what the database holds just now, and keep it if there is room.

        `ends` is the time at which it expires, if that was told.
        """
        entry = HotItem(key, document, min(self._clock() + self.ttl, ends), ends)
        before = self._entries.pop(key, None)
        if before is not None:
            self.bytes -= before.weight
            entry.accessed = before.accessed
        if entry.weight <= self._limit // 4:  # one page must not push out all others
            self._entries[key] = entry
            self.bytes += entry.weight
            while self.bytes > self._limit:
                self._evict()
        return entry

    def drop(self, key: bytes) -> None:
        """Forget `key`."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.weight

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.bytes = 0

    def usable(self, entry: HotItem) -> bool:
        """Whether `entry` may be answered although the database cannot be asked."""
        now = self._clock()
        return now < min(entry.fresh - self.ttl + self._keep, entry.ends)

    def _evict(self) -> None:
        _, entry = self._entries.popitem(last=False)
        self.bytes -= entry.weight
        self.evictions += 1
