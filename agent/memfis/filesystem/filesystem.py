"""The operations of the filesystem, as POSIX has them."""

import errno
import logging

from memfis.filesystem.attributes import AttributeChanges
from memfis.filesystem.interface import Attributes, Space
from memfis.filesystem.items import failure
from memfis.filesystem.names import Names
from memfis.filesystem.open_files import OpenFiles
from memfis.filesystem.rules import NAME_LIMIT

log = logging.getLogger(__name__)


class Filesystem(OpenFiles, Names, AttributeChanges):
    """One site's files. Paths are bytes, absolute, without a `/` at the end but for the root.

    Every operation raises OSError with the errno that POSIX gives it, EIO when the store cannot be
    asked, ENOSPC when it has no room. Not thread-safe: one caller at a time.
    """

    def attributes(self, path: bytes | None, handle: int | None = None) -> Attributes:
        """Return what stat(2) tells of `path`, or of the file open as `handle`."""
        node = self._node(path, handle)
        if not node.is_directory:
            return node.attributes(0 if node.directory is None else 1)
        try:
            return node.attributes(self._tree.below(node).links)
        except OSError as error:
            if error.errno == errno.EIO and not self._items.away:
                return node.attributes(2)  # its records are lost: its name is still there
            raise

    def names(self, path: bytes) -> list[tuple[bytes, Attributes]]:
        """Return the names in the directory `path`, without `.` and `..`, and what they are."""
        directory = self._tree.below(self._directory_node(path))
        return [(name, node.attributes(1)) for name, node in directory.children.items()]

    def target(self, path: bytes) -> bytes:
        """Return where the symbolic link `path` points (readlink(2))."""
        node = self._tree.find(path)
        if not node.is_link:
            raise failure(errno.EINVAL)
        return (node.entry.target or "").encode("latin-1")

    def space(self) -> Space:
        """Return how much room the store has."""
        figures = self._items.statistics()
        free = max(0, figures.limit - figures.bytes)
        return Space(figures.limit, free, figures.items, NAME_LIMIT)
