"""Files that are open: read, written, and published when they are closed."""

import errno
import os
import stat
from contextlib import suppress

from msgspec.structs import replace

from memfis.filesystem.edits import Edits
from memfis.filesystem.handles import Handles
from memfis.filesystem.interface import Caller
from memfis.filesystem.items import failure
from memfis.filesystem.new_names import NewNames
from memfis.filesystem.nodes import Content
from memfis.filesystem.rules import Rules
from memfis.filesystem.saves import Saves
from memfis.filesystem.tree import Tree, split
from memfis.filesystem.writeback import Writeback

# linux/falloc.h
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
ALLOCATIONS = {0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE}

CHANGING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC
"""Flags with which an open file may be changed: by O_TRUNC even if it is only read."""

SYNCHRONOUS = os.O_SYNC | os.O_DSYNC
"""Flags with which nothing waits."""


class OpenFiles:
    """Operations on handles, which are numbers."""

    def __init__(
        self,
        tree: Tree,
        rules: Rules,
        new_names: NewNames,
        handles: Handles,
        edits: Edits,
        saves: Saves,
        writeback: Writeback,
    ) -> None:
        """Open files of `tree`, change them by `edits`, and publish them by `writeback`."""
        self._tree = tree
        self._rules = rules
        self._new_names = new_names
        self._handles = handles
        self._edits = edits
        self._saves = saves
        self._writeback = writeback

    def create(self, path: bytes, flags: int, mode: int, caller: Caller) -> int:
        """Make the file `path` and return a handle (open(2) with O_CREAT)."""
        self._rules.check_writable()
        above, name = split(path)
        directory = self._tree.directory(above)
        if name in directory.children:
            if flags & os.O_EXCL:
                raise failure(errno.EEXIST)
            with suppress(FileNotFoundError):  # removed by another host
                return self.open(path, flags)
            directory = self._tree.directory(above)
        permissions = stat.S_IMODE(mode) | stat.S_IFREG
        node = self._new_names.node(directory, name, permissions, caller)
        node.unwritten = True
        node.content = Content(bytearray(), dirty=True)
        directory.add(node)
        self._writeback.touch(directory)
        return self._handles.add(node, flags)

    def open(self, path: bytes | None, flags: int, handle: int | None = None) -> int:
        """Open the file `path`, or once more what is open as `handle`, and return a new handle."""
        node = self._handles.find(path, handle)
        if flags & CHANGING:
            self._rules.check_writable()
        while not node.is_directory and not self._edits.open(node, load=not flags & os.O_TRUNC):
            node = self._handles.find(path, handle)
        if node.is_directory:
            raise failure(errno.EISDIR)
        if node.is_link:
            raise failure(errno.ELOOP)
        if flags & os.O_TRUNC:
            self._edits.resize(node, 0)
        return self._handles.add(node, flags)

    def read(self, handle: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        node, _ = self._handles.get(handle)
        return self._edits.read(node, size, offset)

    def write(self, handle: int, data: bytes, offset: int) -> int:
        """Write `data` at `offset`, at the end with O_APPEND; return its length in bytes."""
        node, flags = self._handles.get(handle)
        if flags & os.O_APPEND:
            offset = node.entry.size
        self._edits.change(node, offset, data)
        return len(data)

    def allocate(self, handle: int, mode: int, offset: int, length: int) -> None:
        """Make room, or zeros, in an open file (fallocate(2))."""
        node, _ = self._handles.get(handle)
        if mode not in ALLOCATIONS:
            raise failure(errno.EOPNOTSUPP)
        end = offset + length
        self._edits.check_size(end)
        if not mode & KEEP_SIZE and end > node.entry.size:
            self._edits.resize(node, end)
        if mode & (PUNCH_HOLE | ZERO_RANGE):
            zeros = min(end, node.entry.size) - offset
            if zeros > 0:
                self._edits.change(node, offset, bytes(zeros))
        self._writeback.stamp(node)
        node.entry = replace(node.entry, mtime_ns=node.ctime_ns)
        self._writeback.later(node)

    def truncate(self, path: bytes | None, length: int, handle: int | None = None) -> None:
        """Cut the file, or let it grow by zeros, to `length` bytes (truncate(2))."""
        self._rules.check_writable()
        node = self._handles.find(path, handle)
        if node.is_directory:
            raise failure(errno.EISDIR)
        if length == node.entry.size:
            return  # and its times stay (truncate(2))
        self._saves.settle(node)
        others = node.dirty and node.handles
        self._edits.resize(node, length)
        if handle is None and not others:
            self._writeback.publish(node)
            if not node.handles and not node.dirty:
                node.content = None

    def flush(self, handle: int) -> None:
        """Publish what was written to an open file (close(2))."""
        node, flags = self._handles.get(handle)
        if flags & CHANGING and flags & SYNCHRONOUS:
            self._writeback.save(node)
        elif flags & CHANGING:
            self._writeback.publish(node)

    def sync(self, handle: int) -> None:
        """Publish what was written to an open file, and its latest attributes (fsync(2))."""
        node, _ = self._handles.get(handle)
        self._writeback.save(node)
        self._writeback.write_records()

    def release(self, handle: int) -> None:
        """Forget the handle; what close could not write stays in memory."""
        node = self._handles.remove(handle)
        if node.handles:
            return
        left = node in self._saves.unsaved or self._saves.is_held(node)
        if node.dirty and node.directory is not None and not left:
            self._writeback.publish(node)  # written by mmap(2) after the last close
        if not node.dirty or node.directory is None:
            node.content = None
