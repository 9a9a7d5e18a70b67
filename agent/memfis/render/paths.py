"""URL paths of rendered pages: as nginx has them, as they are asked for, which may be stored."""

import os
from collections.abc import Iterator

from memfis.layout.keys import KEY_LIMIT, longest_key
from memfis.layout.paths import page_url
from memfis.settings.values import Site
from memfis.webroot.exclusions import is_refused


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
    return page_url(path, site.index_name)
