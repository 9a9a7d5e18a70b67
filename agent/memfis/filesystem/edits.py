"""What is read from files and changed in them, in memory."""

import errno
import time
from collections.abc import Callable

from msgspec.structs import replace

from memfis.filesystem.contents import Contents
from memfis.filesystem.items import Items
from memfis.filesystem.nodes import Content, Node
from memfis.filesystem.saves import Saves
from memfis.filesystem.tree import Tree

LOOKS, PAUSE = 5, 0.02
"""How often a content is looked for that is not there, as another host is moving it; seconds."""


class Edits:
    """Reads and changes the contents of files; nothing of it is saved."""

    def __init__(
        self, items: Items, tree: Tree, contents: Contents, saves: Saves, now: Callable[[], int]
    ) -> None:
        """Load from `contents`, after `saves` wrote what waits; `now`: ns since the epoch."""
        self._items = items
        self._tree = tree
        self._contents = contents
        self._saves = saves
        self._now = now

    def open(self, node: Node, *, load: bool) -> bool:
        """Find out whether `node` is still what has its name, and `load` its content at once.

        False: it may not be. What cannot be found is looked for when it is read.
        """
        if node.unwritten or node.directory is None:
            return True
        directory = node.directory
        load = load and node.content is None
        requests = [self._contents.fetching(node)] if load else []
        # The content comes first: if the log is as it was seen, it was so then.
        *found, state = self._items.exchange(*requests, self._tree.state(directory))
        if not self._tree.is_as(directory, state):
            self._tree.refresh(directory)
            return False
        if load and found[0].done:
            self._contents.take(node, found[0])
        return True

    def _load(self, node: Node) -> Content:
        """Load the content of `node`; raises ESTALE when another host has taken it away, EIO."""
        for _ in range(LOOKS):
            try:
                return self._contents.load(node)
            except OSError as error:
                if error.errno != errno.EIO or self._items.away:
                    raise
            if self.open(node, load=True):  # nobody has changed it, or is not ready
                time.sleep(PAUSE)
        return self._contents.load(node)

    def read(self, node: Node, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        data = self._load(node).data
        return bytes(memoryview(data)[offset : offset + size])

    def change(self, node: Node, begin: int, data: bytes) -> None:
        """Write `data` at the offset `begin`; raises EFBIG."""
        self._contents.check_size(begin + len(data))
        self._saves.settle(node)
        content = self._load(node).writable()
        if begin > len(content):
            content.extend(bytes(begin - len(content)))
        content[begin : begin + len(data)] = data
        self._changed(node)

    def resize(self, node: Node, length: int) -> None:
        """Cut the file, or let it grow by zeros; raises EFBIG."""
        self._contents.check_size(length)
        self._saves.settle(node)
        if length == 0:
            if node.content is None:
                node.content = Content(bytearray())
            node.content.data = bytearray()
        else:
            content = self._load(node).writable()
            if length < len(content):
                del content[length:]
            else:
                content.extend(bytes(length - len(content)))
        self._changed(node)

    def check_size(self, size: int) -> None:
        """Raise EFBIG when no file may have `size` bytes."""
        self._contents.check_size(size)

    def _changed(self, node: Node) -> None:
        assert node.content is not None
        node.content.dirty = True
        now = self._now()
        node.ctime_ns = now
        # write(2) takes away what lets a file run as somebody else, the kernel asks for it itself
        node.entry = replace(node.entry, size=len(node.content.data), mtime_ns=now)
