"""What a client sent, taken apart into commands."""

from io import BytesIO

from memfis.gateway import admin, bulk, classic, meta
from memfis.gateway.budget import LARGE
from memfis.gateway.commands import BAD_CHUNK, ERROR, READ_ONLY, Command, Failure
from memfis.layout.keys import BODY, BOX, HEAD, PAGE

LINE = 2048
"""Longest line in bytes of most commands: as in memcached (proto_text.c)."""

MANY_KEYS = 256 * 1024
"""Longest line in bytes of a `get` of many keys: about 1,000 of the longest."""

GROUP = 400
"""Commands that are underway together for one client, at most."""

_READS = (b"get", b"gets", b"gat", b"gats")
_META = (b"mg", b"ms", b"md", b"mn", b"ma", b"me")
_ADMIN = (
    *(b"version", b"verbosity", b"stats", b"flush_all", b"lru_crawler", b"forget"),
    *admin.REFUSED,
)
_TOO_LONG = b"CLIENT_ERROR line too long\r\n"
_COUNTED = {
    **dict.fromkeys((b"get", b"gets"), "get"),
    **dict.fromkeys((b"set", b"add", b"replace", b"append", b"prepend", b"cas"), "set"),
    **dict.fromkeys((b"gat", b"gats", b"touch"), "touch"),
    b"flush_all": "flush",
    **dict.fromkeys(_META, "meta"),
}


_PAGES = (PAGE, HEAD, BODY)


class Quit(Exception):
    """The client wants to go, or is none of ours."""


class Parser:
    """Bytes that came and were not understood yet, and the command that waits for its value."""

    def __init__(
        self,
        max_item: int,
        count: dict[str, int],
        *,
        read_only: bool = False,
        boxes: bool = False,
    ) -> None:
        """Refuse values over `max_item` bytes, `read_only`: whatever changes something.

        With `boxes` hosts' boxes may be written all the same, and pages be removed. Commands are
        counted in `count`.
        """
        self._max_item, self._count = max_item, count
        self._read_only, self._boxes = read_only, boxes
        self._bytes = bytearray()
        self._at = 0
        self._open: Command | None = None
        self._body: BytesIO | None = None
        """The value of `_open`, if that is large: so it is not copied once more at its end."""
        self._swallow = 0
        self._held: Command | None = None

    def __len__(self) -> int:
        """Return how many bytes are kept."""
        return len(self._bytes) + (self._body.tell() if self._body is not None else 0)

    @property
    def untouched(self) -> bool:
        """Whether nothing is kept: what comes next is the beginning of a command."""
        return not (self._bytes or self._open or self._swallow or self._held)

    @property
    def wanted(self) -> int:
        """Bytes to keep at least for the next command to be whole; 0 where none tells how many."""
        return self._open.length + 2 if self._open is not None and not self._swallow else 0

    def feed(self, data: "memoryview | bytes") -> None:
        """Take what came."""
        if self._body is not None and self._open is not None:
            value = data[: self._open.length - self._body.tell()]
            self._body.write(value)
            data = data[len(value) :]
        self._bytes += data

    def refuse(self, answer: bytes) -> None:
        """Let the command whose value is awaited be answered `answer`; the value is forgotten."""
        refused = self._open
        assert refused is not None
        self._open = Failure(answer, refused.length, quiet=refused.quiet)
        self._swallow = refused.length + 2
        if self._body is not None:
            self._swallow -= self._body.tell()
            self._body = None

    def group(self, most: int = GROUP) -> list[Command]:
        """Return the next commands that may be underway together, at most `most`; raises Quit."""
        group: list[Command] = []
        keys: set[bytes] = set()
        scheme = b""
        try:
            while len(group) < most:
                command = self._held or self._next()
                self._held = None
                if command is None:
                    break
                if not group:
                    scheme = _scheme(command.key)
                elif not _joins(command, group[0], keys, scheme):
                    self._held = command
                    break
                group.append(command)
                if command.lane is None:
                    break
                keys.add(command.key)
        except Quit:
            if not group:
                raise
            self._held = Failure(b"", ends=True)
        finally:
            if self._at:
                del self._bytes[: self._at]
                self._at = 0
        return group

    def _next(self) -> Command | None:
        """Return the next whole command, or None."""
        if self._open is None:
            line = self._line()
            if line is None:
                return None
            command = line if isinstance(line, Command) else self._parse(line)
            if command.writes and self._is_refused(command):
                command = Failure(READ_ONLY, command.length, quiet=command.quiet)
            if command.length < 0:
                return command
            self._open = command
            if isinstance(command, Failure):
                self._swallow = command.length + 2
        command, self._open = self._open, None
        if self._swallow:
            gone = min(self._swallow, len(self._bytes) - self._at)
            self._at += gone
            self._swallow -= gone
            if self._swallow:
                self._open = command
                return None
            return command
        value = self._value(command.length)
        if value is None:
            self._open = command
            return None
        command.value = value
        end, self._at = self._at, self._at + 2
        if self._bytes[end : end + 2] != b"\r\n":
            return Failure(BAD_CHUNK, quiet=command.quiet)
        return command

    def _is_refused(self, command: Command) -> bool:
        """Whether `command`, which writes, is none of those that may here."""
        if not self._read_only:
            return False
        allowed = _PAGES if command.removes else BOX
        return not (self._boxes and command.key.startswith(allowed))

    def _value(self, length: int) -> bytes | None:
        """Return the value that is awaited once it and the end of its line are there."""
        body = self._body
        missing = length - body.tell() if body is not None else length
        end = self._at + missing
        if len(self._bytes) >= end + 2 and body is None:
            with memoryview(self._bytes) as view:
                value = bytes(view[self._at : end])
        elif length > LARGE:
            if body is None:
                body = self._body = BytesIO()
            with memoryview(self._bytes) as view:
                self._at += body.write(view[self._at : end])
            if body.tell() < length or len(self._bytes) < self._at + 2:
                return None
            self._body = None
            return body.getvalue()
        else:
            return None
        self._at = end
        return value

    def _line(self) -> bytes | Command | None:
        end = self._bytes.find(b"\n", self._at)
        if end < 0:
            length = len(self._bytes) - self._at
            if length <= LINE:
                return None
            verb = bytes(self._bytes[self._at : self._at + 5]).partition(b" ")[0]
            if verb in _READS and length <= MANY_KEYS:
                return None
            self._at = len(self._bytes)
            return Failure(_TOO_LONG, ends=True)
        line = bytes(self._bytes[self._at : end])
        self._at = end + 1
        return line[:-1] if line.endswith(b"\r") else line

    def _parse(self, line: bytes) -> Command:
        command = bulk.parse(line, self._max_item)
        if command is not None:
            self._count["meta"] += 1
            return command
        if b"\0" in line:
            line = line.partition(b"\0")[0]  # memcached's lines are C strings
        words = line.split(b" ")
        if b"" in words:
            words = [word for word in words if word]
        if not words:
            return Failure(ERROR)
        verb = words[0]
        counted = _COUNTED.get(verb)
        if counted:
            self._count[counted] += 1
        if verb in _META:
            return meta.parse(words, self._max_item)
        if verb in _ADMIN:
            return admin.parse(words, self._max_item)
        if verb == b"quit":
            raise Quit
        if words[-1].startswith(b"HTTP/"):
            raise Quit  # a browser that was told to come here: its body must not become commands
        return classic.parse(words, self._max_item)


def _joins(command: Command, first: Command, keys: set[bytes], scheme: bytes) -> bool:
    """Whether `command` may be underway together with `first` and others, whose keys are `keys`.

    `scheme`: that of the first one's key.

    A write waits for those before it whose keys are of another scheme: a directory's record is
    written before its pages (docs/architecture/how-it-works.md).
    """
    if command.lane is None or command.lane != first.lane:
        return False
    if command.lane == "read":
        return True
    return command.key not in keys and _scheme(command.key) == scheme


def _scheme(key: bytes) -> bytes:
    return key.partition(b"://")[0] if b"://" in key else b""
