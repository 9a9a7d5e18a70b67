"""What the gateway asks of the database behind it, in memcached's terms."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from memfis.errors import StoreError


@dataclass(frozen=True, slots=True)
class Document:
    """A value as stored: bytes, client flags (32 bits), CAS (64 bits)."""

    value: bytes
    flags: int
    cas: int


@dataclass(frozen=True, slots=True)
class Write:
    """What is to be stored; `expires` in Unix seconds, 0 for never."""

    key: bytes
    value: bytes
    flags: int
    expires: int


class BackendError(StoreError):
    """The database did not do what it was asked; `kind` is what it is counted as."""

    kind = "other"


class UnavailableError(BackendError):
    """It gave no answer in time, or is not there."""

    kind = "unavailable"


class TimedOutError(UnavailableError):
    """It gave no answer in time."""

    kind = "timeout"


class ForbiddenError(BackendError):
    """It does not let us: a wrong password, a bucket that is not there."""

    kind = "forbidden"


class RefusedError(BackendError):
    """It is there and said no: too large, no memory left, or it cannot do such a thing."""

    kind = "refused"


class MissingError(Exception):
    """There is no such document."""


class MismatchError(Exception):
    """The document has another CAS than the one given, or is there and should not be."""


class Backend(Protocol):
    """A database of documents.

    What concerns many keys returns a result or an error for each, in order, and never raises; what
    concerns one raises BackendError, and MissingError and MismatchError where it says so. All keys
    of one call are different.
    """

    many_versions: bool
    """Whether `versions` of many keys costs less than `fetch` does."""

    async def fetch(
        self, keys: Sequence[bytes], limit: float
    ) -> Sequence[Document | BackendError | None]:
        """Return the documents; None for one that is certainly not there.

        After `limit` seconds what has not come yet is a TimedOutError.
        """
        ...

    async def store(self, writes: Sequence[Write]) -> Sequence[int | BackendError]:
        """Write them whatever was there before; return each one's CAS."""
        ...

    async def remove(self, keys: Sequence[bytes]) -> Sequence[bool | BackendError]:
        """Remove them; return whether each was there."""
        ...

    async def versions(self, keys: Sequence[bytes]) -> Sequence[int | BackendError | None]:
        """Return the CAS of each document, and no value; None for one that is not there."""
        ...

    async def touch(self, touches: Sequence[tuple[bytes, int]]) -> Sequence[bool | BackendError]:
        """Give each key its expiry (Unix seconds, 0 for never); return whether it was there."""
        ...

    async def insert(self, write: Write) -> int:
        """Write it where nothing is and return its CAS; raises MismatchError."""
        ...

    async def replace(self, write: Write, cas: int, *, keep_expiry: bool = False) -> int:
        """Write it where something is, with `cas` only over that very one; return its CAS.

        Raises MissingError and MismatchError.
        """
        ...

    async def extend(self, key: bytes, value: bytes, cas: int, *, front: bool) -> int:
        """Append to the document, or prepend; flags and expiry stay. Return its CAS.

        Raises MissingError and, for a `cas` that is not 0, MismatchError.
        """
        ...

    async def remove_only(self, key: bytes, cas: int) -> None:
        """Remove the document with this very `cas`; raises MissingError and MismatchError."""
        ...

    def keys(self) -> AsyncIterator[bytes]:
        """Yield every key; raises RefusedError where the database cannot list them."""
        ...

    async def flush(self) -> None:
        """Remove everything."""
        ...
