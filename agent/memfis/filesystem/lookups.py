"""What can be asked of names without changing anything."""

import errno

from memfis.filesystem.handles import Handles
from memfis.filesystem.interface import Attributes, Space
from memfis.filesystem.items import Items, failure
from memfis.filesystem.rules import NAME_LIMIT
from memfis.filesystem.tree import Tree


class Lookups:
    """Operations that only tell something."""

    def __init__(self, items: Items, tree: Tree, handles: Handles) -> None:
        """Tell of the names in `tree`, of open files, and of the store that has `items`."""
        self._items = items
        self._tree = tree
        self._handles = handles

    def attributes(self, path: bytes | None, handle: int | None = None) -> Attributes:
        """Return what stat(2) tells of `path`, or of the file open as `handle`."""
        node = self._handles.find(path, handle)
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
        node = self._tree.find(path)
        if not node.is_directory:
            raise failure(errno.ENOTDIR)
        directory = self._tree.below(node)
        return [(name, node.attributes(1)) for name, node in directory.children.items()]

    def target(self, path: bytes) -> bytes:
        """Return where the symbolic link `path` points (readlink(2))."""
        node = self._tree.find(path)
        if not node.is_link:
            raise failure(errno.EINVAL)
        return (node.entry.target or "").encode("latin-1")

    def extended(self, path: bytes | None, handle: int | None = None) -> dict[bytes, bytes]:
        """Return the extended attributes `user.*` of `path`, or of the file open as `handle`."""
        kept = self._handles.find(path, handle).entry.extended or {}
        return {
            name.encode("latin-1"): value.encode("latin-1")
            for name, value in kept.items()
            if name.startswith("user.")
        }

    def space(self) -> Space:
        """Return how much room the store has."""
        figures = self._items.statistics()
        free = max(0, figures.limit - figures.bytes)
        return Space(figures.limit, free, figures.items, NAME_LIMIT)
