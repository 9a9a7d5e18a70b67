"""What the store must hold, said once more: from the file system and without memfis's own code.

The rules are those of docs/architecture/how-it-works.md, as far as the histories can reach them.
"""

import os
import re
import stat
import zlib
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from support.memcached import Memcached

SITE = b"h.example"
MAX_PAGE = 64 * 1024
"""Bytes as stored. No content of the histories compresses to anything near it."""

EXCLUDE = ("*.iso", "drafts/")
"""The site's own patterns, next to the default ones."""

_SOURCE = re.compile(rb"\.(php[34578]?|phtml|phar|phps|inc)(~|\.bak)*\Z", re.IGNORECASE)
_EXCLUDED = re.compile(rb".*(~|\.(bak|sql|iso))\Z", re.IGNORECASE | re.DOTALL)
_TEXT = (b"html", b"css", b"txt")


@dataclass(frozen=True)
class Reader:
    """nginx's user: whether it owns every file of the tree, or is one of the others."""

    owner: bool

    def may(self, bit: int, status: os.stat_result) -> bool:
        """Whether the mode of a file grants `bit`: 4 to read, 1 to enter."""
        return bool(status.st_mode >> (6 if self.owner else 0) & bit)


@dataclass
class Public:
    """What is to be in memory: content by key, and the keys of directory items."""

    pages: dict[bytes, bytes] = field(default_factory=dict)
    directories: set[bytes] = field(default_factory=set)


def escaped(path: bytes) -> bytes:
    """Return `path` as it stands in a key."""
    return b"".join(b"%%%02X" % c if c <= 0x20 or c == 0x25 else bytes([c]) for c in path)


def public(root: bytes, reader: Reader) -> Public:
    """Return what the web root `root`, a path without links, is to have in memory."""
    found = Public()
    _visit(found, root, reader, root, b"/", [_identity(os.stat(root))], linked=False)
    return found


def _visit(
    found: Public,
    root: bytes,
    reader: Reader,
    directory: bytes,
    url: bytes,
    above: list[tuple[int, int]],
    linked: bool,
) -> None:
    found.directories.add(b"memfis-dir://" + SITE + escaped(url))
    for name in os.listdir(directory):
        path = directory + b"/" + name
        try:
            status = os.stat(path)
        except OSError:  # dangling or circular
            continue
        enters = stat.S_ISDIR(status.st_mode)
        link = os.path.islink(path)
        if (
            refused(name, enters)
            or _EXCLUDED.match(name)
            or (enters and name == b"drafts")
            or len(b"memfis-private://" + SITE + escaped(url + name)) > 250
            or (link and not _link_is_public(root, reader, path))
            or not reader.may(1 if enters else 4, status)
        ):
            continue
        if enters:
            identity = _identity(status)
            if not (link and (linked or identity in above)):
                below = [*above, identity]
                _visit(found, root, reader, path, url + name + b"/", below, linked or link)
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                content = file.read()
            if _fits(name, content):
                page = url if name == b"index.html" else url + name
                found.pages[b"memfis://" + SITE + escaped(page)] = content


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def refused(name: bytes, is_directory: bool) -> bool:
    """Whether nginx refuses every URL with that name, on a site that runs no scripts."""
    if name.startswith(b"."):
        return name != b".well-known"
    return not is_directory and _SOURCE.search(name) is not None


def _link_is_public(root: bytes, reader: Reader, path: bytes) -> bool:
    target = os.path.realpath(path)
    if not target.startswith(root + b"/"):
        return False
    names = target[len(root) + 1 :].split(b"/")
    if any(refused(name, True) for name in names[:-1]):
        return False
    if refused(names[-1], os.path.isdir(target)):
        return False
    directories = [b"/".join([root, *names[:depth]]) for depth in range(len(names))]
    return all(reader.may(1, os.stat(each)) for each in directories)


def _fits(name: bytes, content: bytes) -> bool:
    if len(content) <= MAX_PAGE:
        return True
    _, dot, extension = name.rpartition(b".")
    compressed = not dot or extension.lower() in _TEXT
    return compressed and len(zlib.compress(content)) <= MAX_PAGE


class Plain:
    """For pymemcache: values as they are, with their client flags."""

    def serialize(self, key: bytes, value: bytes) -> tuple[bytes, int]:
        return value, 0

    def deserialize(self, key: bytes, value: bytes, flags: int) -> tuple[bytes, int]:
        return value, flags


def keys(store: Memcached) -> list[bytes]:
    """Return every key of the site in the store, sorted."""
    listed = (line.split()[0].removeprefix(b"key=") for line in store.items())
    ours = re.compile(rb"memfis(-private|-dir|-site)?://" + re.escape(SITE) + rb"(/|\Z)")
    return sorted(key for key in map(unquote_to_bytes, listed) if ours.match(key))


def differences(root: bytes, reader: Reader, store: Memcached) -> list[str]:
    """Return what is not in the store as the web root has it, a line each."""
    expected = public(root, reader)
    with store.client() as client:
        client.serde = Plain()
        there = keys(store)
        found = client.get_many(there)
    wrong = [f"missing: {key!r}" for key in sorted(expected.pages.keys() - found.keys())]
    for key in there:
        if key == b"memfis-site://" + SITE or key in expected.directories or key not in found:
            continue
        if key not in expected.pages:
            wrong.append(f"not expected: {key!r}")
            continue
        value, flags = found[key]
        reason = wrong_page(value, flags, expected.pages[key])
        if reason:
            wrong.append(f"{reason}: {key!r}")
    return wrong


def wrong_page(value: bytes, flags: int, content: bytes) -> str | None:
    """Return what is wrong with an item that is to hold `content`."""
    try:
        identity = zlib.decompress(value, wbits=31) if flags & 2 else value
    except zlib.error:
        return "not gzip"
    if identity != content:
        return f"another content, {len(identity)} instead of {len(content)} bytes"
    if flags & ~2 != zlib.crc32(content) & 0xFFFFFFFC:
        return f"flags {flags:#x} are not those of the content"
    return None
