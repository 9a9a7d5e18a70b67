"""Paths as people and requests have them, and amounts of bytes as people read them."""

import os

from memfis.layout.identity import is_spelled, target_of
from memfis.layout.keys import page_path


def shown(path: bytes) -> str:
    """Return `path` for a terminal or JSON: what is not UTF-8, and control bytes, as \\xNN."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shown_url(path: bytes) -> str:
    """Return `path` for people, percent-encoded where it is not plain ASCII."""
    return target_of(path).decode("ascii")


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return the directory whose records name the page, and its name there.

    The page of a directory's own URL has no name; files always have one. What is kept under a
    target as it was sent (`identity.is_spelled`) is in no directory: the root's records name it.
    """
    if is_spelled(path):
        return b"/", path[1:]
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
