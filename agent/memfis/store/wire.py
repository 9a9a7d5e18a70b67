"""The bulk path: quiet meta commands, and what the store answers (memcached doc/protocol.txt).

A window holds at most WINDOW commands: their answers fit the socket's buffers, so neither side ever
waits for the other to read.
"""

import re
import time
from collections.abc import Iterator, Sequence
from urllib.parse import unquote_to_bytes

import msgspec

from memfis.errors import StoreError, StoreRefusedError, UsageError
from memfis.layout.keys import KEY_LIMIT
from memfis.store.connection import Connection, text_of

WINDOW = 1000
"""Commands between two answers that are waited for."""

VALUES = 250
"""Values asked for at once: so few that all is sent, however much is answered meanwhile."""

WINDOW_BYTES = 4 * 1024 * 1024
"""Bytes of values in one window of writes."""

COPIED = 4096
"""Bytes up to which to copy a value costs less than to hand it to the kernel by itself."""

MONTH = 30 * 24 * 3600
"""Longest relative expiry in seconds; longer ones are sent as Unix time (doc/protocol.txt)."""

LISTING = 30.0
"""Seconds to wait until the store is free to list its keys."""

_END = b"\r\n"
_SET = b"ms %b %d F%d T%d q\r\n"
_SET_SMALL = _SET + b"%b\r\n"
_LIST = b"lru_crawler metadump hash\r\n"
_REFUSALS = (b"SERVER_ERROR ", b"CLIENT_ERROR ", b"ERROR")
_SPACES = bytes(range(0x21))
_STATE = re.compile(rb"HD s(\d+) f(\d+) t(-?\d+)\r\n|EN\r\n")
_VALUE = re.compile(rb"VA (\d+) f\d+")
_CONFIRMATIONS = re.compile(rb"(?:HD (?:s\d+ )?f\d+\r\n|EN\r\n)*")
_STATES = re.compile(rb"(?:HD s\d+ f\d+ t-?\d+\r\n|EN\r\n)*")


class ItemState(msgspec.Struct, frozen=True, gc=False):
    """What the store says of an item without its value: bytes, client flags, seconds to live."""

    size: int
    flags: int
    ttl: int
    """Seconds until it expires, -1 for never."""


Expected = tuple[int | None, int]
"""What an item should be: bytes, or None for any number of them, and client flags."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """What is written: key, value and client flags."""

    key: bytes
    value: bytes
    flags: int


def _has_space(text: bytes) -> bool:
    """Return whether a byte of `text` is below 0x21: in a third of the time of a pattern."""
    return len(text.translate(None, _SPACES)) != len(text)


def check_key(key: bytes) -> bytes:
    """Return `key`, or raise UsageError: past the limit memcached would read it as commands."""
    if not 0 < len(key) <= KEY_LIMIT or _has_space(key):
        raise UsageError(f"{key!r} cannot be a key: 1 to {KEY_LIMIT} bytes, none below 0x21")
    return key


def check_keys(keys: Sequence[bytes]) -> Sequence[bytes]:
    """Return `keys`, or raise UsageError, as `check_key` does: many at once, so faster."""
    lengths = [len(key) for key in keys]
    if lengths and (min(lengths) == 0 or max(lengths) > KEY_LIMIT or _has_space(b"".join(keys))):
        for key in keys:
            check_key(key)
    return keys


def expiry(ttl: int) -> int:
    """Return what the protocol wants for `ttl` seconds; 0 is never."""
    return ttl if ttl <= MONTH else int(time.time()) + ttl


class Wire(Connection):
    """Bulk commands over one connection. Raises StoreError when the store cannot be asked."""

    def states(self, keys: Sequence[bytes]) -> list[ItemState | None]:
        """Return the state of each of `keys`, None for what is absent.

        Asked with `u`, so that the question neither refreshes the item nor counts as a hit.
        """
        states: list[ItemState | None] = []
        for start in range(0, len(keys), WINDOW):
            window = check_keys(keys[start : start + WINDOW])
            self.send(b"mg " + b" s f t u\r\nmg ".join(window) + b" s f t u\r\n")
            states += self._read_states(len(window))
        return states

    def confirm(self, keys: Sequence[bytes], expected: Sequence[Expected]) -> list[bool]:
        """Return whether each of `keys` is as `expected`; asked as by `states`.

        What is expected is known to the byte, so nothing of the answers needs to be taken apart.
        """
        confirmed: list[bool] = []
        for start in range(0, len(keys), WINDOW):
            window = check_keys(keys[start : start + WINDOW])
            wanted = expected[start : start + WINDOW]
            asked = [
                (b"mg %b f u\r\n" if size is None else b"mg %b s f u\r\n") % key
                for key, (size, _) in zip(window, wanted, strict=True)
            ]
            self.send(b"".join(asked))
            lines = [
                b"HD f%d" % flags if size is None else b"HD s%d f%d" % (size, flags)
                for size, flags in wanted
            ]
            lines.append(b"")
            answers = self._read_confirmations(len(window))
            if answers == b"\r\n".join(lines):
                confirmed += [True] * len(window)
            else:
                pairs = zip(lines, answers.split(b"\r\n"), strict=True)
                confirmed += [one == other for one, other in pairs][:-1]
        return confirmed

    def confirm_values(
        self, keys: Sequence[bytes], expected: Sequence[tuple[bytes, int]]
    ) -> list[bool]:
        """Return whether each of `keys` has the value and flags that are `expected`, as `confirm`.

        For small values.
        """
        confirmed: list[bool] = []
        for start in range(0, len(keys), VALUES):
            window = check_keys(keys[start : start + VALUES])
            self.send(b"mg " + b" v f u\r\nmg ".join(window) + b" v f u\r\n")
            answers = [
                b"VA %d f%d\r\n%b\r\n" % (len(value), flags, value)
                for value, flags in expected[start : start + VALUES]
            ]
            if self.is_next(b"".join(answers)):
                confirmed += [True] * len(window)
            else:
                confirmed += [self._value() == answer for answer in answers]
        return confirmed

    def store(
        self, items: Sequence[Item], ttl: int, after: Item | None = None
    ) -> list[tuple[bytes, str]]:
        """Write `items` with `ttl` seconds to live (0: for ever); return keys refused, and why.

        `after`, which lives for ever, is written first: a connection is served in order.

        An error in a quiet batch names no key, and a failed write deletes the old item, so a
        window with an error is checked once more, item by item.
        """
        refused: list[tuple[bytes, str]] = []
        first = [] if after is None else [after]
        for window in list(_windows(items)) or [()]:
            reasons = self._quiet(_writes(first, 0) + _writes(window, ttl))
            if reasons:
                written = [*first, *window]
                states = self.states([item.key for item in written])
                refused += [
                    (item.key, "; ".join(sorted(set(reasons))))
                    for item, state in zip(written, states, strict=True)
                    if state is None or (state.size, state.flags) != (len(item.value), item.flags)
                ]
            first = []
        return refused

    def delete(self, keys: Sequence[bytes]) -> None:
        """Remove `keys`; one that is absent is no error."""
        self._each(b"md %b q\r\n", keys)

    def touch(self, keys: Sequence[bytes], ttl: int) -> None:
        """Give `keys` `ttl` more seconds to live."""
        self._each(b"mg %%b T%d u q\r\n" % expiry(ttl), keys)

    def keys(self) -> Iterator[bytes]:
        """Yield every key in the store, in no order.

        By `lru_crawler metadump hash`: `all` walks the LRU lists and leaves out what moves between
        them meanwhile (seen: 4 of 20 items that were being read). Raises StoreRefusedError where
        the store answers and cannot: Couchbase before 7.6, behind the gateway.
        """
        deadline = time.monotonic() + LISTING
        self.send(_LIST)
        while (line := self.line()) != b"END":
            if line.startswith(b"BUSY ") and time.monotonic() < deadline:
                time.sleep(0.05)  # one listing at a time: somebody else's, or the store's own
                self.send(_LIST)
                continue
            if not line.startswith(b"key="):
                self.close()
                kind = StoreRefusedError if line.startswith(_REFUSALS) else StoreError
                raise kind(f"store {self._address} cannot list its keys: {text_of(line)}")
            yield unquote_to_bytes(line[4:].partition(b" ")[0])

    def _each(self, command: bytes, keys: Sequence[bytes]) -> None:
        for start in range(0, len(keys), WINDOW):
            window = check_keys(keys[start : start + WINDOW])
            reasons = self._quiet([command % key for key in window])
            if reasons:
                raise StoreError(f"store {self._address}: {'; '.join(sorted(set(reasons)))}")

    def _quiet(self, commands: list[bytes]) -> list[str]:
        """Send quiet `commands`, closed by a no-op; return the errors answered, in order."""
        self.send(*commands, b"mn\r\n")
        reasons = []
        while (line := self.line()) != b"MN":
            if line in (b"HD", b"NF", b"EN"):  # which of them `q` keeps back depends on the version
                continue
            if not line.startswith((b"SERVER_ERROR ", b"CLIENT_ERROR ", b"NS")):
                raise self.nonsense(line)
            reasons.append(text_of(line.partition(b" ")[2] or line))
        return reasons

    def _value(self) -> bytes:
        """Return the answer to a question for a value and flags, as it came."""
        line = self.line()
        if line == b"EN":
            return line
        found = _VALUE.fullmatch(line)
        if found is None:
            raise self.nonsense(line)
        return line + _END + self.block(int(found[1]) + len(_END))

    def _read_states(self, number: int) -> list[ItemState | None]:
        """Read `number` answers to `mg`, many at a time."""
        states: list[ItemState | None] = []
        rest = b""
        while len(states) < number:
            rest += self.some()
            whole = _STATES.match(rest)
            end = whole.end() if whole else 0
            states += [
                ItemState(int(size), int(flags), int(ttl)) if size else None
                for size, flags, ttl in _STATE.findall(rest, 0, end)
            ]
            rest = rest[end:]
            if b"\n" in rest or len(rest) > KEY_LIMIT * 4 or len(states) > number:
                raise self.nonsense(rest.partition(b"\r\n")[0])
        if rest:
            raise self.nonsense(rest)
        return states

    def _read_confirmations(self, number: int) -> bytes:
        """Return `number` answers to `mg`, as they came."""
        answers = b""
        whole = lines = 0
        while lines < number:
            answers += self.some()
            found = _CONFIRMATIONS.match(answers, whole)
            end = found.end() if found else whole
            lines += answers.count(b"\n", whole, end)
            whole = end
            rest = answers[whole:]
            if b"\n" in rest or len(rest) > KEY_LIMIT * 4:
                raise self.nonsense(rest.partition(b"\r\n")[0])
        if lines > number or whole < len(answers):
            raise self.nonsense(answers[-KEY_LIMIT:])
        return answers


def _windows(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    start = held = 0
    for position, item in enumerate(items):
        held += len(item.value)
        if position - start == WINDOW or held > WINDOW_BYTES:
            if position > start:
                yield items[start:position]
            start, held = position, len(item.value)
    if start < len(items):
        yield items[start:]


def _writes(items: Sequence[Item], ttl: int) -> list[bytes]:
    """Return quiet commands that write `items`."""
    check_keys([item.key for item in items])
    expires = expiry(ttl)
    parts: list[bytes] = []
    for item in items:
        value = item.value
        size = len(value)
        if size < COPIED:
            parts.append(_SET_SMALL % (item.key, size, item.flags, expires, value))
        else:
            parts += (_SET % (item.key, size, item.flags, expires), value, _END)
    return parts
