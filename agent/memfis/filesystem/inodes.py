"""Inode numbers: made of paths and times, as the store keeps none."""

from collections.abc import Callable

from memfis.filesystem.nodes import Node

MASK = 0x7FFFFFFFFFFFFFFF
"""Bits of an inode number: it must not be negative anywhere."""

MOVED = 1000
"""Renamed nodes before those are forgotten that are no more."""

ROOT = hash(b"/") & MASK
"""That of the top directory."""


class InodeNumbers:
    """Gives numbers to nodes, none to two that live at the same time."""

    def __init__(self, lives: Callable[[Node], bool]) -> None:
        """Give a number anew once the node that has it no longer `lives`."""
        self._lives = lives
        self._moved: dict[int, Node] = {}
        self._moved_limit = MOVED

    def number(self, path: bytes, since: int) -> int:
        """Return a number for what is at `path` since then, as long as nothing else has it.

        What was renamed has that of its former path, and another host may have made that anew.
        """
        number = hash((path, since)) & MASK
        attempt = 0
        while (holder := self._moved.get(number)) is not None and self._lives(holder):
            attempt += 1
            number = hash((path, since, attempt)) & MASK
        return number

    def moved(self, node: Node) -> None:
        """Note that `node` has another name than its inode number was made of."""
        self._moved[node.inode] = node
        if len(self._moved) > self._moved_limit:
            self._moved = {n: each for n, each in self._moved.items() if self._lives(each)}
            self._moved_limit = max(MOVED, 2 * len(self._moved))
