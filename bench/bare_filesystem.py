"""The least that a filesystem in Python can do: files in memory, over mfusepy as it comes.

    python bench/bare_filesystem.py MOUNTPOINT

`Memory` has the operations of `memfis.filesystem.Filesystem` and keeps nothing; `Bare` hands them
to mfusepy the way its documentation shows. `bench/mounting.py` runs it beside `memfis mount`, to
tell what is memfis's own from what is not. It checks nothing: not for anything but measuring.
"""

import errno
import itertools
import os
import stat
import sys
import time
from typing import Any

from memfis.filesystem.interface import Attributes, Caller, Space


class Node:
    """A file, directory or symbolic link."""

    def __init__(self, inode: int, mode: int, caller: Caller) -> None:
        self.inode = inode
        self.mode = mode
        self.uid, self.gid = caller
        self.data = bytearray()
        self.children: dict[bytes, Node] = {}
        self.extended: dict[bytes, bytes] = {}
        self.atime_ns = self.mtime_ns = self.ctime_ns = time.time_ns()


class Memory:
    """Files in memory; every path is looked up by its components' dictionaries."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._root = Node(next(self._numbers), stat.S_IFDIR | 0o755, Caller(0, 0))
        self._open: dict[int, Node] = {}

    def _node(self, path: bytes | None, handle: int | None = None) -> Node:
        if handle is not None:
            return self._open[handle]
        node = self._root
        assert path is not None
        for name in path.split(b"/")[1:]:
            if name:
                if name not in node.children:
                    raise FileNotFoundError(errno.ENOENT, "not there")
                node = node.children[name]
        return node

    def _add(self, path: bytes, mode: int, caller: Caller) -> Node:
        directory, _, name = path.rpartition(b"/")
        node = Node(next(self._numbers), mode, caller)
        self._node(directory).children[name] = node
        return node

    def _take(self, path: bytes) -> Node:
        directory, _, name = path.rpartition(b"/")
        return self._node(directory).children.pop(name)

    def attributes(self, path: bytes | None, handle: int | None = None) -> Attributes:
        node = self._node(path, handle)
        return Attributes(
            *(node.inode, node.mode, 1, node.uid, node.gid, len(node.data)),
            *(node.atime_ns, node.mtime_ns, node.ctime_ns),
        )

    def names(self, path: bytes) -> list[tuple[bytes, Attributes]]:
        directory = self._node(path)
        return [(name, self.attributes(path + b"/" + name)) for name in directory.children]

    def create(self, path: bytes, flags: int, mode: int, caller: Caller) -> int:
        node = self._add(path, stat.S_IFREG | mode & 0o7777, caller)
        self._open[node.inode] = node
        return node.inode

    def open(self, path: bytes, flags: int) -> int:
        node = self._node(path)
        if flags & os.O_TRUNC:
            node.data.clear()
        handle = next(self._numbers)
        self._open[handle] = node
        return handle

    def read(self, handle: int, size: int, offset: int) -> bytes:
        return bytes(self._open[handle].data[offset : offset + size])

    def write(self, handle: int, data: bytes, offset: int) -> int:
        node = self._open[handle]
        if offset > len(node.data):
            node.data.extend(bytes(offset - len(node.data)))
        node.data[offset : offset + len(data)] = data
        node.mtime_ns = time.time_ns()
        return len(data)

    def flush(self, handle: int) -> None:
        pass

    def sync(self, handle: int) -> None:
        pass

    def release(self, handle: int) -> None:
        del self._open[handle]

    def truncate(self, path: bytes | None, length: int, handle: int | None = None) -> None:
        data = self._node(path, handle).data
        del data[length:]
        data.extend(bytes(length - len(data)))

    def make_directory(self, path: bytes, mode: int, caller: Caller) -> None:
        self._add(path, stat.S_IFDIR | mode & 0o7777, caller)

    def remove_directory(self, path: bytes) -> None:
        self._take(path)

    def remove(self, path: bytes) -> None:
        self._take(path)

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        directory, _, name = new.rpartition(b"/")
        self._node(directory).children[name] = self._take(old)

    def make_link(self, path: bytes, target: bytes, caller: Caller) -> None:
        self._add(path, stat.S_IFLNK | 0o777, caller).data = bytearray(target)

    def target(self, path: bytes) -> bytes:
        return bytes(self._node(path).data)

    def change_mode(self, path: bytes | None, mode: int, handle: int | None = None) -> None:
        node = self._node(path, handle)
        node.mode = stat.S_IFMT(node.mode) | mode & 0o7777

    def change_owner(
        self, path: bytes | None, uid: int, gid: int, handle: int | None = None
    ) -> None:
        node = self._node(path, handle)
        node.uid = node.uid if uid < 0 else uid
        node.gid = node.gid if gid < 0 else gid

    def change_times(
        self,
        path: bytes | None,
        atime_ns: int | None,
        mtime_ns: int | None,
        handle: int | None = None,
    ) -> None:
        node = self._node(path, handle)
        node.atime_ns = node.atime_ns if atime_ns is None else atime_ns
        node.mtime_ns = node.mtime_ns if mtime_ns is None else mtime_ns

    def extended(self, path: bytes) -> dict[bytes, bytes]:
        return self._node(path).extended

    def set_extended(self, path: bytes, name: bytes, value: bytes, flags: int) -> None:
        self._node(path).extended[name] = value

    def remove_extended(self, path: bytes, name: bytes) -> None:
        del self._node(path).extended[name]

    def space(self) -> Space:
        return Space(1 << 30, 1 << 30, 0, 255)

    def write_pending(self) -> None:
        pass

    def close(self) -> list[str]:
        return []


def mount(mountpoint: str) -> None:
    """Mount an empty `Memory`, and return when it is unmounted."""
    os.environ["FUSE_LIBRARY_NAME"] = "fuse3"
    import mfusepy

    class Bare(mfusepy.Operations):  # type: ignore[misc]
        use_ns = True

        def __init__(self) -> None:
            self._files = Memory()

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            found = self._files.attributes(os.fsencode(path))
            return {
                "st_ino": found.inode,
                "st_mode": found.mode,
                "st_nlink": found.links,
                "st_uid": found.uid,
                "st_gid": found.gid,
                "st_size": found.size,
                "st_atime": found.atime_ns,
                "st_mtime": found.mtime_ns,
                "st_ctime": found.ctime_ns,
            }

        def readdir(self, path: str, fh: int) -> Any:
            names = [os.fsdecode(name) for name, _ in self._files.names(os.fsencode(path))]
            return [".", "..", *names]

        def create(self, path: str, mode: int, flags: Any = 0) -> int:
            uid, gid, _ = mfusepy.fuse_get_context()
            return self._files.create(os.fsencode(path), flags, mode, Caller(uid, gid))

        def open(self, path: str, flags: int) -> int:
            return self._files.open(os.fsencode(path), flags)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return self._files.read(fh, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return self._files.write(fh, data, offset)

        def flush(self, path: str, fh: int) -> int:
            self._files.flush(fh)
            return 0

        def release(self, path: str, fh: int) -> int:
            self._files.release(fh)
            return 0

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            self._files.truncate(os.fsencode(path), length)
            return 0

        def mkdir(self, path: str, mode: int) -> int:
            uid, gid, _ = mfusepy.fuse_get_context()
            self._files.make_directory(os.fsencode(path), mode, Caller(uid, gid))
            return 0

        def rmdir(self, path: str) -> int:
            self._files.remove_directory(os.fsencode(path))
            return 0

        def unlink(self, path: str) -> int:
            self._files.remove(os.fsencode(path))
            return 0

        def chmod(self, path: str, mode: int) -> int:
            self._files.change_mode(os.fsencode(path), mode)
            return 0

        def chown(self, path: str, uid: int, gid: int) -> int:
            self._files.change_owner(os.fsencode(path), uid, gid)
            return 0

        def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
            times = times or (time.time_ns(), time.time_ns())
            self._files.change_times(os.fsencode(path), *times)
            return 0

        def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
            try:
                return self._files.extended(os.fsencode(path))[os.fsencode(name)]
            except KeyError:
                raise OSError(errno.ENODATA, "no such attribute") from None

    mfusepy.FUSE(Bare(), mountpoint, foreground=True, nothreads=True, default_permissions=True)


if __name__ == "__main__":
    mount(sys.argv[1])
