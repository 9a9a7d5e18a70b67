"""Sockets that daemons listen at."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from memfis.errors import UsageError

LINE = 1024 * 1024
"""Longest line in bytes that a client may send."""

_FIRST = 3
"""The first descriptor that systemd passes on (sd_listen_fds(3))."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def listen_unix(path: Path, mode: int, serve: Serve) -> asyncio.Server:
    """Listen at the unix socket `path`, which gets `mode`.

    A socket that nobody listens at any more is taken over. Raises UsageError for one in use, and
    where it cannot be made.
    """
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        pass  # nobody is there
    else:
        writer.close()
        raise UsageError(f"{path}: another agent or gateway listens there")
    before = os.umask(0o777 & ~mode)
    try:
        path.unlink(missing_ok=True)
        return await asyncio.start_unix_server(serve, path, limit=LINE)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    finally:
        os.umask(before)


async def listen_tcp(host: str, port: int, serve: Serve) -> asyncio.Server:
    """Listen at `host` and `port`; raises UsageError."""
    try:
        return await asyncio.start_server(serve, host, port, limit=LINE)
    except OSError as error:
        raise UsageError(f"{host}:{port}: {error.strerror}") from error


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
