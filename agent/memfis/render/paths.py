"""URL paths of rendered pages: as people write them, and which of them may be stored."""

import os
import re
from collections.abc import Iterator

from memfis.layout.identity import PLAIN, decoded
from memfis.layout.keys import KEY_LIMIT, longest_key
from memfis.settings.values import Site
from memfis.webroot.exclusions import RefusedNames

NOT_CANONICAL = "a URL that is not canonical"
"""Why nothing is kept for a request target of which `identity.page_of` says so."""

_TO_ESCAPE = re.compile(f"%(?![0-9A-Fa-f]{{2}})|(?!{PLAIN}|[/?%])[\\x00-\\xff]".encode("latin-1"))


def as_target(text: str) -> bytes:
    """Return the request target that `text` stands for: what must be escaped is, the rest stays.

    So people may write `/ü` or `/a b`. What follows `#` is left out.
    """
    raw = os.fsencode(text.partition("#")[0])
    return _TO_ESCAPE.sub(lambda match: b"%%%02X" % match[0][0], raw)


def obstacle(site: Site, path: bytes) -> str | None:
    """Return why no page may be stored for `path`, None when one may."""
    why = obstacle_by_name(site, path)
    if why is not None:
        return why
    if is_file(site, path):
        return "a file on disk"
    root = os.fsencode(site.root)
    if any(os.path.isfile(root + above) for above in _above(decoded(path))):
        return "below a file on disk"
    return None


def obstacle_by_name(site: Site, path: bytes) -> str | None:
    """Return why no page may be stored for `path`, whatever is on the disk."""
    if longest_key(site.name, path) > KEY_LIMIT:
        return "key too long"
    if any(map(RefusedNames.of(site).is_source, decoded(path).split(b"/"))):
        return "a name that is never served from memory"
    return None


def _above(path: bytes) -> Iterator[bytes]:
    """Yield what would have to be directories for `path` to be a file."""
    end = path.find(b"/", 1)
    while end > 0:
        yield path[:end]
        end = path.find(b"/", end + 1)


def is_file(site: Site, path: bytes) -> bool:
    """Whether a file of the web root answers `path`: its own page is not ours to write.

    What is on the disk with a dot in front, or below such a name, is answered by nobody else.
    """
    path = decoded(path)
    root = os.fsencode(site.root)
    hidden = _hidden(path)
    if hidden is not None and os.path.lexists(root + hidden):
        return True
    disk = root + path
    if not path.endswith(b"/"):
        return os.path.lexists(disk) and not os.path.isdir(disk)
    for name in map(os.fsencode, site.index):
        if os.path.lexists(disk + name):
            return not RefusedNames.of(site).refuses(b"/x/", name, False)  # else a script answers
    return False


def _hidden(path: bytes) -> bytes | None:
    """Return `path` up to the first name with a dot in front, None if it has none."""
    start = path.find(b"/.", 1 if (path + b"/").startswith(b"/.well-known/") else 0)
    if start < 0:
        return None
    end = path.find(b"/", start + 1)
    return path if end < 0 else path[:end]
