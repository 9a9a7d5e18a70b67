"""Where clients connect: sockets that systemd passes on, or our own."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from memfis.errors import UsageError
from memfis.service.sockets import take_over
from memfis.settings.addresses import ListenAddress

BACKLOG = 1024
"""Connections that may wait to be accepted."""

PORT_BUFFER = 104 * 1024
"""Bytes of the buffer of a client at a port, which the kernel doubles; else they grow to 4 MiB."""

MODE = 0o660
"""Of a unix socket: its group may use it."""


def apart(
    passed: Sequence[socket.socket], metrics: str | None
) -> tuple[list[socket.socket], socket.socket | None]:
    """Return those of `passed` that clients use, and the one at the address `metrics`."""
    path = ListenAddress.parse(metrics).path if metrics else None
    ours = [each for each in passed if path is None or each.getsockname() != path]
    others = [each for each in passed if each not in ours]
    return ours, others[0] if others else None


def open_sockets(addresses: Sequence[str]) -> list[socket.socket]:
    """Return sockets that listen at `addresses`; raises UsageError.

    A unix socket that nobody listens at any more is taken over.
    """
    sockets: list[socket.socket] = []
    try:
        for text in addresses:
            address = ListenAddress.parse(text)
            try:
                sockets.append(_open(address))
            except OSError as error:
                raise UsageError(f"{text}: {error.strerror}") from error
    except UsageError:
        for each in sockets:
            each.close()
        raise
    return sockets


def _open(address: ListenAddress) -> socket.socket:
    if address.path is None:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place: str | tuple[str, int] = (address.host, address.port)
    else:
        take_over(address.path)
        listener = socket.socket(socket.AF_UNIX)
        place = address.path
    before = os.umask(0o777 & ~MODE)
    try:
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def remove(addresses: Sequence[str]) -> None:
    """Remove the unix sockets of `addresses`, which nobody listens at any more."""
    for text in addresses:
        path = ListenAddress.parse(text).path
        if path is not None:
            with suppress(OSError):
                os.unlink(path)


async def accept(
    listener: socket.socket, new: Callable[[], asyncio.BaseProtocol]
) -> asyncio.AbstractServer:
    """Serve each client of `listener` by what `new` returns."""
    loop = asyncio.get_running_loop()
    if listener.family == socket.AF_UNIX:
        return await loop.create_unix_server(new, sock=listener, backlog=BACKLOG)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PORT_BUFFER)  # clients' have it too
    return await loop.create_server(new, sock=listener, backlog=BACKLOG)
