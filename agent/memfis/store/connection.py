"""A connection of our own to the store, and a reader of what it answers.

pymemcache's `raw_command` loses error lines, answers longer than one chunk and end tokens split
across chunks, so what goes in bulk goes through here.
"""

import socket
import struct

from memfis.errors import StoreError
from memfis.layout.keys import KEY_LIMIT
from memfis.settings.addresses import StoreAddress

VECTORS = 1024
"""Buffers in one call (IOV_MAX of Linux, writev(2))."""

BUFFER = 64 * 1024
"""Bytes that are read at once: the answers to a window of questions."""

_TIMEVAL = struct.Struct("@ll")
"""struct timeval (socket(7), SO_RCVTIMEO)."""


class Connection:
    """One connection to the store. Every call raises StoreError when the store cannot be asked."""

    def __init__(self, address: StoreAddress, timeout: float) -> None:
        """Remember `address`; connect at the first call. `timeout` in seconds, for each answer."""
        self._address = address
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._received = b""
        self._read_up_to = 0  # of what was received

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        if self._socket:
            self._socket.close()
            self._socket = None
            self._received = b""
            self._read_up_to = 0

    def send(self, *parts: bytes) -> None:
        """Send `parts` one after the other; values are not copied together."""
        try:
            if self._socket is None:
                self._socket = connect(self._address, self._timeout)
            sent = self._socket.sendmsg(parts[:VECTORS])
            if sent == sum(map(len, parts)):  # nearly always
                return
            rest: list[bytes | memoryview] = list(parts)
            first = 0
            while True:
                while first < len(rest) and sent >= len(rest[first]):
                    sent -= len(rest[first])
                    first += 1
                if first == len(rest):
                    return
                if sent:
                    rest[first] = memoryview(rest[first])[sent:]
                sent = self._socket.sendmsg(rest[first : first + VECTORS])
        except OSError as error:
            self.close()
            raise unreachable(self._address, error) from _cause(error)

    def line(self) -> bytes:
        """Return the next line of what the store answers, without its end."""
        end = self._received.find(b"\n", self._read_up_to)
        while end < 0:
            rest = self._take_rest()
            if len(rest) > KEY_LIMIT * 4:
                raise self.nonsense(rest)
            self._received = rest + self._receive(rest)
            end = self._received.find(b"\n", len(rest))
        line = self._received[self._read_up_to : end]
        self._read_up_to = end + 1
        return line.rstrip(b"\r")  # `metadump` ends its lines with a bare newline

    def lines(self, number: int) -> list[bytes] | None:
        """Return the next `number` lines, one at least, as `line` does, where they came together.

        None: they did not, or a value (`VA`) is among them. They are still to be read then.
        """
        if self._read_up_to < len(self._received):
            return None
        data = self._receive()
        if b"VA " not in data and data.count(b"\r\n") == number and data.endswith(b"\r\n"):
            return data[:-2].split(b"\r\n")
        self._received, self._read_up_to = data, 0
        return None

    def block(self, size: int) -> bytes:
        """Return the next `size` bytes, of a value."""
        end = self._read_up_to + size
        if end <= len(self._received):
            data = self._received[self._read_up_to : end]
            self._read_up_to = end
            return data
        parts = [self._take_rest()]
        missing = size - len(parts[0])
        while missing > 0:
            parts.append(self._receive())
            missing -= len(parts[-1])
        if missing < 0:
            self._received = parts[-1]
            self._read_up_to = len(parts[-1]) + missing
            parts[-1] = self._received[: self._read_up_to]
        return b"".join(parts)

    def is_next(self, data: bytes) -> bool:
        """Whether the store says `data` next, which is read then; else nothing is.

        To be asked only where no whole answer is a beginning of `data`.
        """
        came = self._take_rest()
        while len(came) < len(data) and data.startswith(came):
            came += self._receive()
        is_same = came.startswith(data)
        self._received, self._read_up_to = came, len(data) if is_same else 0
        return is_same

    def some(self) -> bytes:
        """Return what the store says next, at least one byte."""
        return self._take_rest() or self._receive()

    def _take_rest(self) -> bytes:
        """Return what was received and not read yet, as read now."""
        rest = self._received[self._read_up_to :]
        self._received = b""
        self._read_up_to = 0
        return rest

    def _receive(self, before: bytes = b"") -> bytes:
        """Return what the store says next, at least one byte; `before`: of the same line."""
        assert self._socket is not None
        try:
            data = self._socket.recv(BUFFER)
        except OSError as error:
            self.close()
            raise unreachable(self._address, error) from _cause(error)
        if not data:
            self.close()
            if before:
                raise self.nonsense(before)
            raise StoreError(f"store {self._address} closed the connection")
        return data

    def nonsense(self, line: bytes) -> StoreError:
        """Close the connection, and return what to raise for the answer `line`."""
        self.close()
        return StoreError(f"store {self._address} answered {text_of(line)!r}: is it a memcached?")


def connect(address: StoreAddress, timeout: float) -> socket.socket:
    """Return a connected socket; raises OSError.

    The kernel keeps `timeout`, in seconds, for each call: Python would poll(2) before each of them.
    """
    if address.path is None:
        connection = socket.create_connection((address.host, address.port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(address.path)
        except OSError:
            connection.close()
            raise
    connection.settimeout(None)
    seconds, part = divmod(timeout, 1)
    limit = _TIMEVAL.pack(int(seconds), max(1, int(part * 1_000_000)))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    return connection


def unreachable(address: StoreAddress, error: OSError) -> StoreError:
    """Return what to raise when `error` came instead of an answer."""
    late = isinstance(error, TimeoutError | BlockingIOError)
    reason = "no answer in time" if late else error.strerror or error
    return StoreError(f"store {address} cannot be reached: {reason}; is it running?")


def _cause(error: OSError) -> OSError:
    """Return `error`, as TimeoutError when it is what a socket says after its time (socket(7))."""
    return TimeoutError(error.errno, "timed out") if isinstance(error, BlockingIOError) else error


def text_of(line: bytes) -> str:
    """Return `line` as it may stand in a message."""
    return line[:200].decode("ascii", "backslashreplace")
