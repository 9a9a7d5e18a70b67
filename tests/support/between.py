"""A proxy between the SDK and CouchbaseMock that delays, cuts, refuses and halves answers."""

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from support.couchbase_mock import CouchbaseMock
from support.ports import free_port

HEADER = struct.Struct(">BBHBBHIIQ")
"""Of a frame: magic, opcode, key's length, extras', datatype, status, body's length, opaque, CAS
(kv_engine, docs/BinaryProtocol.md)."""

_CONFIGURATION = 0xB5
_NOT_MINE = 7  # the answer to a question for another node: it has the configuration


class Fault(Protocol):
    """What happens to an answer."""

    def __call__(self, frame: bytes, ended: threading.Event) -> tuple[bytes, bool]:
        """Return what is sent of `frame`, and whether the connection lives on.

        `ended` is set when the fault is over.
        """


def nothing(frame: bytes, ended: threading.Event) -> tuple[bytes, bool]:
    """Let it pass."""
    return frame, True


@dataclass(frozen=True)
class Delay:
    """Answers come late, in their order."""

    seconds: float

    def __call__(self, frame: bytes, ended: threading.Event) -> tuple[bytes, bool]:
        ended.wait(self.seconds)
        return frame, True


def half_and_no_more(frame: bytes, ended: threading.Event) -> tuple[bytes, bool]:
    """Send the first half, then nothing as long as the fault lasts, then cut."""
    return frame[: len(frame) // 2], False


class Between:
    """Listens at a port of its own, which it tells in the place of the mock's."""

    def __init__(self, mock: CouchbaseMock) -> None:
        self._target = int(mock.connection.rpartition(":")[2])
        self.port = free_port()
        assert len(str(self.port)) == len(str(self._target))
        self._fault: Fault = nothing
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.accept()

    def accept(self) -> None:
        """Take connections (again)."""
        self._listener = listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Take no connections any more, and cut those that there are."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """End all connections, in the middle of whatever is underway."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def begin(self, fault: Fault) -> None:
        """Let `fault` happen to every answer from now on."""
        self._ended = threading.Event()
        self._fault = fault

    def end(self) -> None:
        """Let all pass again."""
        self._fault = nothing
        self._ended.set()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for target, one, other in (
                (self._forth, client, server),
                (self._back, server, client),
            ):
                threading.Thread(target=target, args=(one, other), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        self._close(client, server)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError, EOFError), server.makefile("rb") as answers:
            while True:
                head = _exactly(answers.read(HEADER.size), HEADER.size)
                _, opcode, _, _, _, status, length, _, _ = HEADER.unpack(head)
                body = _exactly(answers.read(length), length)
                if opcode == _CONFIGURATION or status == _NOT_MINE:
                    body = body.replace(b"%d" % self._target, b"%d" % self.port)
                ended = self._ended
                data, lives = self._fault(head + body, ended)
                client.sendall(data)
                if not lives:
                    ended.wait()
                    break
        self._close(server, client)

    def _close(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._open -= set(sockets)
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _exactly(data: bytes, length: int) -> bytes:
    if len(data) < length:
        raise EOFError
    return data


class Behind(CouchbaseMock):
    """The mock as it is seen through a proxy."""

    def __init__(self, mock: CouchbaseMock, between: Between) -> None:
        self.password_file = mock.password_file
        self._between = between

    @property
    def connection(self) -> str:
        """The proxy's."""
        return f"couchbase://127.0.0.1:{self._between.port}"
