"""libfuse 3 as the mount needs it: its functions, and how its structures are in memory.

The only importer of mfusepy, which knows where libfuse is and how its structures are laid out in
each of its versions. Its class FUSE is not used: it decodes paths, drops what rename(2) was told,
gives no attributes with names, and takes as long for a request as the filesystem itself.
"""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable, Mapping
from ctypes import PYFUNCTYPE, c_char_p, c_int, c_longlong, c_size_t, c_uint, c_void_p
from operator import itemgetter
from typing import Any

from memfis.errors import ProgramError
from memfis.filesystem import Attributes, Caller, Space

os.environ["FUSE_LIBRARY_NAME"] = "fuse3"  # it would take libfuse 2 before
try:
    import mfusepy
except (OSError, AttributeError) as error:  # AttributeError: what it found is no libfuse 3
    raise ProgramError("libfuse3 is missing: install it (Debian: apt-get install fuse3)") from error


FILL_ATTRIBUTES = 2
"""FUSE_FILL_DIR_PLUS: readdir gives whole attributes (fuse.h)."""

_path, _pointer, _offset, _mode = c_char_p, c_void_p, c_longlong, c_uint

ARGUMENTS: Mapping[str, tuple[Any, ...]] = {
    "getattr": (_path, _pointer, _pointer),
    "readlink": (_path, _pointer, c_size_t),
    "mknod": (_path, _mode, mfusepy.c_dev_t),
    "mkdir": (_path, _mode),
    "unlink": (_path,),
    "rmdir": (_path,),
    "symlink": (_path, _path),
    "rename": (_path, _path, c_uint),
    "link": (_path, _path),
    "chmod": (_path, _mode, _pointer),
    "chown": (_path, c_uint, c_uint, _pointer),
    "truncate": (_path, _offset, _pointer),
    "open": (_path, _pointer),
    "read": (_path, _pointer, c_size_t, _offset, _pointer),
    "write": (_path, _pointer, c_size_t, _offset, _pointer),
    "statfs": (_path, _pointer),
    "flush": (_path, _pointer),
    "release": (_path, _pointer),
    "fsync": (_path, c_int, _pointer),
    "setxattr": (_path, _path, _pointer, c_size_t, c_int),
    "getxattr": (_path, _path, _pointer, c_size_t),
    "listxattr": (_path, _pointer, c_size_t),
    "removexattr": (_path, _path),
    "opendir": (_path, _pointer),
    "readdir": (_path, _pointer, _pointer, _offset, _pointer, c_int),
    "releasedir": (_path, _pointer),
    "fsyncdir": (_path, c_int, _pointer),
    "create": (_path, _mode, _pointer),
    "utimens": (_path, _pointer, _pointer),
    "fallocate": (_path, c_int, _offset, _offset, _pointer),
}
"""Arguments of the callbacks: pointers as numbers, which costs less than objects of ctypes."""

Filler = PYFUNCTYPE(c_int, c_void_p, c_char_p, c_char_p, c_longlong, c_int)
"""What readdir is given to be called for each name; True when it has no room."""

memory = memoryview((ctypes.c_char * sys.maxsize).from_address(0)).cast("B")
"""All memory by its addresses. To read and write there by a slice, or by `struct`, takes a quarter
of the time that it takes to call memmove(3), or to make an object of ctypes for it."""


def put(data: bytes, target: int) -> int:
    """Write `data` to `target`, and return its length."""
    memory[target : target + len(data)] = data
    return len(data)


def put_value(value: bytes, target: int | None, size: int) -> int:
    """Write `value` to `target`, or only tell its length when that is asked (getxattr(2))."""
    if target is None or not size:
        return len(value)
    return put(value, target) if len(value) <= size else -errno.ERANGE


_number = struct.Struct("=Q")
_FILE_HANDLE = mfusepy.fuse_file_info.fh.offset
_flags = struct.Struct("=i")
_FILE_FLAGS = mfusepy.fuse_file_info.flags.offset


def handle_of(info: int) -> int:
    """Return the handle in the fuse_file_info at `info`."""
    handle: int = _number.unpack_from(memory, info + _FILE_HANDLE)[0]
    return handle


def set_handle(info: int, handle: int) -> None:
    """Write the number of what was opened into the fuse_file_info at `info`."""
    _number.pack_into(memory, info + _FILE_HANDLE, handle)


def flags_of(info: int) -> int:
    """Return the flags of open(2)."""
    flags: int = _flags.unpack_from(memory, info + _FILE_FLAGS)[0]
    return flags


_owner = struct.Struct("=II")
_OWNER = mfusepy.fuse_context.uid.offset


def caller() -> Caller:
    """Return who makes the request that is being answered."""
    return Caller(*_owner.unpack_from(memory, library.fuse_get_context() + _OWNER))


def _layout() -> tuple[struct.Struct, Callable[[tuple[int, ...]], tuple[int, ...]]]:
    """Return how struct stat is packed here, and how to bring the fields into its order."""
    stat, moment = mfusepy.c_stat, mfusepy.c_timespec
    places = []
    for name in ("st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks"):
        field = getattr(stat, name)
        places.append((field.offset, field.size, {4: "I", 8: "Q"}[field.size]))
    for name in ("st_atimespec", "st_mtimespec", "st_ctimespec"):
        start = getattr(stat, name).offset
        for part in (moment.tv_sec, moment.tv_nsec):
            places.append((start + part.offset, part.size, {4: "i", 8: "q"}[part.size]))
    order = sorted(range(len(places)), key=places.__getitem__)
    shape, end = "=", 0
    for number in order:
        offset, size, code = places[number]
        shape += f"{offset - end}x{code}"
        end = offset + size
    shape += f"{ctypes.sizeof(stat) - end}x"
    return struct.Struct(shape), itemgetter(*order)


_stat, _in_order = _layout()

_SECOND = 10**9


def _stat_fields(found: Attributes) -> tuple[int, ...]:
    inode, mode, links, uid, gid, size, atime, mtime, ctime = found
    blocks = (size + 511) >> 9  # of 512 bytes, whatever the file system's own are (stat(2))
    moments = (*divmod(atime, _SECOND), *divmod(mtime, _SECOND), *divmod(ctime, _SECOND))
    return _in_order((inode, mode, links, uid, gid, size, blocks, *moments))


def write_attributes(address: int, found: Attributes) -> None:
    """Write `found` into the struct stat at `address`."""
    _stat.pack_into(memory, address, *_stat_fields(found))


def attributes_as_bytes(found: Attributes) -> bytes:
    """Return `found` as a struct stat."""
    return _stat.pack(*_stat_fields(found))


_BLOCK = 4096
"""Bytes of a block in statfs(2)."""


def write_statistics(address: int, space: Space) -> None:
    """Write `space` into the struct statvfs at `address`."""
    found = mfusepy.c_statvfs.from_address(address)
    found.f_bsize = found.f_frsize = _BLOCK
    found.f_blocks = space.total // _BLOCK
    found.f_bfree = found.f_bavail = space.free // _BLOCK
    found.f_files = space.files + found.f_bfree  # as many as there are blocks for
    found.f_ffree = found.f_favail = found.f_bfree
    found.f_namemax = space.name_limit


_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
"""In place of nanoseconds (utimensat(2))."""

_timespecs = struct.Struct("@llll")


def moments_at(address: int, now: Callable[[], int]) -> tuple[int | None, int | None]:
    """Return atime and mtime, in nanoseconds, of the two struct timespec at `address`.

    None: stays as it is. `now` says what time it is, in nanoseconds.
    """
    atime, atime_ns, mtime, mtime_ns = _timespecs.unpack_from(memory, address)
    return _moment(atime, atime_ns, now), _moment(mtime, mtime_ns, now)


def _moment(seconds: int, nanoseconds: int, now: Callable[[], int]) -> int | None:
    if nanoseconds == _UTIME_OMIT:
        return None
    return now() if nanoseconds == _UTIME_NOW else seconds * _SECOND + nanoseconds


class Arguments(ctypes.Structure):
    """struct fuse_args (fuse_opt.h)."""

    _fields_ = (("argc", c_int), ("argv", ctypes.POINTER(c_char_p)), ("allocated", c_int))


def _prototyped(library: Any) -> Any:
    """Return `library` with the arguments of what is called here."""
    for name, result, arguments in (
        ("fuse_new_31", c_void_p, (c_void_p, c_void_p, c_size_t, c_void_p)),
        ("fuse_mount", c_int, (c_void_p, c_char_p)),
        ("fuse_unmount", None, (c_void_p,)),
        ("fuse_destroy", None, (c_void_p,)),
        ("fuse_get_session", c_void_p, (c_void_p,)),
        ("fuse_session_receive_buf", c_int, (c_void_p, c_void_p)),
        ("fuse_session_process_buf", None, (c_void_p, c_void_p)),
        ("fuse_session_fd", c_int, (c_void_p,)),
        ("fuse_get_context", c_void_p, ()),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


library = _prototyped(ctypes.PyDLL(mfusepy._libfuse._name))
"""libfuse, called with the interpreter's lock held: what it calls back need not take it again."""

waiting = _prototyped(ctypes.CDLL(mfusepy._libfuse._name))
"""The same for calls that wait, while others may run."""


Operations = mfusepy.fuse_operations
Connection = mfusepy.fuse_conn_info
Configuration = mfusepy.fuse_config
Buffer = mfusepy.fuse_buf
