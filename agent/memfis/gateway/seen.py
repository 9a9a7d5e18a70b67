"""What the gateway has seen of items: how large they are, and when they expire."""

LIMIT = 200_000
"""Items remembered; about 300 bytes each."""

UNKNOWN = -1
"""The expiry of an item that this gateway did not write."""

USUAL = 32 * 1024
"""Bytes that an item is thought to have before it was seen."""


class Seen:
    """Size in bytes and expiry (Unix seconds; 0: never; -1: not known) by key, oldest out first."""

    def __init__(self) -> None:
        self._items: dict[bytes, tuple[int, int]] = {}
        self.bytes = 0
        """Of all of them."""

    def __len__(self) -> int:
        return len(self._items)

    def note(self, key: bytes, size: int, expires: int) -> None:
        """Remember an item."""
        self.forget(key)
        self._items[key] = (size, expires)
        self.bytes += size
        if len(self._items) > LIMIT:
            self.forget(next(iter(self._items)))

    def expire(self, key: bytes, expires: int) -> None:
        """Remember when an item expires."""
        self.note(key, self._items.get(key, (USUAL, 0))[0], expires)

    def forget(self, key: bytes) -> None:
        """Forget an item, which is not there."""
        found = self._items.pop(key, None)
        if found is not None:
            self.bytes -= found[0]

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
        self.bytes = 0

    def size(self, key: bytes) -> int:
        """Return how many bytes the item has, or may have."""
        return self._items.get(key, (USUAL, 0))[0]

    def known_size(self, key: bytes) -> int | None:
        """Return how many bytes it had when it was last seen; None if it was not."""
        found = self._items.get(key)
        return None if found is None else found[0]

    def known_or_zero(self, key: bytes) -> int:
        """Return how many bytes it had when it was last seen; 0 if it was not."""
        return self._items.get(key, (0, 0))[0]

    def expires(self, key: bytes) -> int:
        """Return when it expires; UNKNOWN where another wrote it."""
        return self._items.get(key, (0, UNKNOWN))[1]
