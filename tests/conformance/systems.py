"""What operations are done on: a directory of the operating system, or what stands in for one."""

import errno
import os
import stat
from typing import NamedTuple, Protocol

from support import syscalls
from support.syscalls import Time


class Status(NamedTuple):
    """What of stat(2) is compared; the time in nanoseconds."""

    mode: int
    links: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    inode: int


class System(Protocol):
    """System calls on a tree. Paths are relative to its top; every call raises OSError.

    Those that say nothing of it follow a link at the end as their namesakes do.
    """

    def status(self, path: bytes, *, follow: bool) -> Status: ...
    def names(self, path: bytes) -> list[bytes]: ...
    def open(self, path: bytes, flags: int, mode: int) -> int:
        """Return a descriptor; EISDIR for every directory."""

    def close(self, file: int) -> None: ...
    def flush(self, file: int) -> None:
        """Close a duplicate of `file`."""

    def file_status(self, file: int) -> Status: ...
    def read(self, file: int, size: int, offset: int) -> bytes: ...
    def write(self, file: int, content: bytes, offset: int) -> int: ...
    def sync(self, file: int) -> None: ...
    def cut_file(self, file: int, length: int) -> None: ...
    def allocate(self, file: int, mode: int, offset: int, length: int) -> None: ...
    def set_file_times(self, file: int, atime: Time, mtime: Time) -> None: ...
    def cut(self, path: bytes, length: int) -> None: ...
    def make_directory(self, path: bytes, mode: int) -> None: ...
    def remove_directory(self, path: bytes) -> None: ...
    def remove(self, path: bytes) -> None: ...
    def rename(self, old: bytes, new: bytes, flags: int) -> None: ...
    def link(self, target: bytes, path: bytes) -> None: ...
    def target(self, path: bytes) -> bytes: ...
    def set_mode(self, path: bytes, mode: int) -> None: ...
    def set_owner(self, path: bytes, uid: int, gid: int) -> None:
        """Change owner and group; a link's own, -1 leaves one as it is."""

    def set_times(self, path: bytes, atime: Time, mtime: Time) -> None:
        """Change times; a link's own."""

    def extended_names(self, path: bytes) -> list[bytes]: ...
    def extended(self, path: bytes, name: bytes) -> bytes: ...
    def set_extended(self, path: bytes, name: bytes, value: bytes, flags: int) -> None: ...
    def remove_extended(self, path: bytes, name: bytes) -> None: ...

    def settle(self) -> None:
        """Let pass what happens by itself from time to time."""


def status_of(result: os.stat_result) -> Status:
    """Return what is compared of `result`."""
    return Status(
        result.st_mode,
        result.st_nlink,
        result.st_uid,
        result.st_gid,
        result.st_size,
        result.st_mtime_ns,
        result.st_ino,
    )


class Directory:
    """A directory of the operating system, as a System."""

    def __init__(self, top: bytes) -> None:
        self._top = top

    def _at(self, path: bytes) -> bytes:
        return self._top + b"/" + path if path else self._top

    def status(self, path: bytes, *, follow: bool) -> Status:
        return status_of(os.stat(self._at(path), follow_symlinks=follow))

    def names(self, path: bytes) -> list[bytes]:
        return os.listdir(self._at(path))

    def open(self, path: bytes, flags: int, mode: int) -> int:
        file = os.open(self._at(path), flags, mode)
        if stat.S_ISDIR(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        return file

    def close(self, file: int) -> None:
        os.close(file)

    def flush(self, file: int) -> None:
        os.close(os.dup(file))

    def file_status(self, file: int) -> Status:
        return status_of(os.fstat(file))

    def read(self, file: int, size: int, offset: int) -> bytes:
        return os.pread(file, size, offset)

    def write(self, file: int, content: bytes, offset: int) -> int:
        return os.pwrite(file, content, offset)

    def sync(self, file: int) -> None:
        os.fsync(file)

    def cut_file(self, file: int, length: int) -> None:
        os.ftruncate(file, length)

    def allocate(self, file: int, mode: int, offset: int, length: int) -> None:
        syscalls.fallocate(file, mode, offset, length)

    def set_file_times(self, file: int, atime: Time, mtime: Time) -> None:
        syscalls.set_times(file, atime, mtime)

    def cut(self, path: bytes, length: int) -> None:
        os.truncate(self._at(path), length)

    def make_directory(self, path: bytes, mode: int) -> None:
        os.mkdir(self._at(path), mode)

    def remove_directory(self, path: bytes) -> None:
        os.rmdir(self._at(path))

    def remove(self, path: bytes) -> None:
        os.unlink(self._at(path))

    def rename(self, old: bytes, new: bytes, flags: int) -> None:
        syscalls.rename(self._at(old), self._at(new), flags)

    def link(self, target: bytes, path: bytes) -> None:
        os.symlink(target, self._at(path))

    def target(self, path: bytes) -> bytes:
        return os.readlink(self._at(path))

    def set_mode(self, path: bytes, mode: int) -> None:
        os.chmod(self._at(path), mode)

    def set_owner(self, path: bytes, uid: int, gid: int) -> None:
        os.lchown(self._at(path), uid, gid)

    def set_times(self, path: bytes, atime: Time, mtime: Time) -> None:
        syscalls.set_times(self._at(path), atime, mtime)

    def extended_names(self, path: bytes) -> list[bytes]:
        return [os.fsencode(name) for name in os.listxattr(self._at(path))]

    def extended(self, path: bytes, name: bytes) -> bytes:
        return os.getxattr(self._at(path), name)

    def set_extended(self, path: bytes, name: bytes, value: bytes, flags: int) -> None:
        os.setxattr(self._at(path), name, value, flags)

    def remove_extended(self, path: bytes, name: bytes) -> None:
        os.removexattr(self._at(path), name)

    def settle(self) -> None:
        pass
