"""What tests do with files of a filesystem, in one call each."""

import os

from memfis.filesystem import Caller, Filesystem

ROOT = Caller(0, 0)


def put(filesystem: Filesystem, path: bytes, content: bytes, mode: int = 0o644) -> None:
    """Write a whole file and close it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    handle = filesystem.create(path, flags, mode, ROOT)
    try:
        if content:
            filesystem.write(handle, content, 0)
        filesystem.flush(handle)
    finally:
        filesystem.release(handle)


def get(filesystem: Filesystem, path: bytes) -> bytes:
    """Read a whole file."""
    handle = filesystem.open(path, os.O_RDONLY)
    try:
        return filesystem.read(handle, 1 << 26, 0)
    finally:
        filesystem.release(handle)
