"""What is read from files and changed in them, in memory."""

from collections.abc import Callable

from msgspec.structs import replace

from memfis.filesystem.contents import Contents
from memfis.filesystem.nodes import Content, Node
from memfis.filesystem.saves import Saves


class Edits:
    """Reads and changes the contents of files; nothing of it is saved."""

    def __init__(self, contents: Contents, saves: Saves, now: Callable[[], int]) -> None:
        """Load from `contents`, after `saves` wrote what waits; `now`: ns since the epoch."""
        self._contents = contents
        self._saves = saves
        self._now = now

    def read(self, node: Node, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        data = self._contents.load(node).data
        return bytes(memoryview(data)[offset : offset + size])

    def change(self, node: Node, begin: int, data: bytes) -> None:
        """Write `data` at the offset `begin`; raises EFBIG."""
        self._contents.check_size(begin + len(data))
        self._saves.settle(node)
        content = self._contents.load(node).writable()
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
            content = self._contents.load(node).writable()
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
