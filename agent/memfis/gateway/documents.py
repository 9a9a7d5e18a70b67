"""Keys of items as Couchbase's document IDs.

A document ID is UTF-8 of at most 250 bytes; a key is any bytes but those below 0x21. A key that is
UTF-8 is its own ID. Any other is a space, which no key has, and the key read as Latin-1: so no two
keys have one ID, and an ID can be read back.
"""

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
