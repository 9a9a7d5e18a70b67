"""Keys of the items in the store: how a path becomes what nginx asks for.

nginx builds the key of a page as `memfis://<site>$uri` and escapes it (`NGX_ESCAPE_MEMCACHED` in
ngx_string.c): bytes 0x00-0x20 and `%` become `%XX` in upper-case hex, every other byte stays. All
functions here work on bytes, as `os.fsencode` gives them, and do the same.
"""

import os
import re
import zlib
from collections.abc import Iterable, Sequence
from urllib.parse import unquote_to_bytes

from memfis.errors import UsageError

KEY_LIMIT = 250
"""Longest key in bytes (memcached doc/protocol.txt, "Keys"). Past it memcached reads what follows
as commands, so this limit is a security check and is enforced again by the store layer."""

PAGE = b"memfis://"
PRIVATE = b"memfis-private://"
HEAD = b"memfis-head://"
BODY = b"memfis-body://"
DIRECTORY = b"memfis-dir://"
SITE = b"memfis-site://"
BOX = b"memfis-box://"
TURN = b"memfis-publisher://"

COUNTERS = 4096
"""How many counters nginx has for pages that it keeps in memory of its own."""

_BESIDE = (HEAD, BODY)
_PAGE_CRC = zlib.crc32(PAGE)

_SITE_NAME = re.compile(r"[a-z0-9.-]+")
_ESCAPES = {bytes([code]): b"%%%02X" % code for code in (*range(0x21), 0x25)}
_ESCAPED = re.compile(rb"[\x00-\x20%]")
_UNESCAPED = re.compile(rb"%([0-9A-F]{2})")


def check_site_name(name: str) -> str:
    """Return `name`, or raise UsageError when it cannot stand in a key."""
    if not _SITE_NAME.fullmatch(name):
        raise UsageError(
            f"site name {name!r}: only a-z, 0-9, '.' and '-' may stand in it; give one with --name"
            " or the site's 'name' setting"
        )
    return name


def escape(path: bytes) -> bytes:
    """Return `path` as nginx writes it into a memcached key."""
    if not _ESCAPED.search(path):
        return path
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], path)


def unescape(path: bytes) -> bytes:
    """Return the path that `escape` was given."""
    return _UNESCAPED.sub(lambda match: bytes([int(match[1], 16)]), path)


def normal_path(text: str) -> bytes:
    """Return the URL path `text` as nginx has it in $uri: decoded, slashes and dots resolved.

    Raises UsageError for a path that nginx refuses.
    """
    raw = unquote_to_bytes(os.fsencode(text.partition("?")[0].partition("#")[0]))
    if not raw.startswith(b"/") or b"\0" in raw:
        raise UsageError(f"{text!r}: a path begins with '/' and has no NUL")
    parts: list[bytes] = []
    for part in raw.split(b"/")[1:]:
        if part == b"..":
            if not parts:
                raise UsageError(f"{text!r}: leads above the root")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    tail = b"/" if raw.endswith((b"/", b"/.", b"/..")) and parts else b""
    return b"/" + b"/".join(parts) + tail


def page_key(site: str, path: bytes) -> bytes:
    """Return the key of the page at `path`, which begins with `/`: the URL itself."""
    return PAGE + site.encode("ascii") + escape(path)


def private_key(site: str, path: bytes) -> bytes:
    """Return the key of a file that is kept but never served."""
    return PRIVATE + site.encode("ascii") + escape(path)


def head_key(site: str, path: bytes) -> bytes:
    """Return the key of the head of the page at `path` (see `heads`)."""
    return HEAD + site.encode("ascii") + escape(path)


def head_of(page: bytes) -> bytes:
    """Return the key of the head of the page whose key is `page`."""
    return HEAD + page[len(PAGE) :]


def body_of(page: bytes) -> bytes:
    """Return where the body is kept of what is no page to memcached_pass, whose key were `page`.

    Its head is where that of the page would be, and there is no item at `page`.
    """
    return BODY + page[len(PAGE) :]


def with_beside(pages: Sequence[bytes]) -> list[bytes]:
    """Return the keys `pages`, and of all that may be kept beside each: its head, a body apart."""
    return [*pages, *map(head_of, pages), *map(body_of, pages)]


def counter(key: bytes) -> int | None:
    """Return the number of the counter that tells nginx of a change of the item at `key`.

    None: nginx reads no such item.
    """
    if key.startswith(PAGE):
        return zlib.crc32(key) % COUNTERS
    if key.startswith(_BESIDE):  # as that of its page, which differs in how it begins
        return zlib.crc32(key[len(HEAD) :], _PAGE_CRC) % COUNTERS
    return None


def directory_key(site: str, path: bytes) -> bytes:
    """Return the key of the records of the directory at `path`, which ends with `/`."""
    return DIRECTORY + site.encode("ascii") + escape(path)


def site_key(site: str) -> bytes:
    """Return the key of the site's own item."""
    return SITE + site.encode("ascii")


def longest_key(site: str, path: bytes) -> int:
    """Return the length in bytes of the longest key an entry at `path` can ever have.

    A file may become private, and a name may become a directory, whose key ends with `/`.
    """
    kinds = max(len(PRIVATE), len(HEAD), len(DIRECTORY) + 1)
    return kinds + len(site) + len(escape(path))


def page_keys(
    site: str, directory: bytes, names: Iterable[bytes], index: bytes | None
) -> list[bytes]:
    """Return the key of each file of `names` in `directory`, as `page_key` of its `page_path`."""
    prefix = page_key(site, directory)
    names = list(names)
    if not _ESCAPED.search(b"".join(names)):  # nearly always
        return [prefix if name == index else prefix + name for name in names]
    return [prefix if name == index else prefix + escape(name) for name in names]


def page_path(directory: bytes, name: bytes, index: bytes | None) -> bytes:
    """Return the URL path that the file `name` in `directory` (ends with `/`) is stored for.

    The page of a directory URL is stored once, under that URL, when `name` is its `index` name.
    """
    return directory if name == index else directory + name


def box_key(host: str) -> bytes:
    """Return the key of what `host` says to the others that share its store (see `boxes`)."""
    return BOX + host.encode("ascii")


def turn_key() -> bytes:
    """Return the key of the item that says which host publishes, where several may."""
    return TURN + b"turn"
