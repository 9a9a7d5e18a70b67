"""Renames that Python does not offer (renameat2(2))."""

import ctypes
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


def exchange(one: bytes | Path, two: bytes | Path) -> None:
    """Exchange two names at once, whatever they name; raises OSError."""
    names = os.fsencode(one), os.fsencode(two)
    if _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), names[0], None, names[1])
