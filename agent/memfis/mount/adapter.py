"""What libfuse asks, answered by the filesystem: its paths, handles and errors become ours."""

import errno
import itertools
import logging
import os
import stat
import time
from collections.abc import Callable, Mapping

from memfis.errors import MemfisError, StoreError
from memfis.filesystem import RENAME_NOREPLACE, Filesystem
from memfis.mount.hidden import HiddenNames
from memfis.mount.libfuse import (
    FILL_ATTRIBUTES,
    Filler,
    attributes_as_bytes,
    caller,
    flags_of,
    handle_of,
    memory,
    moments_at,
    put,
    put_value,
    set_handle,
    write_attributes,
    write_statistics,
)
from memfis.mount.request import CurrentRequest, Opcode

_log = logging.getLogger(__name__)

_USER = b"user."
"""How the names of those extended attributes begin that mean nothing to the kernel (xattr(7))."""

_AS_IT_IS = 0xFFFFFFFF
"""-1 as an unsigned number (chown(2))."""

SILENCE = 60
"""Seconds in which the same trouble is not told again."""

Callback = Callable[..., int | None]


class Adapter:
    """The callbacks for libfuse: arguments as in fuse_operations (fuse.h), pointers as numbers.

    Each returns what the kernel is to get; None is 0, and an OSError its errno. With `nullpath_ok`
    libfuse gives no path, but None, where it gives a handle.
    """

    def __init__(
        self,
        filesystem: Filesystem,
        request: CurrentRequest,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """Answer from `filesystem`; `request` is the one that a callback is part of."""
        self._files = filesystem
        self._request = request
        self._now = now
        self._hidden = HiddenNames()
        self._directories: dict[int, bytes] = {}
        self._numbers = itertools.count(1)
        self._told: tuple[str, float] = ("", 0)

    def callbacks(self) -> Mapping[str, Callable[..., int]]:
        """Return the callbacks by their names in fuse_operations."""
        offered: tuple[Callback, ...] = (
            *(self.getattr, self.readlink, self.mknod, self.mkdir, self.unlink, self.rmdir),
            *(self.symlink, self.rename, self.link, self.chmod, self.chown, self.truncate),
            *(self.open, self.read, self.write, self.statfs, self.flush, self.release),
            *(self.fsync, self.setxattr, self.getxattr, self.listxattr, self.removexattr),
            *(self.opendir, self.readdir, self.releasedir, self.fsyncdir, self.create),
            *(self.utimens, self.fallocate),
        )
        return {function.__name__: self.guarded(function) for function in offered}

    def guarded(self, function: Callback) -> Callable[..., int]:
        """Return `function` for libfuse, which knows no exceptions."""

        def answer(*arguments: object) -> int:
            try:
                return function(*arguments) or 0
            except OSError as error:
                if error.errno == errno.EIO and not isinstance(error.__cause__, StoreError):
                    self.tell(error.strerror or str(error))  # the other is told where it happens
                return -(error.errno or errno.EIO)
            except MemfisError as error:
                self.tell(str(error))
            except Exception as error:  # ours, but what is mounted goes on
                _log.debug("%s", function.__name__, exc_info=True)
                self.tell(f"{function.__name__}: {error!r}")
            return -errno.EIO

        return answer

    def tell(self, trouble: str) -> None:
        """Log what went wrong, unless it is what went wrong just before."""
        told, when = self._told
        if trouble != told or time.monotonic() - when > SILENCE:
            self._told = trouble, time.monotonic()
            _log.error("%s", trouble)

    def _found(self, path: bytes | None, info: int | None) -> tuple[bytes | None, int | None]:
        """Return path and handle as the filesystem wants them for what libfuse calls so."""
        if path is None:
            return None, None if info is None else handle_of(info)
        handle = self._hidden.handle(path)
        if handle is None or self._request.opcode() == Opcode.LOOKUP:
            return path, None
        return None, handle

    def _named(self, path: bytes) -> tuple[bytes | None, int | None]:
        """Return `path`, or a handle of the open file that libfuse alone has that name for."""
        handle = self._hidden.handle(path)
        return (path, None) if handle is None else (None, handle)

    def write_pending(self) -> None:
        """Write what may wait."""
        self._files.write_pending()

    # --- attributes

    def getattr(self, path: bytes | None, target: int, info: int | None) -> None:
        write_attributes(target, self._files.attributes(*self._found(path, info)))

    def chmod(self, path: bytes | None, mode: int, info: int | None) -> None:
        path, handle = self._found(path, info)
        self._files.change_mode(path, mode, handle)

    def chown(self, path: bytes | None, uid: int, gid: int, info: int | None) -> None:
        path, handle = self._found(path, info)
        uid, gid = (-1 if number == _AS_IT_IS else number for number in (uid, gid))
        self._files.change_owner(path, uid, gid, handle)

    def truncate(self, path: bytes | None, length: int, info: int | None) -> None:
        path, handle = self._found(path, info)
        self._files.truncate(path, length, handle)

    def utimens(self, path: bytes | None, times: int, info: int | None) -> None:
        path, handle = self._found(path, info)
        self._files.change_times(path, *moments_at(times, self._now), handle)

    # --- files

    def create(self, path: bytes, mode: int, info: int) -> None:
        handle = self._files.create(path, flags_of(info), mode, caller())
        self._hidden.opened(handle, path)
        set_handle(info, handle)

    def mknod(self, path: bytes, mode: int, device: int) -> None:
        if not stat.S_ISREG(mode):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))  # mknod(2) has it for such
        handle = self._files.create(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode, caller())
        try:
            self._files.flush(handle)
        finally:
            self._files.release(handle)

    def open(self, path: bytes, info: int) -> None:
        hidden = self._hidden.handle(path)
        if hidden is not None:  # removed after the kernel had found it, or by way of /proc/PID/fd
            handle = self._files.open(None, flags_of(info), hidden)
            self._hidden.opened_again(handle, path)
        else:
            handle = self._opened(path, flags_of(info))
            self._hidden.opened(handle, path)
        set_handle(info, handle)

    def _opened(self, path: bytes, flags: int) -> int:
        """Return a handle of what the kernel has found at `path`; raises ESTALE when it is gone.

        The kernel then looks anew, and makes the file if that is what open(2) is to do: whether it
        is, no filesystem is told.
        """
        try:
            return self._files.open(path, flags)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE)) from error

    def read(self, path: None, target: int, size: int, offset: int, info: int) -> int:
        return put(self._files.read(handle_of(info), size, offset), target)

    def write(self, path: None, source: int, size: int, offset: int, info: int) -> int:
        return self._files.write(handle_of(info), memory[source : source + size].tobytes(), offset)

    def flush(self, path: None, info: int) -> None:
        self._files.flush(handle_of(info))

    def fsync(self, path: None, data_only: int, info: int) -> None:
        self._files.sync(handle_of(info))

    def fallocate(self, path: None, mode: int, offset: int, length: int, info: int) -> None:
        self._files.allocate(handle_of(info), mode, offset, length)

    def release(self, path: None, info: int) -> None:
        handle = handle_of(info)
        self._hidden.closed(handle)
        self._files.release(handle)

    # --- names

    def unlink(self, path: bytes) -> None:
        # When a hidden file is closed, libfuse removes it by that name.
        if self._request.opcode() == Opcode.UNLINK:
            self._files.remove(path)

    def rename(self, old: bytes, new: bytes, flags: int) -> None:
        if (
            self._request.opcode() == Opcode.UNLINK
        ):  # libfuse hides the open file `old` instead of removing it
            self._files.remove(old)
            self._hidden.hide(old, new)
        elif new.rpartition(b"/")[2] != self._request.new_name():
            self._hidden.hide(old, new)  # the next call renames another over it
        elif flags & ~RENAME_NOREPLACE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        else:
            self._files.rename(old, new, flags)
            self._hidden.renamed(old, new)
            for number, directory in self._directories.items():
                if (directory + b"/").startswith(old + b"/"):
                    self._directories[number] = new + directory[len(old) :]

    def link(self, old: bytes, new: bytes) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))  # link(2): no hard links here

    def symlink(self, target: bytes, path: bytes) -> None:
        self._files.make_link(path, target, caller())

    def readlink(self, path: bytes, target: int, size: int) -> None:
        put(self._files.target(path)[: size - 1] + b"\0", target)

    # --- directories

    def mkdir(self, path: bytes, mode: int) -> None:
        self._files.make_directory(path, mode, caller())

    def rmdir(self, path: bytes) -> None:
        self._files.remove_directory(path)

    def opendir(self, path: bytes, info: int) -> None:
        number = next(self._numbers)
        self._directories[number] = path
        set_handle(info, number)

    def readdir(
        self, path: None, target: int, filler: int, offset: int, info: int, flags: int
    ) -> None:
        directory = self._directories[handle_of(info)]
        fill = Filler(filler)
        fill(target, b".", attributes_as_bytes(self._files.attributes(directory)), 0, 0)
        fill(target, b"..", None, 0, 0)
        for name, found in self._files.names(directory):
            if fill(target, name, attributes_as_bytes(found), 0, FILL_ATTRIBUTES):
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def releasedir(self, path: None, info: int) -> None:
        del self._directories[handle_of(info)]

    def fsyncdir(self, path: None, data_only: int, info: int) -> None:
        self._files.write_all()

    # --- the rest

    def statfs(self, path: bytes, target: int) -> None:
        write_statistics(target, self._files.space())

    def getxattr(self, path: bytes, name: bytes, target: int | None, size: int) -> int:
        if not name.startswith(_USER):  # the kernel asks for some of them at each write
            return -errno.EOPNOTSUPP
        value = self._files.extended(*self._named(path)).get(name)
        if value is None:
            return -errno.ENODATA
        return put_value(value, target, size)

    def listxattr(self, path: bytes, target: int | None, size: int) -> int:
        names = b"".join(name + b"\0" for name in self._files.extended(*self._named(path)))
        return put_value(names, target, size)

    def setxattr(self, path: bytes, name: bytes, source: int, size: int, flags: int) -> int | None:
        if not name.startswith(_USER):
            return -errno.EOPNOTSUPP
        path_or_none, handle = self._named(path)
        value = memory[source : source + size].tobytes() if size else b""
        self._files.set_extended(path_or_none, name, value, flags, handle)
        return None

    def removexattr(self, path: bytes, name: bytes) -> int | None:
        if not name.startswith(_USER):
            return -errno.EOPNOTSUPP
        path_or_none, handle = self._named(path)
        self._files.remove_extended(path_or_none, name, handle)
        return None
