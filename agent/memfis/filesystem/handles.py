"""Handles of open files: numbers, as descriptors are."""

import errno
from itertools import count

from memfis.filesystem.items import failure
from memfis.filesystem.nodes import Node
from memfis.filesystem.tree import Tree


class Handles:
    """The files that are open, each with the flags of its open(2)."""

    def __init__(self, tree: Tree) -> None:
        """Begin with none; what has no handle is found in `tree`."""
        self._tree = tree
        self._open: dict[int, tuple[Node, int]] = {}
        self._numbers = count(1)

    def add(self, node: Node, flags: int) -> int:
        """Return a new handle of `node`."""
        number = next(self._numbers)
        self._open[number] = (node, flags)
        node.handles += 1
        return number

    def get(self, handle: int) -> tuple[Node, int]:
        """Return the file, and the flags that it was opened with; raises EBADF."""
        try:
            return self._open[handle]
        except KeyError:
            raise failure(errno.EBADF) from None

    def remove(self, handle: int) -> Node:
        """Return the file of a handle that is no more."""
        node, _ = self._open.pop(handle)
        node.handles -= 1
        return node

    def nodes(self) -> set[Node]:
        """Return all files that are open."""
        return {node for node, _ in self._open.values()}

    def find(self, path: bytes | None, handle: int | None) -> Node:
        """Return the file open as `handle`, else what is at `path`.

        Raises EBADF, ESTALE when there is neither, and as `Tree.find`.
        """
        if handle is not None:
            return self.get(handle)[0]
        if path is None:
            raise failure(errno.ESTALE)
        return self._tree.find(path)
