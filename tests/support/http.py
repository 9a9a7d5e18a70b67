"""A client that sends what it is told to, byte for byte, also where no browser would."""

import http.client
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Self

from support.process import PATIENCE


@dataclass(frozen=True)
class Answer:
    """An HTTP answer whose body came whole."""

    status: int
    headers: Message
    body: bytes

    def header(self, name: str) -> str | None:
        """Return all values of a header, joined as RFC 9110 (5.3) has it; None without it."""
        values = self.headers.get_all(name)
        return None if values is None else ", ".join(str(value) for value in values)

    @property
    def source(self) -> str | None:
        """HIT or FALLBACK."""
        return self.header("X-Memfis")


class Connection:
    """A connection to a unix socket or a TCP port, kept over several requests."""

    def __init__(
        self, address: Path | tuple[str, int], tls: tuple[ssl.SSLContext, str] | None = None
    ) -> None:
        if isinstance(address, Path):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(os.fspath(address))
        else:
            self.socket = socket.create_connection(address, timeout=PATIENCE)
        if tls is not None:
            context, name = tls
            self.socket = context.wrap_socket(self.socket, server_hostname=name)

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
        """Send raw bytes."""
        self.socket.sendall(data)

    def receive(self, method: str = "GET") -> Answer:
        """Read one answer; IncompleteRead when it ends too early."""
        response = http.client.HTTPResponse(self.socket, method=method)
        try:
            response.begin()
            return Answer(response.status, response.headers, response.read())
        finally:
            response.close()

    def ask(
        self,
        target: str | bytes,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        host: str = "site.example",
    ) -> Answer:
        """Send one request and read its answer. The target goes as it is."""
        lines = {"Host": host, **(headers or {})}
        if body is not None:
            lines["Content-Length"] = str(len(body))
        target = target.encode() if isinstance(target, str) else target
        head = b"%s %s HTTP/1.1\r\n" % (method.encode(), target)
        for name, text in lines.items():
            head += f"{name}: {text}\r\n".encode("latin-1")
        self.send(head + b"\r\n" + (body or b""))
        return self.receive(method)

    def ended(self) -> bool:
        """Return whether the other side has closed the connection and said nothing more."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def quote(path: bytes) -> str:
    """Return `path` percent-encoded, every byte but letters, digits and slashes."""
    kept = frozenset(b"/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    return "".join(chr(byte) if byte in kept else f"%{byte:02x}" for byte in path)
