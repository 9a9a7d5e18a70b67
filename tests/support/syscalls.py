"""System calls, and flags of them, that Python does not offer."""

import ctypes
import os
from ctypes import c_int, c_int64, c_long, c_uint

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2  # linux/fs.h
KEEP_SIZE, PUNCH_HOLE = 1, 2  # linux/falloc.h
OMIT, NOW = "omit", "now"
"""Times that utimensat(2) leaves as they are, or makes the present one."""

_AT_FDCWD, _AT_SYMLINK_NOFOLLOW = -100, 0x100  # linux/fcntl.h
_NANOSECONDS = {NOW: (1 << 30) - 1, OMIT: (1 << 30) - 2}  # linux/stat.h

Time = int | str
"""Nanoseconds since the epoch, OMIT or NOW."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (c_int, c_int, c_int64, c_int64)
_libc.renameat2.argtypes = (c_int, ctypes.c_char_p, c_int, ctypes.c_char_p, c_uint)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", c_long), ("nanoseconds", c_long))


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Call fallocate(2); raises OSError."""
    _check(_libc.fallocate(fd, mode, offset, length))


def rename(old: bytes, new: bytes, flags: int) -> None:
    """Call renameat2(2); raises OSError."""
    _check(_libc.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, flags))


def set_times(file: bytes | int, atime: Time, mtime: Time) -> None:
    """Call utimensat(2), of a path without following its last link, or of a descriptor."""
    times = (_Timespec * 2)(_timespec(atime), _timespec(mtime))
    if isinstance(file, int):
        _check(_libc.futimens(file, times))
    else:
        _check(_libc.utimensat(_AT_FDCWD, file, times, _AT_SYMLINK_NOFOLLOW))


def _timespec(time: Time) -> _Timespec:
    if isinstance(time, str):
        return _Timespec(0, _NANOSECONDS[time])
    return _Timespec(*divmod(time, 10**9))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
