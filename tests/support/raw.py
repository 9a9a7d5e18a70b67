"""A client that sends bytes and reads what comes, for protocols."""

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 30.0


class Raw:
    """A connection to a unix socket or a TCP port."""

    def __init__(self, address: Path | tuple[str, int]) -> None:
        family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
        self.socket = socket.socket(family)
        # With a timeout, a queue of connections that is full would be an error at once.
        self.socket.connect(os.fspath(address) if isinstance(address, Path) else address)
        self.socket.settimeout(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send `data`."""
        self.socket.sendall(data)

    def until(self, end: bytes) -> bytes:
        """Return what comes up to `end`, without it; all that came if the connection ends."""
        came = bytearray()
        while not came.endswith(end):
            data = self.socket.recv(1 << 20)
            if not data:
                return bytes(came)
            came += data
        return bytes(came[: -len(end)])

    def ask(self, command: bytes) -> bytes:
        """Return all that is answered to whole commands."""
        self.send(command + b"mn\r\n")
        return self.until(b"MN\r\n")
