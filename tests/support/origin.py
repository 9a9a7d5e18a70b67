"""A web application in the place of nginx's origin listener: real HTTP over a unix socket."""

import os
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

HTML = ("Content-Type", "text/html; charset=UTF-8")


@dataclass
class Reply:
    """What the application answers."""

    body: bytes = b"<p>page</p>"
    headers: Sequence[tuple[str, str]] = ()
    status: int = 200
    type: str | None = "text/html; charset=UTF-8"
    delay: float = 0.0
    length: int | None = None
    """What it claims its length to be; None: what it is."""
    chunked: bool = False
    cut: bool = False
    """The connection ends before the answer does."""


@dataclass
class Asked:
    """One request."""

    path: str
    headers: dict[str, str] = field(default_factory=dict)


class Origin:
    """The application; `pages` says what it answers, also with a function of the path."""

    def __init__(self, path: Path) -> None:
        self.socket = path
        self.pages: dict[str, Reply | Callable[[], Reply]] = {}
        self.default: Callable[[str], Reply] = lambda path: Reply(status=404)
        self.own: Sequence[tuple[str, str]] = ()
        """Headers of nginx itself, on every answer."""
        self.asked: list[Asked] = []
        self.gate = threading.Event()
        self.gate.set()
        self._server: socketserver.ThreadingUnixStreamServer | None = None
        self.connections: list[socket.socket] = []

    def count(self, path: str) -> int:
        """Return how often `path` was asked for."""
        return Counter(each.path for each in self.asked)[path]

    def paths(self) -> list[str]:
        """Return what was asked for, but for what the agent asks of nginx itself."""
        return [each.path for each in self.asked if each.path != "/.memfis"]

    def start(self) -> None:
        """Listen."""
        self.socket.unlink(missing_ok=True)
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                origin.connections.append(self.connection)

            def do_GET(self) -> None:
                origin.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def address_string(self) -> str:
                return "unix"

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients may go away."""

        self._server = Server(os.fspath(self.socket), Handler)
        self.socket.chmod(0o777)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = handler.path
        self.asked.append(Asked(path, {k.lower(): v for k, v in handler.headers.items()}))
        found = self.pages.get(path)
        if found is None:
            found = self.default(path)
        reply = found if isinstance(found, Reply) else found()
        if path == "/.memfis":
            reply = Reply(b"", status=404)
        if reply.delay:
            threading.Event().wait(reply.delay)
        handler.send_response(reply.status)
        if reply.type is not None:
            handler.send_header("Content-Type", reply.type)
        for name, value in [*reply.headers, *self.own]:
            handler.send_header(name, value)
        body = reply.body
        if reply.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body += b"" if reply.cut else b"0\r\n\r\n"
        else:
            length = reply.length or len(body) + reply.cut
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)
        if reply.length or reply.cut:
            handler.close_connection = True

    def end(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            while self.connections:
                with suppress(OSError):
                    self.connections.pop().shutdown(socket.SHUT_RDWR)
            self._server = None
            self.socket.unlink(missing_ok=True)
