"""What Couchbase wants in other terms: keys as document IDs, expiry, the password.

A document ID is UTF-8 of at most 250 bytes; a key is any bytes but those below 0x21. A key that is
UTF-8 is its own ID. Any other is a space, which no key has, and the key read as Latin-1: so no two
keys have one ID, and an ID can be read back.
"""

import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from memfis.errors import UsageError

LIMIT = 250
"""Longest document ID in bytes (Couchbase documentation, "Size Limits")."""

_MARK = " "


def document_id(key: bytes) -> str | None:
    """Return the ID for `key`; None when it would be too long, so that no such document can be."""
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError:
        name = _MARK + key.decode("latin-1")
    return name if len(name.encode("utf-8")) <= LIMIT else None


def key_of(name: str) -> bytes:
    """Return the key whose ID is `name`."""
    return name[1:].encode("latin-1") if name.startswith(_MARK) else name.encode("utf-8")


def expiry_of(expires: int) -> timedelta:
    """Return what the SDK wants for a Unix time; 0 is never."""
    return timedelta(seconds=max(expires - int(time.time()), 1) if expires else 0)


def password_in(path: str) -> str:
    """Return the first line of the file; raises UsageError."""
    try:
        lines: Iterable[str] = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"gateway.password_file: {path}: {error}") from error
    for line in lines:
        return line
    raise UsageError(f"gateway.password_file: {path} is empty")
