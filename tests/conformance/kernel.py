"""A Filesystem without a mount: what Linux does before it asks one, in Python."""

import errno
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass

from conformance.systems import Status
from memfis.filesystem import Attributes, Caller, Filesystem
from support.syscalls import NOW, OMIT, Time

MAX_LINKS = 40
"""Links that are followed in one path (path_resolution(7))."""

_WRITE_ONLY = os.O_WRONLY
_NOT_PASSED_ON = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class _Open:
    filesystem: Filesystem
    handle: int
    flags: int

    @property
    def access(self) -> int:
        return self.flags & os.O_ACCMODE


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _status(attributes: Attributes) -> Status:
    return Status(
        attributes.mode,
        attributes.links,
        attributes.uid,
        attributes.gid,
        attributes.size,
        attributes.mtime_ns,
        attributes.inode,
    )


class Kernel:
    """A `Filesystem` as a System: resolves links, and checks what every file system can rely on.

    What can be asked of the filesystem itself (is it there, is it a directory) is left to it.
    """

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem
        self._caller = Caller(os.geteuid(), os.getegid())
        self._files: dict[int, _Open] = {}
        self._next = 3

    @property
    def filesystem(self) -> Filesystem:
        """Whoever answers the next request."""
        return self._filesystem

    def _resolve(self, path: bytes, *, follow: bool) -> bytes:
        here: list[bytes] = []
        ahead = path.split(b"/")[::-1]
        links = 0
        while ahead:
            name = ahead.pop()
            if name == b"..":
                here = here[:-1]
            if name in (b"", b".", b".."):
                continue
            there = b"/" + b"/".join([*here, name])
            if not ahead and not follow:
                return there
            try:
                mode = self.filesystem.attributes(there).mode
            except FileNotFoundError:
                if ahead:
                    raise
                return there
            if stat.S_ISLNK(mode):
                links += 1
                if links > MAX_LINKS:
                    raise _error(errno.ELOOP)
                target = self.filesystem.target(there)
                if target.startswith(b"/"):  # out of the tree, where nothing is
                    raise _error(errno.ENOENT)
                ahead += target.split(b"/")[::-1]
                continue
            if ahead and not stat.S_ISDIR(mode):
                raise _error(errno.ENOTDIR)
            here.append(name)
        return b"/" + b"/".join(here)

    def _parent_resolved(self, path: bytes) -> bytes:
        return self._resolve(path, follow=False)

    def _followed(self, path: bytes) -> bytes:
        return self._resolve(path, follow=True)

    def status(self, path: bytes, *, follow: bool) -> Status:
        path = self._resolve(path, follow=follow)
        return _status(self.filesystem.attributes(path))

    def names(self, path: bytes) -> list[bytes]:
        there = self._followed(path)
        filesystem = self.filesystem
        listed = filesystem.names(there)
        for name, attributes in listed:
            found = filesystem.attributes(there.rstrip(b"/") + b"/" + name)
            if stat.S_ISDIR(found.mode):  # to count its links is to read it
                found = found._replace(links=attributes.links)
            assert found == attributes, f"readdir and getattr of {name!r} differ"
        return [name for name, _ in listed]

    def open(self, path: bytes, flags: int, mode: int) -> int:
        creates = flags & os.O_CREAT
        excludes = creates and flags & os.O_EXCL
        there = self._resolve(path, follow=not (excludes or flags & os.O_NOFOLLOW))
        try:
            found = self.filesystem.attributes(there).mode
        except FileNotFoundError:
            if not creates:
                raise
            filesystem = self.filesystem
            handle = filesystem.create(there, flags, mode, self._caller)
            return self._opened(_Open(filesystem, handle, flags))
        if excludes:
            raise _error(errno.EEXIST)
        if stat.S_ISLNK(found):
            raise _error(errno.ELOOP)
        if stat.S_ISDIR(found):
            raise _error(errno.EISDIR)
        filesystem = self.filesystem
        handle = filesystem.open(there, flags & ~_NOT_PASSED_ON)
        return self._opened(_Open(filesystem, handle, flags))

    def _opened(self, opened: _Open) -> int:
        self._next += 1
        self._files[self._next] = opened
        return self._next

    def close(self, file: int) -> None:
        opened = self._files.pop(file)
        try:
            opened.filesystem.flush(opened.handle)
        finally:
            opened.filesystem.release(opened.handle)

    def flush(self, file: int) -> None:
        opened = self._files[file]
        opened.filesystem.flush(opened.handle)

    def file_status(self, file: int) -> Status:
        opened = self._files[file]
        return _status(opened.filesystem.attributes(None, opened.handle))

    def read(self, file: int, size: int, offset: int) -> bytes:
        opened = self._files[file]
        if opened.access == _WRITE_ONLY:
            raise _error(errno.EBADF)
        return opened.filesystem.read(opened.handle, size, offset)

    def write(self, file: int, content: bytes, offset: int) -> int:
        opened = self._files[file]
        if opened.access == os.O_RDONLY:
            raise _error(errno.EBADF)
        if not content:
            return 0
        if opened.flags & os.O_APPEND:
            offset = opened.filesystem.attributes(None, opened.handle).size
        return opened.filesystem.write(opened.handle, content, offset)

    def sync(self, file: int) -> None:
        opened = self._files[file]
        opened.filesystem.sync(opened.handle)

    def cut_file(self, file: int, length: int) -> None:
        opened = self._files[file]
        if opened.access == os.O_RDONLY:
            raise _error(errno.EINVAL)
        opened.filesystem.truncate(None, length, opened.handle)

    def allocate(self, file: int, mode: int, offset: int, length: int) -> None:
        opened = self._files[file]
        if opened.access == os.O_RDONLY:
            raise _error(errno.EBADF)
        opened.filesystem.allocate(opened.handle, mode, offset, length)

    def set_file_times(self, file: int, atime: Time, mtime: Time) -> None:
        if (atime, mtime) != (OMIT, OMIT):
            opened = self._files[file]
            opened.filesystem.change_times(None, _time(atime), _time(mtime), opened.handle)

    def cut(self, path: bytes, length: int) -> None:
        self.filesystem.truncate(self._followed(path), length)

    def make_directory(self, path: bytes, mode: int) -> None:
        self.filesystem.make_directory(self._parent_resolved(path), mode & 0o1777, self._caller)

    def remove_directory(self, path: bytes) -> None:
        self.filesystem.remove_directory(self._parent_resolved(path))

    def remove(self, path: bytes) -> None:
        self.filesystem.remove(self._parent_resolved(path))

    def rename(self, old: bytes, new: bytes, flags: int) -> None:
        source, target = self._parent_resolved(old), self._parent_resolved(new)
        one_is_above = target.startswith(source + b"/") or source.startswith(target + b"/")
        if one_is_above and self._is_directory(os.path.dirname(target)):
            self.filesystem.attributes(source)
            if flags and self._is_there(target):
                raise _error(errno.EEXIST)
            raise _error(errno.EINVAL if len(source) < len(target) else errno.ENOTEMPTY)
        self.filesystem.rename(source, target, flags)

    def _is_there(self, path: bytes) -> bool:
        try:
            self.filesystem.attributes(path)
        except FileNotFoundError:
            return False
        return True

    def _is_directory(self, path: bytes) -> bool:
        return self._is_there(path) and stat.S_ISDIR(self.filesystem.attributes(path).mode)

    def link(self, target: bytes, path: bytes) -> None:
        self.filesystem.make_link(self._parent_resolved(path), target, self._caller)

    def target(self, path: bytes) -> bytes:
        return self.filesystem.target(self._parent_resolved(path))

    def set_mode(self, path: bytes, mode: int) -> None:
        self.filesystem.change_mode(self._followed(path), mode)

    def set_owner(self, path: bytes, uid: int, gid: int) -> None:
        there = self._parent_resolved(path)
        mode = self.filesystem.attributes(there).mode
        if stat.S_ISREG(mode):
            # a new owner does not inherit what lets the file run as its owner (chown(2))
            lost = stat.S_ISUID | (stat.S_ISGID if mode & stat.S_IXGRP else 0)
            if mode & lost:
                self.filesystem.change_mode(there, stat.S_IMODE(mode) & ~lost)
        self.filesystem.change_owner(there, uid, gid)

    def set_times(self, path: bytes, atime: Time, mtime: Time) -> None:
        if (atime, mtime) != (OMIT, OMIT):  # Linux does not even look whether the path is there
            there = self._parent_resolved(path)
            self.filesystem.change_times(there, _time(atime), _time(mtime))

    def extended_names(self, path: bytes) -> list[bytes]:
        return list(self.filesystem.extended(self._followed(path)))

    def extended(self, path: bytes, name: bytes) -> bytes:
        values = self.filesystem.extended(self._followed(path))
        with suppress(KeyError):
            return values[name]
        raise _error(errno.ENODATA)

    def set_extended(self, path: bytes, name: bytes, value: bytes, flags: int) -> None:
        self.filesystem.set_extended(self._followed(path), name, value, flags)

    def remove_extended(self, path: bytes, name: bytes) -> None:
        self.filesystem.remove_extended(self._followed(path), name)

    def settle(self) -> None:
        self.filesystem.write_pending()


def _time(given: Time) -> int | None:
    if isinstance(given, int):
        return given
    return {OMIT: None, NOW: time.time_ns()}[given]
