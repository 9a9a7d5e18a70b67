"""Sockets that daemons listen at."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from memfis.errors import UsageError
from memfis.service.trust import name_of

LINE = 1024 * 1024
"""Longest line in bytes that a client may send."""

_FIRST = 3
"""The first descriptor that systemd passes on (sd_listen_fds(3))."""

_IN_USE = (0, errno.EAGAIN, errno.EPROTOTYPE)
"""What connect(2) says where somebody is: it connects, has to wait until others are accepted, or is
of another type than the socket."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def listen_unix(path: Path, mode: int, serve: Serve) -> asyncio.Server:
    """Listen at the unix socket `path`, which gets `mode`.

    A socket that nobody listens at any more is taken over. Raises UsageError for one in use, and
    where it cannot be made.
    """
    before = os.umask(0o777 & ~mode)
    try:
        take_over(str(path), others="another agent or gateway")
        return await asyncio.start_unix_server(serve, path, limit=LINE)
    except OSError as error:
        raise UsageError(f"{path}: {reason_of(error)}") from error
    finally:
        os.umask(before)


def take_over(
    path: str, kind: int = socket.SOCK_STREAM, *, others: str = "another process"
) -> None:
    """Remove the unix socket `path`, of type `kind`, if nobody listens at it any more.

    Without it, what a process left behind that was killed would keep the next one from binding
    (unix(7), EADDRINUSE). Raises UsageError where `others` listen, as it calls them, and for what
    is no socket; and OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(path)
        if not stat.S_ISSOCK(status.st_mode):
            raise UsageError(f"{path}: is there and no socket")
        with socket.socket(socket.AF_UNIX, kind) as probe:
            probe.setblocking(False)
            if probe.connect_ex(path) in _IN_USE:
                whose = "" if status.st_uid == os.geteuid() else f" (user {name_of(status.st_uid)})"
                raise UsageError(f"{path}: {others} listens there{whose}")
        os.unlink(path)


async def listen_tcp(host: str, port: int, serve: Serve) -> asyncio.Server:
    """Listen at `host` and `port`; raises UsageError."""
    try:
        return await asyncio.start_server(serve, host, port, limit=LINE)
    except OSError as error:
        raise UsageError(f"{host}:{port}: {reason_of(error)}") from error


def reason_of(error: OSError) -> str:
    """Return what the kernel said: asyncio says the address once more, and Python nothing else.

    "AF_UNIX path too long" has no number, and what getaddrinfo(3) says a negative one.
    """
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def passed_sockets() -> list[socket.socket]:
    """Return the sockets that systemd listens at for us (sd_listen_fds(3)); none without it."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    number = int(os.environ.get("LISTEN_FDS", "0"))
    sockets = []
    for descriptor in range(_FIRST, _FIRST + number):
        os.set_inheritable(descriptor, False)
        sockets.append(socket.socket(fileno=descriptor))
    return sockets
