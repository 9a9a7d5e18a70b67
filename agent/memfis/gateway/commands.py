"""What every command of the protocol has in common (memcached doc/protocol.txt)."""

import re
from collections.abc import AsyncGenerator
from typing import Any

from memfis.gateway.answers import Answer
from memfis.gateway.backend import BackendError, Document
from memfis.gateway.hot import HotItem
from memfis.gateway.items import Items
from memfis.layout.keys import KEY_LIMIT

MONTH = 30 * 24 * 3600
"""Longest relative expiry in seconds (doc/protocol.txt, "Expiration times")."""

LONGEST = (1 << 31) - 3
"""Bytes of a value beyond which its line is refused alone (memcached proto_text.c)."""

ERROR = b"ERROR\r\n"
BAD_FORMAT = b"CLIENT_ERROR bad command line format\r\n"
BAD_CHUNK = b"CLIENT_ERROR bad data chunk\r\n"
READ_ONLY = b"CLIENT_ERROR this gateway is read-only: another host writes\r\n"
TOO_LARGE = b"SERVER_ERROR object too large for cache\r\n"

Found = HotItem | Document | None

_SIGNED = re.compile(rb"[+-]?[0-9]+\Z")


class Command:
    """One command: `begin` starts it, `answer` says what came of it.

    Commands of one `lane` with different keys may be underway together; others wait.
    """

    __slots__ = ("key", "length", "quiet", "value")
    lane: str | None = None
    writes = False
    """Whether it may change something."""
    removes = False
    """Whether that is all that it may do: remove the item at `key`."""

    def __init__(self, key: bytes = b"", length: int = -1, *, quiet: bool = False) -> None:
        self.key = key
        self.length = length
        """Bytes of the value that follows the line; -1 for none."""
        self.value = b""
        self.quiet = quiet
        """Whether the client wants no answer (`noreply`)."""

    def begin(self, items: Items) -> Any:
        """Return what `answer` needs, or an awaitable of it; raises BackendError."""
        raise NotImplementedError

    def size(self, items: Items) -> int:
        """Return how many bytes of values its answer may take."""
        return 0

    def answer(self, items: Items, result: Any) -> Answer:
        """Return the answer."""
        raise NotImplementedError

    def failed(self, items: Items, error: BackendError) -> Answer:
        """Return the answer when the database did not do it."""
        items.figures.errors[error.kind] += 1
        return server_error(error)


class Stream(Command):
    """A command whose answer comes in parts."""

    __slots__ = ()

    def parts(self, items: Items) -> AsyncGenerator[Answer, None]:
        """Yield the answer; raises BackendError."""
        raise NotImplementedError


class Failure(Command):
    """A command that cannot be carried out; a value that follows is read and forgotten."""

    __slots__ = ("ends", "text")

    def __init__(
        self, text: bytes, length: int = -1, *, quiet: bool = False, ends: bool = False
    ) -> None:
        super().__init__(b"", length, quiet=quiet)
        self.text = text
        self.ends = ends
        """Whether the connection is closed after it."""

    def begin(self, items: Items) -> None:
        """Do nothing."""

    def answer(self, items: Items, result: Any) -> bytes:
        """Return the error."""
        return self.text


class TooLarge(Failure):
    """A value over the limit: it is read and forgotten, and what was there before goes.

    As in memcached: an old value must not be taken for the new one.
    """

    __slots__ = ()
    writes = True

    def __init__(self, key: bytes, length: int, *, quiet: bool = False) -> None:
        super().__init__(TOO_LARGE, length, quiet=quiet)
        self.key = key

    def begin(self, items: Items) -> Any:
        """Remove the old value."""
        return items.writes.delete(self.key)


def server_error(error: BackendError) -> bytes:
    """Return what a client is told of `error`."""
    text = str(error).replace("\r", " ").replace("\n", " ")
    return b"SERVER_ERROR %b\r\n" % text.encode("ascii", "backslashreplace")[:400]


def key_fits(key: bytes) -> bool:
    """Whether `key` is within memcached's limit."""
    return len(key) <= KEY_LIMIT


def unsigned(word: bytes, bits: int = 64) -> int | None:
    """Return the number that `word` is, or None."""
    if not word.isdigit() or len(word) > 20:
        return None
    number = int(word)
    return number if number < 1 << bits else None


def signed(word: bytes, bits: int = 32) -> int | None:
    """Return the number of up to `bits` bits, one of them its sign, that `word` is, or None."""
    if len(word) > 20 or not (word.isdigit() or _SIGNED.match(word)):
        return None
    number = int(word)
    return number if -(1 << (bits - 1)) <= number < 1 << (bits - 1) else None


def exptime_of(word: bytes) -> int | None:
    """Return the exptime that `word` is, as `expires_at` takes it, or None.

    A number of 64 bits, of which memcached takes the lower 32 (proto_text.c, `exptime_int`).
    """
    number = signed(word, 64)
    return None if number is None else (number + (1 << 31)) % (1 << 32) - (1 << 31)


def expires_at(exptime: int, items: Items) -> int:
    """Return the Unix time that `exptime` means, 0 for never; the past is 1.

    Up to 30 days it is relative, above it is a Unix time, and below 0 it is over.
    """
    if exptime == 0:
        return 0
    if exptime < 0:
        return 1
    return exptime if exptime > MONTH else int(items.wall()) + exptime
