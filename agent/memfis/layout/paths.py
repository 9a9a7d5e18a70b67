"""Paths as people and requests have them, and amounts of bytes as people read them."""

import os
from urllib.parse import quote_from_bytes

from memfis.layout.keys import page_path

_KEPT = "/!$&'()*+,;=:@-._~"
"""What a path may hold as it is (RFC 3986, section 3.3)."""


def shown(path: bytes) -> str:
    """Return `path` for a terminal or JSON: what is not UTF-8, and control bytes, as \\xNN."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def target(path: bytes) -> bytes:
    """Return the request target for `path` (nginx's $uri), percent-encoded."""
    return quote_from_bytes(path, safe=_KEPT).encode("ascii")


def shown_url(path: bytes) -> str:
    """Return `path` for people, percent-encoded where it is not plain ASCII."""
    return target(path).decode("ascii")


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return the directory whose records name the page, and its name there.

    The page of a directory's own URL has no name; files always have one.
    """
    directory, slash, name = path.rpartition(b"/")
    return directory + slash, name


def page_url(path: bytes, index: bytes | None) -> bytes:
    """Return the URL path under which the page of `path` is kept."""
    directory, slash, name = path.rpartition(b"/")
    return page_path(directory + slash, name, index)


def size(number: int) -> str:
    """Return `number` bytes for people, in powers of 1000."""
    amount = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
