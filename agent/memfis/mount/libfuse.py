"""libfuse 3 as the mount needs it: one session, its loop, and how stat(2) is written to memory.

The only importer of mfusepy, which knows where libfuse is and how its structures are laid out in
each of its versions. Its class FUSE is not used: it decodes paths, drops what rename(2) was told,
gives no attributes with names, and takes as long for a request as the filesystem itself.

The loop is ours too, for what libfuse does not tell its callbacks: which request they are part of.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from ctypes import CFUNCTYPE, PYFUNCTYPE, c_char_p, c_int, c_longlong, c_size_t, c_uint, c_void_p
from enum import IntEnum
from operator import itemgetter
from typing import Any

from memfis.errors import ProgramError, UsageError
from memfis.filesystem import Attributes, Caller, Space

os.environ["FUSE_LIBRARY_NAME"] = "fuse3"  # it would take libfuse 2 before
try:
    import mfusepy
except (OSError, AttributeError) as error:  # AttributeError: what it found is no libfuse 3
    raise ProgramError("libfuse3 is missing: install it (Debian: apt-get install fuse3)") from error


class Request(IntEnum):
    """Those kinds of requests that callbacks ask for (linux/fuse.h, enum fuse_opcode)."""

    NONE = 0
    LOOKUP = 1
    UNLINK = 10
    RENAME = 12
    RENAME2 = 45


HEADER_SIZE = 40
"""Bytes of fuse_in_header; the kind of request is at its byte 4 (linux/fuse.h)."""

_RENAME_SIZES = {Request.RENAME: 8, Request.RENAME2: 16}
"""Bytes of fuse_rename_in and fuse_rename2_in, which the two names follow (linux/fuse.h)."""

_SPLICE = 1 << 7 | 1 << 8 | 1 << 9
"""FUSE_CAP_SPLICE_*: a pipe between the kernel and us, which costs more than it saves here."""

_BUFFER_SIZE = 256
"""Bytes for a struct fuse_buf: that of libfuse 3.17 is longer than mfusepy's."""

FILL_ATTRIBUTES = 2
"""FUSE_FILL_DIR_PLUS: readdir gives whole attributes (fuse.h)."""

_path, _pointer, _offset, _mode = c_char_p, c_void_p, c_longlong, c_uint

_ARGUMENTS: Mapping[str, tuple[Any, ...]] = {
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

_FILE_HANDLE = mfusepy.fuse_file_info.fh.offset
_FILE_FLAGS = mfusepy.fuse_file_info.flags.offset


def handle_of(info: int) -> int:
    """Return the handle in the fuse_file_info at `info`."""
    return ctypes.c_uint64.from_address(info + _FILE_HANDLE).value


def set_handle(info: int, handle: int) -> None:
    """Write the number of what was opened into the fuse_file_info at `info`."""
    ctypes.c_uint64.from_address(info + _FILE_HANDLE).value = handle


def flags_of(info: int) -> int:
    """Return the flags of open(2)."""
    return c_int.from_address(info + _FILE_FLAGS).value


def caller() -> Caller:
    """Return who makes the request that is being answered."""
    context = _library.fuse_get_context().contents
    return Caller(context.uid, context.gid)


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
    return struct.Struct(shape), itemgetter(*order)


_stat, _in_order = _layout()
STAT_SIZE = _stat.size
"""Bytes of struct stat that are written; libfuse has zeroed the others."""

_SECOND = 10**9


def stat_bytes(found: Attributes) -> bytes:
    """Return `found` as struct stat is in memory."""
    inode, mode, links, uid, gid, size, atime, mtime, ctime = found
    blocks = (size + 511) >> 9  # of 512 bytes, whatever the file system's own are (stat(2))
    moments = (*divmod(atime, _SECOND), *divmod(mtime, _SECOND), *divmod(ctime, _SECOND))
    return _stat.pack(*_in_order((inode, mode, links, uid, gid, size, blocks, *moments)))


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


def moments_at(address: int, now: Callable[[], int]) -> tuple[int | None, int | None]:
    """Return atime and mtime, in nanoseconds, of the two struct timespec at `address`.

    None: stays as it is. `now` says what time it is, in nanoseconds.
    """
    given = mfusepy.c_utimbuf.from_address(address)
    times: list[int | None] = []
    for moment in (given.actime, given.modtime):
        if moment.tv_nsec == _UTIME_OMIT:
            times.append(None)
        elif moment.tv_nsec == _UTIME_NOW:
            times.append(now())
        else:
            times.append(moment.tv_sec * _SECOND + moment.tv_nsec)
    return times[0], times[1]


class _Arguments(ctypes.Structure):
    """struct fuse_args (fuse_opt.h)."""

    _fields_ = (("argc", c_int), ("argv", ctypes.POINTER(c_char_p)), ("allocated", c_int))


def _prototyped(library: Any) -> Any:
    """Return `library` with the arguments of what is called here."""
    for name, result, arguments in (
        ("fuse_new", c_void_p, (c_void_p, c_void_p, c_size_t, c_void_p)),
        ("fuse_mount", c_int, (c_void_p, c_char_p)),
        ("fuse_unmount", None, (c_void_p,)),
        ("fuse_destroy", None, (c_void_p,)),
        ("fuse_get_session", c_void_p, (c_void_p,)),
        ("fuse_session_receive_buf", c_int, (c_void_p, c_void_p)),
        ("fuse_session_process_buf", None, (c_void_p, c_void_p)),
        ("fuse_get_context", ctypes.POINTER(mfusepy.fuse_context), ()),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _prototyped(ctypes.PyDLL(mfusepy._libfuse._name))
"""libfuse, called with the interpreter's lock held: what it calls back need not take it again."""

_waiting = _prototyped(ctypes.CDLL(mfusepy._libfuse._name))
"""The same for calls that wait, while others may run."""


class Session:
    """A filesystem that libfuse mounts, and the loop that answers its requests."""

    def __init__(
        self, callbacks: Mapping[str, Callable[..., int]], options: Sequence[str], timeout: float
    ) -> None:
        """Prepare a session with `callbacks`, named as in fuse_operations, and mount options.

        `timeout`: seconds that the kernel may rely on attributes and names. Raises UsageError when
        libfuse knows one of the options not.
        """
        self._timeout = timeout
        self._operations = mfusepy.fuse_operations()
        types = {field[0]: field[1] for field in mfusepy.fuse_operations._fields_}
        init = CFUNCTYPE(c_void_p, c_void_p, c_void_p)(self._initialise)
        self._kept: list[Any] = [init]  # libfuse keeps pointers to them
        self._operations.init = ctypes.cast(init, types["init"])
        for name, callback in callbacks.items():
            function = CFUNCTYPE(c_int, *_ARGUMENTS[name])(callback)
            self._kept.append(function)
            setattr(self._operations, name, ctypes.cast(function, types[name]))
        words = [b"memfis", *(part for option in options for part in (b"-o", os.fsencode(option)))]
        arguments = _Arguments(len(words), (c_char_p * len(words))(*words), 0)
        self._fuse = _library.fuse_new(
            ctypes.byref(arguments),
            ctypes.byref(self._operations),
            ctypes.sizeof(self._operations),
            None,
        )
        if not self._fuse:
            raise UsageError(f"libfuse takes none of: {', '.join(options)}")
        self._session = _library.fuse_get_session(self._fuse)
        self._buffer = ctypes.create_string_buffer(_BUFFER_SIZE)
        self._received = mfusepy.fuse_buf.from_buffer(self._buffer)
        self._answering = False
        self._stopped = False

    def _initialise(self, connection: int, configuration: int) -> None:
        """Set what the kernel and libfuse shall do."""
        offered = mfusepy.fuse_conn_info.from_address(connection)
        offered.want &= ~_SPLICE
        chosen = mfusepy.fuse_config.from_address(configuration)
        chosen.use_ino = 1
        chosen.nullpath_ok = 1
        chosen.attr_timeout = chosen.entry_timeout = chosen.negative_timeout = self._timeout
        # What is removed while it is open gets a name, or libfuse could ask nothing of it any more:
        # fstat(2) brings no handle. `adapter` sees to it that this name never gets anywhere.
        chosen.hard_remove = 0

    def mount(self, mountpoint: str) -> bool:
        """Mount at `mountpoint`; return whether that went well: libfuse says on stderr what not."""
        return bool(_waiting.fuse_mount(self._fuse, os.fsencode(mountpoint)) == 0)

    def serve(self) -> None:
        """Answer requests until it is unmounted, or `stop` was called."""
        receive, process = _waiting.fuse_session_receive_buf, _library.fuse_session_process_buf
        session, address = self._session, ctypes.addressof(self._buffer)
        while not self._stopped:
            size = receive(session, address)
            if size > 0:
                self._answering = True
                process(session, address)
                self._answering = False
            elif size != -errno.EINTR:
                return

    def stop(self) -> None:
        """Let `serve` return; if it waits for a request, a signal must wake it."""
        self._stopped = True

    def request(self) -> Request | int:
        """Return the kind of request that is being answered."""
        if not self._answering:
            return Request.NONE
        return c_uint.from_address(self._received.mem + 4).value

    def new_name(self) -> bytes:
        """Return the name that the request that is being answered, a rename(2), gives."""
        start = HEADER_SIZE + _RENAME_SIZES[Request(self.request())]
        names = ctypes.string_at(self._received.mem + start, self._received.size - start)
        return names.split(b"\0")[1]

    def unmount(self) -> None:
        """Unmount it, unless that has happened, and free everything."""
        _waiting.fuse_unmount(self._fuse)
        _waiting.fuse_destroy(self._fuse)
