"""A set of keys that takes little memory: a site may have millions."""

from array import array

_BUCKETS = 1 << 16


class Seen:
    """Keys that were seen, each by 64 bits of its hash: about 20 bytes a key."""

    def __init__(self) -> None:
        """Begin without any."""
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def add(self, key: bytes) -> None:
        """Note `key`."""
        number = hash(key)
        bucket = self._buckets[number % _BUCKETS]
        if number not in bucket:
            bucket.append(number)

    def __contains__(self, key: bytes) -> bool:
        """Whether `key` was noted."""
        number = hash(key)
        return number in self._buckets[number % _BUCKETS]
