"""What was opened, and not what was named: where it lies, and whether nginx's user gets there.

Names may be swapped between two calls of the kernel; an open file and its directory may not.
"""

import errno
import os
from typing import NamedTuple

from memfis.layout.paths import shown
from memfis.webroot.exclusions import RefusedNames
from memfis.webroot.reader import SEARCH, Reader

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Tree(NamedTuple):
    """A directory that may be published with what is below: a web root, or one to follow to."""

    path: bytes
    """Absolute, free of links."""
    device: int
    inode: int

    @classmethod
    def at(cls, path: bytes) -> "Tree":
        """Return the directory at `path` (free of links) as it is now; raises OSError."""
        status = os.stat(path)
        return cls(path, status.st_dev, status.st_ino)

    def holds(self, path: bytes) -> bool:
        """Whether the absolute `path`, free of links, is in the tree."""
        return path == self.path or path.startswith(self.path.rstrip(b"/") + b"/")


class Bounds(NamedTuple):
    """What of a host's files may be published at all."""

    trees: tuple[Tree, ...]
    """The web root first; empty where nobody may be served anything."""
    reader: Reader
    refused: RefusedNames

    def tree_of(self, path: bytes) -> Tree | None:
        """Return the tree that the absolute `path`, free of links, is in."""
        return next((tree for tree in self.trees if tree.holds(path)), None)

    def refuse(self, path: bytes, *, is_directory: bool) -> bool:
        """Whether a name on the way to `path`, from its tree on, is one that is never served."""
        tree = self.tree_of(path)
        names = path[len(tree.path.rstrip(b"/")) :].split(b"/")[1:] if tree else []
        return any(
            self.refused.refuses(
                b"/" if depth == 0 else b"/x/", name, depth < len(names) - 1 or is_directory
            )
            for depth, name in enumerate(names)
        )


def check_way(descriptor: int, bounds: Bounds) -> None:
    """Raise OSError unless the open directory lies within `bounds` and their reader gets to it.

    It and the directories above are asked one by one, by `..` (path_resolution(7)).
    """
    tops = {tree[1:] for tree in bounds.trees}
    reader = bounds.reader
    here = os.open(b".", _DIRECTORY, dir_fd=descriptor)
    try:
        while True:
            status = os.fstat(here)
            if not reader.may(SEARCH, b"/proc/self/fd/%d" % here, status):
                raise OSError(errno.EAGAIN, f"lies where nginx's user {reader.name} may not go")
            if (status.st_dev, status.st_ino) in tops:
                return
            below, here = here, os.open(b"..", _DIRECTORY, dir_fd=here)
            try:
                if _is_same(below, here):  # the `..` of `/` is `/`
                    raise OSError(errno.EAGAIN, "leads out of the web root since it was found")
            finally:
                os.close(below)
    finally:
        os.close(here)


def _is_same(one: int, other: int) -> bool:
    """Whether two open directories are the same one, in the same mount.

    One that is mounted over a directory in it (`mount --bind d d/e`) is above itself, once.
    """
    if not os.path.sameopenfile(one, other):
        return False
    return _mount_of(one) == _mount_of(other)


def _mount_of(descriptor: int) -> bytes:
    """Return the line of proc_pid_fdinfo(5) that says in which mount the open file is."""
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as lines:
        return next(line for line in lines if line.startswith(b"mnt_id:"))


def check_place(descriptor: int, bounds: Bounds) -> None:
    """Raise OSError unless the open file, reached by a link, could be published where it lies."""
    place = os.readlink(b"/proc/self/fd/%d" % descriptor)
    directory, name = os.path.split(place)
    above = os.open(directory, _DIRECTORY)
    try:
        there = os.stat(name, dir_fd=above, follow_symlinks=False)
        if not os.path.samestat(there, os.fstat(descriptor)):
            raise OSError(errno.EAGAIN, "was moved since it was found")
        check_way(above, bounds)
    finally:
        os.close(above)
    if bounds.refuse(place, is_directory=False):
        raise OSError(errno.EAGAIN, f"leads to a name that is never served, {shown(place)}")
