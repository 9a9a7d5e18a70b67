"""URL paths of rendered pages: as nginx has them, as they are asked for, which may be stored."""

import os
from collections.abc import Iterator
from urllib.parse import quote_from_bytes

from memfis.layout.keys import KEY_LIMIT, longest_key, page_path
from memfis.settings.load import Site
from memfis.webroot.exclusions import is_refused

_KEPT = "/!$&'()*+,;=:@-._~"
"""What a path may hold as it is (RFC 3986, section 3.3)."""


def target(path: bytes) -> bytes:
    """Return the request target for `path` (nginx's $uri), percent-encoded."""
    return quote_from_bytes(path, safe=_KEPT).encode("ascii")


def shown(path: bytes) -> str:
    """Return `path` for people, percent-encoded where it is not plain ASCII."""
    return target(path).decode("ascii")


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return the directory whose records name the page, and its name there.

    The page of a directory's own URL has no name; files always have one.
    """
    directory, slash, name = path.rpartition(b"/")
    return directory + slash, name


def obstacle(site: Site, path: bytes) -> str | None:
    """Return why no page may be stored for `path`, None when one may."""
    if longest_key(site.name, path) > KEY_LIMIT:
        return "key too long"
    parts = path.split(b"/")[1:]
    if any(is_refused(b"/" if not depth else b"/x/", part) for depth, part in enumerate(parts)):
        return "a name that is never served from memory"
    if is_file(site, path):
        return "a file on disk"
    if any(os.path.isfile(os.fsencode(site.root) + above) for above in _above(path)):
        return "below a file on disk"
    return None


def _above(path: bytes) -> Iterator[bytes]:
    """Yield what would have to be directories for `path` to be a file."""
    end = path.find(b"/", 1)
    while end > 0:
        yield path[:end]
        end = path.find(b"/", end + 1)


def is_file(site: Site, path: bytes) -> bool:
    """Whether a file of the web root answers `path`: its own page is not ours to write."""
    disk = os.fsencode(site.root) + path
    if not path.endswith(b"/"):
        return os.path.lexists(disk) and not os.path.isdir(disk)
    for name in map(os.fsencode, site.index):
        if os.path.lexists(disk + name):
            return not is_refused(b"/x/", name)  # else a script answers
    return False


def kept_at(site: Site, path: bytes) -> bytes:
    """Return the path under which nginx looks for the page of `path`, as `page_path` has it."""
    directory, name = split(path)
    return page_path(directory, name, site.index_name)
