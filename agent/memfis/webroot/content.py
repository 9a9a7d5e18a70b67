"""Reading a published file: whole, unchanged meanwhile, and still what was found publishable."""

import errno
import fcntl
import math
import os
import signal
import stat
import time
from types import TracebackType
from typing import Self

from memfis.layout.records import Entry
from memfis.webroot.reader import READ
from memfis.webroot.way import Bounds, check_place, check_way

READS = 4
"""How often a file is read that changes meanwhile, before it is left to the next pass."""

YOUNG = 60 * 10**9
"""Nanoseconds since the last change of a file after which nobody is taken to be still writing."""

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class BeingWrittenError(OSError):
    """Somebody has the file open for writing."""


class Files:
    """The files of one directory of a web root, to be read; close it, or use it with `with`."""

    def __init__(self, bounds: Bounds, path: bytes, *, while_written: bool = False) -> None:
        """Open the directory at URL path `path`; raises OSError, also outside `bounds`.

        `while_written`: read also what somebody has open for writing.
        """
        self._bounds = bounds
        self._reader = bounds.reader
        self._young = math.inf if while_written else time.time_ns() - YOUNG
        self._descriptor = os.open(bounds.trees[0].path + path, _OPEN_DIRECTORY)
        try:
            check_way(self._descriptor, bounds)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory."""
        os.close(self._descriptor)

    def read(self, found: Entry) -> tuple[bytes, os.stat_result]:
        """Return the content of the file `found` and its status when it was read.

        What was found publishable may have become something else since: the open file must be the
        one that was found, or is checked once more. Raises OSError, with what is wrong as its
        `strerror`, and BeingWrittenError.
        """
        try:
            descriptor = os.open(found.raw, _READ | os.O_NOFOLLOW, dir_fd=self._descriptor)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return self._read_carefully(found)
        try:
            content = os.read(descriptor, found.size + 1)
            status = os.fstat(descriptor)
            unchanged = (
                len(content) == found.size
                and found.is_as(status, found.inode and status.st_ino)
                and self._reader.may(READ, descriptor, status)
            )
            if unchanged and status.st_mtime_ns > self._young:
                _check_writers(descriptor, status)
        finally:
            os.close(descriptor)
        return (content, status) if unchanged else self._read_carefully(found)

    def _read_carefully(self, found: Entry) -> tuple[bytes, os.stat_result]:
        for _ in range(READS):
            descriptor = os.open(found.raw, _READ, dir_fd=self._descriptor)
            try:
                before = os.fstat(descriptor)
                self._check(descriptor, before)
                content = _read_all(descriptor, before.st_size)
                after = os.fstat(descriptor)
                if after.st_mtime_ns > self._young:
                    _check_writers(descriptor, after)
            finally:
                os.close(descriptor)
            if len(content) == before.st_size and before.st_ctime_ns == after.st_ctime_ns:
                return content, after
        raise OSError(errno.EAGAIN, "changes while it is read")

    def _check(self, descriptor: int, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EAGAIN, f"became a {kind_of(status.st_mode)} since it was found")
        check_place(descriptor, self._bounds)
        if not self._reader.may(READ, descriptor, status):
            raise OSError(errno.EAGAIN, f"not readable for nginx's user {self._reader.name}")


def _check_writers(descriptor: int, status: os.stat_result) -> None:
    """Raise BeingWrittenError if somebody has the file open for writing.

    The kernel grants a read lease only on a file that nobody writes (fcntl(2), "Leases"), and only
    to its owner or root: for others' files there is no telling, and what they hold counts.
    """
    if os.geteuid() not in (0, status.st_uid):
        return
    try:
        # should a writer come now: by default its signal would end this process
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise BeingWrittenError(errno.EBUSY, "open for writing") from error
        # EACCES: root without CAP_LEASE; EINVAL: a file system without leases


def _read_all(descriptor: int, size: int) -> bytes:
    """Return the content of the open file, which has `size` bytes unless it grows meanwhile."""
    content = os.read(descriptor, size + 1)
    if len(content) == size:  # nearly always, and the end of the file is known without a read
        return content
    parts = [content]
    while parts[-1]:
        parts.append(os.read(descriptor, 1024 * 1024))
    return b"".join(parts)


def kind_of(mode: int) -> str:
    """Return what `mode` says a file is, for a message."""
    kinds = {
        stat.S_IFIFO: "FIFO",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "character device",
        stat.S_IFBLK: "block device",
        stat.S_IFDIR: "directory",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")
