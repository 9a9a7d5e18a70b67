"""What the store must hold, said once more: from the file system and without memfis's own code.

The rules are those of docs/architecture/how-it-works.md, as far as the histories can reach them.
"""

import ctypes
import os
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pwd import struct_passwd
from urllib.parse import unquote_to_bytes

from support.memcached import Memcached

SITE = b"h.example"
MAX_PAGE = 64 * 1024
"""Bytes as stored. No content of the histories compresses to anything near it."""

EXCLUSIONS = (("*.iso", "drafts/"), ("*.iso",), ("*.html",), ("*",), ())
"""Patterns that the site may have, next to the default ones; the first at the beginning."""

_SOURCE = re.compile(rb"\.(php[34578]?|phtml|phar|phps|inc)(~|\.bak)*\Z", re.IGNORECASE)
_EXCLUDED = re.compile(rb".*(~|\.(bak|sql))\Z", re.IGNORECASE | re.DOTALL)
_TEXT = (b"html", b"css", b"txt")


_libc = ctypes.CDLL(None)


class Reader:
    """nginx's user. The kernel says what it may read: its modes, owners, ACLs, and all above."""

    def __init__(self, user: struct_passwd | None) -> None:
        """`user`: None for whoever runs this."""
        self._user = user

    @property
    def owner(self) -> bool:
        """Whether it owns every file of the tree."""
        return self._user is None

    @contextmanager
    def _eyes(self) -> Iterator[None]:
        """Look at files as the user (setfsuid(2): this thread alone, and without root's powers)."""
        if self._user is None:
            yield
            return
        before = os.getgroups()
        os.setgroups(os.getgrouplist(self._user.pw_name, self._user.pw_gid))
        try:
            _libc.setfsgid(self._user.pw_gid)
            _libc.setfsuid(self._user.pw_uid)
            assert _libc.setfsuid(-1) == self._user.pw_uid
            yield
        finally:
            _libc.setfsuid(os.geteuid())
            _libc.setfsgid(os.getegid())
            os.setgroups(before)

    def open(self, directories: Sequence[bytes], files: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the content of each of `files` that the user can read.

        Of `directories` those that it can enter are among them, with no content.
        """
        found = {}
        with self._eyes():
            for path in directories:
                with suppress(PermissionError):
                    os.stat(path + b"/.")
                    found[path] = b""
            for path in files:
                with suppress(PermissionError), open(path, "rb") as file:
                    found[path] = file.read()
        return found


@dataclass
class Public:
    """What is to be in memory: content and time by key, and the keys of directory items."""

    pages: dict[bytes, bytes] = field(default_factory=dict)
    times: dict[bytes, int] = field(default_factory=dict)
    """When the file of each page was modified, in nanoseconds."""
    directories: set[bytes] = field(default_factory=set)


def escaped(path: bytes) -> bytes:
    """Return `path` as it stands in a key."""
    return b"".join(b"%%%02X" % c if c <= 0x20 or c == 0x25 else bytes([c]) for c in path)


@dataclass(frozen=True)
class Site:
    """What a web root is published with. `root` is what is configured, which may be a link."""

    root: bytes
    reader: Reader
    exclude: Sequence[str]
    heads: bool = False
    """Whether its pages have heads."""


def public(site: Site) -> Public:
    """Return what `site` is to have in memory."""
    found = Public(directories={_directory_key(b"/")})
    if site.reader.open([site.root], []):
        root = os.path.realpath(site.root)
        _visit(found, site, root, root, b"/", [_identity(os.stat(root))], linked=False)
    return found


def _visit(
    found: Public,
    site: Site,
    root: bytes,
    directory: bytes,
    url: bytes,
    above: list[tuple[int, int]],
    linked: bool,
) -> None:
    found.directories.add(_directory_key(url))
    directories: dict[bytes, tuple[bytes, tuple[int, int], bool]] = {}
    files: dict[bytes, tuple[bytes, int]] = {}
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
            or _excluded(name, enters, site.exclude)
            or len(b"memfis-private://" + SITE + escaped(url + name)) > 250
            or (link and not _link_is_public(root, path))
        ):
            continue
        identity = _identity(status)
        if enters and not (link and (linked or identity in above)):
            directories[path] = name, identity, link
        elif stat.S_ISREG(status.st_mode):
            files[path] = name, status.st_mtime_ns
    opened = site.reader.open(list(directories), list(files))
    for path, (name, identity, link) in directories.items():
        if path in opened:
            below = [*above, identity]
            _visit(found, site, root, path, url + name + b"/", below, linked or link)
    for path, (name, time_ns) in files.items():
        if path in opened and _fits(name, opened[path]):
            found.pages[file_key(url, name)] = opened[path]
            found.times[file_key(url, name)] = time_ns


def _directory_key(url: bytes) -> bytes:
    return b"memfis-dir://" + SITE + escaped(url)


def file_key(directory: bytes, name: bytes) -> bytes:
    """Return the key of the page of the file `name` in the directory at a URL path."""
    return b"memfis://" + SITE + escaped(directory if name == b"index.html" else directory + name)


def _excluded(name: bytes, is_directory: bool, patterns: Sequence[str]) -> bool:
    text = name.decode("latin-1")
    return any(
        fnmatchcase(text, each.rstrip("/")) and (is_directory or not each.endswith("/"))
        for each in patterns
    )


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def refused(name: bytes, is_directory: bool) -> bool:
    """Whether nginx refuses every URL with that name, on a site that runs no scripts."""
    if name.startswith(b"."):
        return name != b".well-known"
    return not is_directory and _SOURCE.search(name) is not None


def _link_is_public(root: bytes, path: bytes) -> bool:
    """Whether a link leads to a name in the web root that may be public."""
    target = os.path.realpath(path)
    if not target.startswith(root + b"/"):
        return False
    names = target[len(root) + 1 :].split(b"/")
    if any(refused(name, True) for name in names[:-1]):
        return False
    return not refused(names[-1], os.path.isdir(target))


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
    ours = re.compile(rb"memfis(-private|-dir|-site|-head)?://" + re.escape(SITE) + rb"(/|\Z)")
    return sorted(key for key in map(unquote_to_bytes, listed) if ours.match(key))


def differences(site: Site, store: Memcached) -> list[str]:
    """Return what is not in the store as the web root has it, a line each."""
    expected = public(site)
    with store.client() as client:
        client.serde = Plain()
        there = keys(store)
        found = client.get_many(there)
    heads = {head_key(page): page for page in expected.pages} if site.heads else {}
    needed = expected.pages.keys() | heads.keys()
    wrong = [f"missing: {key!r}" for key in sorted(needed - found.keys())]
    for key in there:
        if key == b"memfis-site://" + SITE or key in expected.directories or key not in found:
            continue
        if key in heads:
            page = heads[key]
            file = expected.pages[page], expected.times[page]
            if not _is_head(found[key], found.get(page), *file):
                wrong.append(f"{found[key]} is not the head of {page!r}")
            continue
        if key not in expected.pages:
            wrong.append(f"not expected: {key!r}")
            continue
        value, flags = found[key]
        flags &= ~1 if site.heads else ~0
        reason = wrong_page(value, flags, expected.pages[key])
        if reason:
            wrong.append(f"{reason}: {key!r}")
    return wrong


def head_key(page: bytes) -> bytes:
    """Return the key of the head of the page whose key is `page`."""
    return page.replace(b"memfis", b"memfis-head", 1)


def _is_head(
    head: tuple[bytes, int], page: tuple[bytes, int] | None, content: bytes, time_ns: int
) -> bool:
    """Whether `head` is that of `page`, of a file with `content` and a modification time.

    Its validator may be that of the content in any case: what was there before is not known.
    """
    value, flags = head
    if page is None or page[1] != flags:
        return False
    if flags & 1:
        etag = b'"m%x-%x"' % (zlib.crc32(content) & 0xFFFFFFFC, len(content))
        return value == b"1 200 - -\nETag:" + etag + b"\n"
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return value == b"1 200 - %d.%09d\n" % (seconds, nanoseconds) and seconds >= 315_619_200


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
