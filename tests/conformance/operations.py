"""Operations on a tree: tuples of plain values, so that they can be printed and repeated."""

import errno
import os
import random
import stat
import time
from collections.abc import Callable
from typing import Any

from conformance.systems import Status, System
from support.syscalls import Time

Operation = tuple[Any, ...]

OPEN_FILES = 6
"""Files that are open at a time, at most."""

MARGIN = 2 * 10**9
"""Nanoseconds by which the clocks of two file systems may differ."""

PRESENT = "the present"
"""What is compared of a time that nobody has set."""

_NOISE = random.Random(0).randbytes(1 << 16).replace(b"\0", b"\1")


def content(size: int, number: int) -> bytes:
    """Return `size` bytes that differ from those of other numbers and places."""
    start = number * 7919 % 4096
    return (_NOISE[start:] * (1 + size // len(_NOISE[start:])))[:size]


class Actor:
    """Does operations on a System. The public methods that return something are operations.

    Files that are open have numbers, which wrap: with none open, their operations do nothing.
    """

    def __init__(self, system: System, began_ns: int | None = None) -> None:
        self._system = system
        self.began_ns = began_ns or time.time_ns()
        self._files: list[int] = []

    def do(self, operation: Operation) -> object:
        """Do `operation`; return its result, or the name of its errno."""
        name, *arguments = operation
        act: Callable[..., object] = getattr(self, name)
        try:
            return act(*arguments)
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))

    # ---- files that are open

    def open(self, path: bytes, flags: int, mode: int) -> object:
        if len(self._files) == OPEN_FILES:
            self._system.close(self._files.pop(0))
        self._files.append(self._system.open(path, flags, mode))
        return "opened"

    def close(self, number: int) -> object:
        if self._files:
            self._system.close(self._files.pop(number % len(self._files)))
        return "closed"

    def close_all(self) -> object:
        while self._files:
            self.close(0)
        return "closed"

    def flush(self, number: int) -> object:
        return self._with_file(number, self._system.flush)

    def sync(self, number: int) -> object:
        return self._with_file(number, self._system.sync)

    def file_status(self, number: int) -> object:
        return self._with_file(number, lambda file: self._shown(self._system.file_status(file)))

    def read(self, number: int, size: int, offset: int) -> object:
        return self._with_file(number, self._system.read, size, offset)

    def write(self, number: int, size: int, offset: int) -> object:
        return self._with_file(number, self._system.write, content(size, offset + number), offset)

    def cut_file(self, number: int, length: int) -> object:
        return self._with_file(number, self._system.cut_file, length)

    def allocate(self, number: int, mode: int, offset: int, length: int) -> object:
        return self._with_file(number, self._system.allocate, mode, offset, length)

    def set_file_times(self, number: int, atime: Time, mtime: Time) -> object:
        return self._with_file(number, self._system.set_file_times, atime, mtime)

    def _with_file(self, number: int, act: Callable[..., object], *arguments: object) -> object:
        if not self._files:
            return None
        return act(self._files[number % len(self._files)], *arguments)

    # ---- names

    def put(self, path: bytes, size: int, mode: int) -> object:
        """Write a whole file, in place if it is there."""
        file = self._system.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            return self._system.write(file, content(size, size), 0)
        finally:
            self._system.close(file)

    def replace(self, path: bytes, new: bytes, size: int) -> object:
        """Write a new file and rename it over `path`, as editors do."""
        self.put(new, size, 0o644)
        return self._system.rename(new, path, 0)

    def get(self, path: bytes) -> object:
        """Read a whole file."""
        file = self._system.open(path, os.O_RDONLY, 0)
        try:
            return self._system.read(file, 1 << 24, 0)
        finally:
            self._system.close(file)

    def status(self, path: bytes, follow: bool) -> object:
        return self._shown(self._system.status(path, follow=follow))

    def names(self, path: bytes) -> object:
        return sorted(self._system.names(path))

    def cut(self, path: bytes, length: int) -> object:
        return self._system.cut(path, length)

    def make_directory(self, path: bytes, mode: int) -> object:
        return self._system.make_directory(path, mode)

    def remove_directory(self, path: bytes) -> object:
        return self._system.remove_directory(path)

    def remove(self, path: bytes) -> object:
        return self._system.remove(path)

    def rename(self, old: bytes, new: bytes, flags: int) -> object:
        return self._system.rename(old, new, flags)

    def link(self, target: bytes, path: bytes) -> object:
        return self._system.link(target, path)

    def target(self, path: bytes) -> object:
        return self._system.target(path)

    def set_mode(self, path: bytes, mode: int) -> object:
        return self._system.set_mode(path, mode)

    def set_owner(self, path: bytes, uid: int, gid: int) -> object:
        return self._system.set_owner(path, uid, gid)

    def set_times(self, path: bytes, atime: Time, mtime: Time) -> object:
        return self._system.set_times(path, atime, mtime)

    def extended_names(self, path: bytes) -> object:
        return sorted(self._system.extended_names(path))

    def extended(self, path: bytes, name: bytes) -> object:
        return self._system.extended(path, name)

    def set_extended(self, path: bytes, name: bytes, value: bytes, flags: int) -> object:
        return self._system.set_extended(path, name, value, flags)

    def remove_extended(self, path: bytes, name: bytes) -> object:
        return self._system.remove_extended(path, name)

    # ---- all of it

    def settle(self) -> object:
        return self._system.settle()

    def tree(self) -> object:
        """Return everything that can be seen: status, content and extended attributes by path."""
        first: dict[int, bytes] = {}
        return {path: self._seen(path, first) for path in self.paths(b"")}

    def _seen(self, path: bytes, first: dict[int, bytes]) -> object:
        status = self._system.status(path, follow=False)
        shown = self._shown(status), "is", first.setdefault(status.inode, path)
        if stat.S_ISLNK(status.mode):
            return shown, self._system.target(path)
        names = sorted(self._system.extended_names(path))
        extended = {name: self._system.extended(path, name) for name in names}
        return shown, extended, self.get(path) if stat.S_ISREG(status.mode) else None

    # ---- to find the places of operations

    def paths(self, path: bytes) -> list[bytes]:
        """Return `path`, and every path below when it is a directory; sorted."""
        if not self.is_directory(path):
            return [path]
        names = sorted(self._system.names(path))
        below = [path + b"/" + name if path else name for name in names]
        return [path, *(each for child in below for each in self.paths(child))]

    def is_directory(self, path: bytes) -> bool:
        try:
            return stat.S_ISDIR(self._system.status(path, follow=False).mode)
        except OSError:
            return False

    def _shown(self, status: Status) -> object:
        """Leave out what no two file systems share: sizes of directories, the present time."""
        recent = self.began_ns - MARGIN < status.mtime_ns < time.time_ns() + MARGIN
        mtime = PRESENT if recent else status.mtime_ns
        size = None if stat.S_ISDIR(status.mode) else status.size
        return status._replace(size=size, mtime_ns=mtime, inode=0)  # type: ignore[arg-type]
