"""One session of libfuse: from mounting to unmounting, and the loop that answers its requests.

The loop is ours, for what libfuse does not tell its callbacks: which request they are part of. And
it answers without libfuse what is asked at every write and every change of mode, always in vain.
"""

import ctypes
import errno
import os
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ctypes import CFUNCTYPE, c_char_p, c_int, c_uint, c_void_p
from enum import IntEnum
from typing import Any

from memfis.errors import UsageError
from memfis.mount.libfuse import (
    ARGUMENTS,
    Arguments,
    Buffer,
    Configuration,
    Connection,
    Operations,
    library,
    memory,
    waiting,
)


class Request(IntEnum):
    """Those kinds of requests that callbacks ask for (linux/fuse.h, enum fuse_opcode)."""

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

_RENAME_SIZES = {Request.RENAME: 8, Request.RENAME2: 16}
"""Bytes of fuse_rename_in and fuse_rename2_in, which the two names follow (linux/fuse.h)."""

_SPLICE = 1 << 7 | 1 << 8 | 1 << 9
"""FUSE_CAP_SPLICE_*: a pipe between the kernel and us, which costs more than it saves here."""

_BUFFER_SIZE = 256
"""Bytes for a struct fuse_buf: that of libfuse 3.17 is longer than mfusepy's."""


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
        self._operations = Operations()
        types = {field[0]: field[1] for field in Operations._fields_}
        init = CFUNCTYPE(c_void_p, c_void_p, c_void_p)(self._initialise)
        self._kept: list[Any] = [init]  # libfuse keeps pointers to them
        self._operations.init = ctypes.cast(init, types["init"])
        for name, callback in callbacks.items():
            function = CFUNCTYPE(c_int, *ARGUMENTS[name])(callback)
            self._kept.append(function)
            setattr(self._operations, name, ctypes.cast(function, types[name]))
        words = [b"memfis", *(part for option in options for part in (b"-o", os.fsencode(option)))]
        arguments = Arguments(len(words), (c_char_p * len(words))(*words), 0)
        self._fuse = library.fuse_new_31(  # fuse_new has several versions, and 3.17 no default
            ctypes.byref(arguments),
            ctypes.byref(self._operations),
            ctypes.sizeof(self._operations),
            None,
        )
        if not self._fuse:
            raise UsageError(f"libfuse knows one of these options not: {', '.join(options)}")
        self._session = library.fuse_get_session(self._fuse)
        self._buffer = ctypes.create_string_buffer(_BUFFER_SIZE)
        self._received = Buffer.from_buffer(self._buffer)
        self.lock = threading.Lock()
        """Held while a request is answered; for whoever else asks the filesystem."""
        self._answering = False
        self._stopped = False

    def _initialise(self, connection: int, configuration: int) -> None:
        """Set what the kernel and libfuse shall do."""
        offered = Connection.from_address(connection)
        offered.want &= ~_SPLICE
        chosen = Configuration.from_address(configuration)
        chosen.use_ino = 1
        chosen.nullpath_ok = 1
        chosen.attr_timeout = chosen.entry_timeout = chosen.negative_timeout = self._timeout
        # What is removed while it is open gets a name, or libfuse could ask nothing of it any more:
        # fstat(2) brings no handle. `adapter` sees to it that this name never gets anywhere.
        chosen.hard_remove = 0

    def mount(self, mountpoint: str) -> bool:
        """Mount at `mountpoint`; return whether that went well: libfuse says on stderr what not."""
        return bool(waiting.fuse_mount(self._fuse, os.fsencode(mountpoint)) == 0)

    def serve(self) -> None:
        """Answer requests until it is unmounted, or `stop` was called."""
        receive, process = waiting.fuse_session_receive_buf, library.fuse_session_process_buf
        session, address, lock = self._session, ctypes.addressof(self._buffer), self.lock
        device = library.fuse_session_fd(session)
        while not self._stopped:
            size = receive(session, address)
            if size > 0:
                refusal = _refusal(self._received.mem)
                if refusal:
                    with suppress(FileNotFoundError):  # interrupted: nobody waits any more
                        os.write(device, refusal)
                    continue
                with lock:
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
        request = self._received.mem
        names = memory[request + start : request + self._received.size].tobytes()
        return names.split(b"\0")[1]

    def unmount(self) -> None:
        """Unmount it, unless that has happened, and free everything."""
        waiting.fuse_unmount(self._fuse)
        waiting.fuse_destroy(self._fuse)


def _refusal(request: int) -> bytes:
    """Return what to answer to the request at that address if it asks for the kernel's attributes.

    The answer is that to any name that does not begin with `user.`, without libfuse's way to it:
    `cp -a` lets the kernel ask twice for each file.
    """
    kind, number = _KIND_AND_NUMBER.unpack_from(memory, request)
    if kind in (Request.GETXATTR, Request.SETXATTR):
        start = request + _ATTRIBUTE
        if memory[start : start + _LONGEST].tobytes().startswith(_KERNELS):
            return _REFUSAL.pack(_REFUSAL.size, -errno.EOPNOTSUPP, number)
    return b""
