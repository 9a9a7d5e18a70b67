"""The request of the kernel that is being answered: what libfuse does not tell its callbacks.

And what is answered without libfuse, as it is asked at every write and every change of mode, always
in vain.
"""

import ctypes
import errno
import struct
from ctypes import c_uint
from enum import IntEnum

from memfis.mount.libfuse import Buffer, memory


class Opcode(IntEnum):
    """Those kinds of requests that matter here (linux/fuse.h, enum fuse_opcode)."""

    NONE = 0
    LOOKUP = 1
    UNLINK = 10
    RENAME = 12
    SETXATTR = 21
    GETXATTR = 22
    RENAME2 = 45


HEADER_SIZE = 40
"""Bytes of fuse_in_header; the kind of request is at its byte 4 (linux/fuse.h)."""

_KIND_AND_NUMBER = struct.Struct("=4xIQ")
"""The beginning of fuse_in_header: `opcode` and `unique`."""

_ATTRIBUTE = HEADER_SIZE + 8
"""Where a request has the name of an extended attribute: after fuse_getxattr_in or the shorter form
of fuse_setxattr_in (linux/fuse.h)."""

_KERNELS = (b"security.", b"system.")
"""How names of extended attributes begin that only the kernel asks for, and nobody has here."""

_LONGEST = max(map(len, _KERNELS))

_REFUSAL = struct.Struct("=IiQ")
"""struct fuse_out_header: its own length in bytes, an errno below zero, and `unique`."""

_RENAME_SIZES = {Opcode.RENAME: 8, Opcode.RENAME2: 16}
"""Bytes of fuse_rename_in and fuse_rename2_in, which the two names follow (linux/fuse.h)."""

_BUFFER_SIZE = 256
"""Bytes for a struct fuse_buf: that of libfuse 3.17 is longer than mfusepy's."""


class CurrentRequest:
    """What was received last, and whether it is being answered."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(_BUFFER_SIZE)
        self._received = Buffer.from_buffer(self._buffer)
        self.address = ctypes.addressof(self._buffer)
        """Where libfuse is to put what it receives (struct fuse_buf)."""
        self.is_answered = False
        """Whether libfuse has it, and calls back."""

    def opcode(self) -> Opcode | int:
        """Return the kind of request that is being answered."""
        if not self.is_answered:
            return Opcode.NONE
        return c_uint.from_address(self._received.mem + 4).value

    def new_name(self) -> bytes:
        """Return the name that the request that is being answered, a rename(2), gives."""
        start = HEADER_SIZE + _RENAME_SIZES[Opcode(self.opcode())]
        request = self._received.mem
        names = memory[request + start : request + self._received.size].tobytes()
        return names.split(b"\0")[1]

    def refusal(self) -> bytes:
        """Return what to answer if the kernel asks for its own extended attributes, else nothing.

        The answer is that to any name that does not begin with `user.`, without libfuse's way to
        it: `cp -a` lets the kernel ask twice for each file.
        """
        request = self._received.mem
        kind, number = _KIND_AND_NUMBER.unpack_from(memory, request)
        if kind in (Opcode.GETXATTR, Opcode.SETXATTR):
            start = request + _ATTRIBUTE
            if memory[start : start + _LONGEST].tobytes().startswith(_KERNELS):
                return _REFUSAL.pack(_REFUSAL.size, -errno.EOPNOTSUPP, number)
        return b""
