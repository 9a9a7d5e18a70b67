"""What stands for an item: whether the web root publishes what it was made of, now."""

from collections.abc import Collection
from typing import NamedTuple

from memfis.webroot import Listing, WebRoot

STRAY, EXPOSED, UNKNOWN = "stray", "exposed", "unknown"


class Name(NamedTuple):
    """A name in a directory, as the file system has it, and what it should be of."""

    raw: bytes
    is_directory: bool


class Standing:
    """Looks at the web root anew whenever it is asked."""

    def __init__(self, webroot: WebRoot | None) -> None:
        """Look at `webroot`; None: it is missing."""
        self._webroot = webroot

    def kinds(self, directory: bytes, names: Collection[Name]) -> dict[Name, str]:
        """Return what is wrong with items made of `names` in the directory at the URL path.

        STRAY: nothing is there that they could be made of. EXPOSED: it is there, and may not be
        served from memory. UNKNOWN: the file system does not tell. What is published is left out.
        """
        if self._webroot is None:
            return dict.fromkeys(names, STRAY)
        path, way = directory, b""
        while (nearest := self._webroot.directory(path)) is None:
            if path == b"/":
                return dict.fromkeys(names, UNKNOWN)  # it went, or failed, just now
            above, _, way = path[:-1].rpartition(b"/")
            path = above + b"/"
        if way:
            kind = _kind(self._webroot.look(nearest, [way]), Name(way, is_directory=True))
            return dict.fromkeys(names, kind) if kind else {}
        listing = self._webroot.look(nearest, [name.raw for name in names])
        kinds = {name: _kind(listing, name) for name in names}
        return {name: kind for name, kind in kinds.items() if kind}


def _kind(listing: Listing, name: Name) -> str | None:
    text = name.raw.decode("latin-1")
    entry = listing.entries.get(text)
    if listing.is_broken or text in listing.unknown:
        return UNKNOWN
    if entry is not None and entry.is_directory == name.is_directory:
        return None
    if entry is not None or listing.is_gone or listing.lacks(text):
        return STRAY
    return EXPOSED
