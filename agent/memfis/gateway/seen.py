"""What the gateway has seen of items: their sizes, expiries and versions."""

from typing import NamedTuple

LIMIT = 200_000
"""Items remembered; about 400 bytes each."""

UNKNOWN = -1
"""The expiry of an item that this gateway did not write."""

FIRST = 128 * 1024
"""Bytes that items are thought to have on the average before any was read."""

LEAST = 16 * 1024
"""Bytes that an item is thought to have at least before it was seen."""

WEIGHT = 16
"""Items read that make up the average: a share of 1/16 each, the last the most."""


class Brief(NamedTuple):
    """An item without its value."""

    size: int
    """Bytes of the value."""
    flags: int
    """Client flags, 32 bits."""
    cas: int
    """The version of which all this is true; 0: which one is uncertain."""
    expires: int = UNKNOWN
    """Unix seconds; 0: never."""


class Seen:
    """Items by key, oldest out first."""

    def __init__(self) -> None:
        self._items: dict[bytes, Brief] = {}
        self.find = self._items.get
        """Return what was seen of a key last, or None."""
        self.bytes = 0
        """Of all of them."""
        self._average = float(FIRST)

    def __len__(self) -> int:
        return len(self._items)

    def note(self, key: bytes, item: Brief) -> None:
        """Remember an item."""
        self.forget(key)
        self._items[key] = item
        self.bytes += item.size
        if len(self._items) > LIMIT:
            self.forget(next(iter(self._items)))

    def learn(self, key: bytes, item: Brief) -> None:
        """Remember an item that was read; what it says of others that were not seen yet."""
        if key not in self._items:
            self._average += (item.size - self._average) / WEIGHT
        self.note(key, item)

    def expire(self, key: bytes, expires: int) -> None:
        """Remember when an item expires; another may have written what was touched."""
        found = self._items.get(key) or Brief(self.size(key), 0, 0)
        self.note(key, found._replace(expires=expires, cas=0))

    def forget(self, key: bytes) -> None:
        """Forget an item, which is not there."""
        found = self._items.pop(key, None)
        if found is not None:
            self.bytes -= found.size

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
        self.bytes = 0

    def size(self, key: bytes) -> int:
        """Return how many bytes the item has, or may have."""
        found = self._items.get(key)
        return found.size if found is not None else max(LEAST, int(2 * self._average))

    def last_size(self, key: bytes) -> int | None:
        """Return how many bytes it had when it was last seen; None if it was not."""
        found = self._items.get(key)
        return None if found is None else found.size

    def last_size_or_zero(self, key: bytes) -> int:
        """Return how many bytes it had when it was last seen; 0 if it was not."""
        return self.last_size(key) or 0

    def expires(self, key: bytes) -> int:
        """Return when it expires; UNKNOWN where another wrote it."""
        found = self._items.get(key)
        return UNKNOWN if found is None else found.expires
