"""The mark of a kept memory: written last, so what has one is whole; and what it has to fit."""

import json
import os
import stat
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from memfis.errors import UnfitMemoryError

LIMIT = 64 * 1024
"""Bytes of the longest mark."""


@dataclass(frozen=True)
class Terms:
    """What two runs of memcached must have in common for one to use the other's memory."""

    version: str
    """Of memcached, as it says it."""
    memory: int
    """MiB, memcached's `-m`."""
    item_size: str
    """Of the largest item, as memcached's `-I` has it."""


@dataclass(frozen=True)
class Mark:
    """Says what a kept memory is."""

    terms: Terms
    size: int
    """Bytes of the file."""
    checksum: int
    """See `copying.copy`."""
    stopped: float
    """When memcached had stopped, in seconds since the epoch."""
    meta: str
    """What memcached wrote beside its memory."""

    def encode(self) -> bytes:
        """Return it as it is written."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, text: bytes) -> "Mark":
        """Read what `encode` returned; raises UnfitMemoryError."""
        try:
            values = json.loads(text)
            terms = Terms(**values.pop("terms"))
            mark = cls(terms=terms, **values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UnfitMemoryError("the mark of the kept memory is damaged") from error
        for each in (mark, terms):
            for field in fields(each):
                value = getattr(each, field.name)
                wanted = (int, float) if field.type is float else field.type
                if not isinstance(value, wanted):  # type: ignore[arg-type]
                    raise UnfitMemoryError("the mark of the kept memory is damaged")
        return mark


def check_terms(kept: Terms, wanted: Terms) -> None:
    """Raise UnfitMemoryError where memory that was `kept` is of no use to who `wanted` it."""
    if kept.version != wanted.version:
        raise UnfitMemoryError(
            f"the kept memory is of memcached {kept.version}, and this is {wanted.version}"
        )
    if kept.memory != wanted.memory:
        raise UnfitMemoryError(
            f"the kept memory has {kept.memory} MiB, and it is to have {wanted.memory}"
        )
    if kept.item_size != wanted.item_size:
        raise UnfitMemoryError(
            f"the largest item was {kept.item_size}, and is to be {wanted.item_size}"
        )


def check_time(stopped: float) -> None:
    """Raise UnfitMemoryError where memcached `stopped` later than it is now, which it refuses."""
    if stopped > time.time():
        raise UnfitMemoryError("the memory was kept at a later time than the clock shows")


def open_own(path: Path) -> int:
    """Open a file that nobody else could have put there, or written to.

    Raises UnfitMemoryError, FileNotFoundError, OSError.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnfitMemoryError(f"{path}: {error.strerror}") from error
    status = os.fstat(file)
    problem = ""
    if not stat.S_ISREG(status.st_mode):
        problem = "is no regular file"
    elif status.st_uid != os.geteuid():
        problem = f"is owned by user {status.st_uid}, not by {os.geteuid()}"
    elif stat.S_IMODE(status.st_mode) != 0o600:
        problem = f"has mode {stat.S_IMODE(status.st_mode):04o}, not 0600"
    if problem:
        os.close(file)
        raise UnfitMemoryError(f"{path} {problem}")
    return file
