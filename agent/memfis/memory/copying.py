"""Files copied without their empty parts, and summed up."""

import os
import zlib

PIECE = 1024 * 1024
"""Bytes that are read at a time: a page of memcached's slabs."""


def copy(source: int, target: int) -> int:
    """Copy the open file `source` to `target`, which is empty; return the CRC-32 of what it holds.

    Holes, and pieces that are nothing but zeros, are left out of the copy, and of the sum. Both
    files have one length afterwards. Raises OSError.
    """
    size = os.fstat(source).st_size
    buffer = memoryview(bytearray(PIECE))
    nothing = bytes(PIECE)
    total = 0
    position = _data(source, 0, size)
    while position < size:
        number = os.preadv(source, [buffer], position)
        if not number:
            break  # it became shorter
        if buffer[:number] != nothing[:number]:
            total = zlib.crc32(buffer[:number], zlib.crc32(b"%d" % position, total))
            written = 0
            while written < number:
                written += os.pwrite(target, buffer[written:number], position + written)
        position += number
        if not position % PIECE:
            position = _data(source, position, size)
    os.ftruncate(target, size)
    return total


def _data(file: int, position: int, size: int) -> int:
    """Return where the piece begins that has the next byte of data, from `position` on."""
    if position >= size:
        return size
    try:
        found = os.lseek(file, position, os.SEEK_DATA)
    except OSError:  # ENXIO: there is none
        return size
    return found - found % PIECE
