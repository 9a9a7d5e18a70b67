"""One session of libfuse: from mounting to unmounting, and the loop that answers its requests.

The loop is ours, so that callbacks can ask which request they are part of (`request.py`), and some
requests be answered without libfuse.
"""

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ctypes import CFUNCTYPE, c_char_p, c_int, c_void_p
from functools import partial
from typing import Any

from memfis.errors import UsageError
from memfis.mount.libfuse import (
    ARGUMENTS,
    Arguments,
    Configuration,
    Connection,
    Operations,
    library,
    waiting,
)
from memfis.mount.request import CurrentRequest

_SPLICE = 1 << 7 | 1 << 8 | 1 << 9
"""FUSE_CAP_SPLICE_*: a pipe between the kernel and us, which costs more than it saves here."""


class Session:
    """A filesystem that libfuse mounts, and the loop that answers its requests."""

    def __init__(self, fuse: int, request: CurrentRequest, kept: Sequence[object]) -> None:
        """Take over the struct fuse at the address `fuse`, which needs what is `kept`.

        Requests are received into `request`.
        """
        self._fuse = fuse
        self._request = request
        self._kept = kept
        self.lock = threading.Lock()
        """Held while a request is answered; for whoever else asks the filesystem."""
        self._stopped = False

    @classmethod
    def create(
        cls,
        callbacks: Mapping[str, Callable[..., int]],
        options: Sequence[str],
        timeout: float,
        request: CurrentRequest,
    ) -> "Session":
        """Return a session with `callbacks`, named as in fuse_operations, and mount options.

        `timeout`: seconds that the kernel may rely on attributes and names; `request` is what
        callbacks ask for the request that they are part of. Raises UsageError when libfuse has no
        such option.
        """
        operations = Operations()
        types = {field[0]: field[1] for field in Operations._fields_}
        init = CFUNCTYPE(c_void_p, c_void_p, c_void_p)(partial(_initialise, timeout))
        kept: list[Any] = [operations, init]  # libfuse keeps pointers to them
        operations.init = ctypes.cast(init, types["init"])
        for name, callback in callbacks.items():
            function = CFUNCTYPE(c_int, *ARGUMENTS[name])(callback)
            kept.append(function)
            setattr(operations, name, ctypes.cast(function, types[name]))
        words = [b"memfis", *(part for option in options for part in (b"-o", os.fsencode(option)))]
        arguments = Arguments(len(words), (c_char_p * len(words))(*words), 0)
        fuse = library.fuse_new_31(  # fuse_new has several versions, and 3.17 no default
            ctypes.byref(arguments),
            ctypes.byref(operations),
            ctypes.sizeof(operations),
            None,
        )
        if not fuse:
            raise UsageError(f"libfuse knows one of these options not: {', '.join(options)}")
        return cls(fuse, request, kept)

    def mount(self, mountpoint: str) -> bool:
        """Mount at `mountpoint`; return whether that went well: libfuse says on stderr what not."""
        return bool(waiting.fuse_mount(self._fuse, os.fsencode(mountpoint)) == 0)

    def serve(self) -> None:
        """Answer requests until it is unmounted, or `stop` was called."""
        receive, process = waiting.fuse_session_receive_buf, library.fuse_session_process_buf
        session = library.fuse_get_session(self._fuse)
        request, address, lock = self._request, self._request.address, self.lock
        device = library.fuse_session_fd(session)
        while not self._stopped:
            size = receive(session, address)
            if size > 0:
                refusal = request.refusal()
                if refusal:
                    with suppress(FileNotFoundError):  # interrupted: nobody waits any more
                        os.write(device, refusal)
                    continue
                with lock:
                    request.is_answered = True
                    process(session, address)
                    request.is_answered = False
            elif size != -errno.EINTR:
                return

    def stop(self) -> None:
        """End `serve`; if it waits for a request, a signal must wake it."""
        self._stopped = True

    def unmount(self) -> None:
        """Unmount it, unless that has happened, and free everything."""
        waiting.fuse_unmount(self._fuse)
        waiting.fuse_destroy(self._fuse)


def _initialise(timeout: float, connection: int, configuration: int) -> None:
    """Set what the kernel and libfuse shall do."""
    offered = Connection.from_address(connection)
    offered.want &= ~_SPLICE
    chosen = Configuration.from_address(configuration)
    chosen.use_ino = 1
    chosen.nullpath_ok = 1
    chosen.attr_timeout = chosen.entry_timeout = chosen.negative_timeout = timeout
    # What is removed while it is open gets a name, or libfuse could ask nothing of it any more:
    # fstat(2) brings no handle. `adapter` sees to it that this name never gets anywhere.
    chosen.hard_remove = 0
