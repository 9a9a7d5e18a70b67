"""What of a site that a mount fills may be public: by the modes and names of its records."""

from collections.abc import Callable

from memfis.layout.records import Entry, Log
from memfis.settings.values import Site
from memfis.webroot.exclusions import Exclusions
from memfis.webroot.reader import READ, SEARCH
from memfis.webroot.visitor import visitor

Read = Callable[[bytes], Log | None]
"""Returns what is recorded of the directory at a path that ends with `/`."""


class Access:
    """The rules by which a mount publishes, once more: what it did is compared with them."""

    def __init__(self, site: Site) -> None:
        """Take the reader of `site`, and the names that it excludes and refuses."""
        self._visitor = visitor(site)
        self._exclusions = Exclusions.of(site)

    def enters(self, path: bytes, top: Entry | None, read: Read) -> bool:
        """Whether visitors may enter the directory at `path`, and every one above it.

        `top` is the record of the root directory; None: there is none, so it is open. What `read`
        does not know is not open.
        """
        if top is not None and not self._opens(top, SEARCH):
            return False
        here = b"/"
        for name in path.split(b"/")[1:-1]:
            log = read(here)
            entry = log.entries.get(name.decode("latin-1")) if log else None
            if entry is None or not entry.is_directory or not self._opens(entry, SEARCH):
                return False
            if self._exclusions.leave_out(here, name, is_directory=True):
                return False
            here += name + b"/"
        return True

    def reads(self, directory: bytes, entry: Entry) -> bool:
        """Whether the file or link `entry` may be served, if visitors may enter `directory`."""
        may = entry.target is not None or self._opens(entry, READ)
        return may and not self._exclusions.leave_out(directory, entry.raw, is_directory=False)

    def _opens(self, entry: Entry, want: int) -> bool:
        return self._visitor.may_by_mode(want, entry.mode or 0, entry.uid, entry.gid)
