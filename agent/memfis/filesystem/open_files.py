"""Files that are open: read, written, and published when they are closed."""

import errno
import logging
import os
import stat

from msgspec.structs import replace

from memfis.filesystem.interface import Caller
from memfis.filesystem.items import failure
from memfis.filesystem.nodes import Content
from memfis.filesystem.tree import split
from memfis.filesystem.volume import Volume

log = logging.getLogger(__name__)

# linux/falloc.h
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
ALLOCATIONS = {0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE}

CHANGING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC
"""Flags with which an open file may be changed: by O_TRUNC even if it is only read."""

SYNCHRONOUS = os.O_SYNC | os.O_DSYNC
"""Flags with which nothing waits."""


class OpenFiles(Volume):
    """Operations on handles, which are numbers."""

    def create(self, path: bytes, flags: int, mode: int, caller: Caller) -> int:
        """Make the file `path` and return a handle (open(2) with O_CREAT)."""
        self._check_writable()
        above, name = split(path)
        directory = self._tree.directory(above)
        if name in directory.children:
            if flags & os.O_EXCL:
                raise failure(errno.EEXIST)
            return self.open(path, flags)
        permissions = stat.S_IMODE(mode) | stat.S_IFREG
        node = self._make(directory, name, permissions, caller)
        node.unwritten = True
        node.content = Content(bytearray(), dirty=True)
        directory.add(node)
        self._touch(directory)
        return self._handle(node, flags)

    def open(self, path: bytes, flags: int) -> int:
        """Open the file `path` and return a handle."""
        node = self._tree.find(path)
        if node.is_directory:
            raise failure(errno.EISDIR)
        if node.is_link:
            raise failure(errno.ELOOP)
        if flags & CHANGING:
            self._check_writable()
        if flags & os.O_TRUNC:
            self._contents.resize(node, 0)
        return self._handle(node, flags)

    def read(self, handle: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        node, _ = self._open(handle)
        data = self._contents.load(node).data
        return bytes(memoryview(data)[offset : offset + size])

    def write(self, handle: int, data: bytes, offset: int) -> int:
        """Write `data` at `offset`, at the end with O_APPEND; return its length in bytes."""
        node, flags = self._open(handle)
        if flags & os.O_APPEND:
            offset = node.entry.size
        self._contents.change(node, offset, data)
        return len(data)

    def allocate(self, handle: int, mode: int, offset: int, length: int) -> None:
        """Make room, or zeros, in an open file (fallocate(2))."""
        node, _ = self._open(handle)
        if mode not in ALLOCATIONS:
            raise failure(errno.EOPNOTSUPP)
        end = offset + length
        self._contents.check_size(end)
        if not mode & KEEP_SIZE and end > node.entry.size:
            self._contents.resize(node, end)
        if mode & (PUNCH_HOLE | ZERO_RANGE):
            zeros = min(end, node.entry.size) - offset
            if zeros > 0:
                self._contents.change(node, offset, bytes(zeros))
        now = self._now()
        node.ctime_ns = now
        node.entry = replace(node.entry, mtime_ns=now)
        self._later(node)

    def truncate(self, path: bytes | None, length: int, handle: int | None = None) -> None:
        """Let the file have `length` bytes."""
        self._check_writable()
        node = self._node(path, handle)
        if node.is_directory:
            raise failure(errno.EISDIR)
        if length == node.entry.size:
            return  # and its times stay (truncate(2))
        self._contents.settle(node)
        others = node.dirty and node.handles
        self._contents.resize(node, length)
        if handle is None and not others:
            self._publish(node)
            if not node.handles and not node.dirty:
                node.content = None

    def flush(self, handle: int) -> None:
        """Publish what was written to an open file (close(2))."""
        node, flags = self._open(handle)
        if flags & CHANGING and flags & SYNCHRONOUS:
            self._save(node)
        elif flags & CHANGING:
            self._publish(node)

    def sync(self, handle: int) -> None:
        """Publish what was written to an open file, and its latest attributes (fsync(2))."""
        node, _ = self._open(handle)
        self._save(node)
        self._write_records()

    def release(self, handle: int) -> None:
        """Forget the handle; what close could not write stays in memory."""
        node, _ = self._handles.pop(handle)
        node.handles -= 1
        if node.handles:
            return
        left = node in self._contents.unsaved or self._contents.is_held(node)
        if node.dirty and node.directory is not None and not left:
            self._publish(node)  # written by mmap(2) after the last close
        if not node.dirty or node.directory is None:
            node.content = None
