"""What listens at nginx's socket and is told what changed: real HTTP over a unix socket."""

import os
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path


class FirstLevel:
    """Remembers what it was told, in `told`; `answer` gives the status, in the request's thread."""

    def __init__(self, path: Path) -> None:
        self.socket = path
        self.told: list[str] = []
        self.connections = 0
        self.answer: Callable[[], int] = lambda: 204
        self.closes = False
        """Whether each connection ends after one answer, as nginx's do now and then."""
        first_level = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                first_level.connections += 1

            def do_POST(self) -> None:
                assert self.path == "/changed"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = first_level.answer()
                if status == 204:
                    first_level.told.append(body.decode("ascii"))
                self.send_response(status)
                said = b"" if status == 204 else b"counters are missing\n"
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
                self.close_connection = first_level.closes

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def address_string(self) -> str:
                return "unix"

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients may go away."""

        self._server = Server(os.fspath(path), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def numbers(self) -> set[int]:
        """The counters that it was told of."""
        return {int(each) for body in self.told for each in body.split(" ")}

    def end(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self.socket.unlink()
