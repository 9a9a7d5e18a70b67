"""The meta commands mg, ms, md, ma and mn (memcached doc/protocol.txt, "Meta Commands").

Of the flags those are obeyed that the agent and the mount send, and some that cost nothing. Others
are refused: a flag that is not obeyed must not be answered as if it were.
"""

from typing import Any

from memfis.gateway.answers import Answer, with_value
from memfis.gateway.arithmetic import MODES, Ma
from memfis.gateway.backend import Document, Write
from memfis.gateway.commands import (
    BAD_FORMAT,
    ERROR,
    LONGEST,
    Command,
    Failure,
    Found,
    TooLarge,
    expires_at,
    exptime_of,
    key_fits,
    signed,
    unsigned,
)
from memfis.gateway.hot import HotItem
from memfis.gateway.items import Items
from memfis.gateway.metaline import Flags, Meta, seconds_left
from memfis.gateway.seen import Brief
from memfis.gateway.writes import Outcome

OPAQUE_LIMIT = 31
"""Longest opaque in bytes (memcached proto_text.c, MAX_OPAQUE)."""

_UNKNOWN = b"CLIENT_ERROR invalid flag\r\n"
_DUPLICATE = b"CLIENT_ERROR duplicate flag\r\n"
_FLAG = b"CLIENT_ERROR invalid or duplicate flag\r\n"
_ONE_ERROR = (b"md", b"ma")
"""Commands of which memcached says the same of everything that is wrong with a flag."""

_MODE_LENGTH = b"CLIENT_ERROR incorrect length for M token\r\n"
_BAD_TOKEN = b"CLIENT_ERROR bad token in command line format\r\n"


class Mg(Meta):
    """`mg`: read an item, with its value or without."""

    __slots__ = ("_before", "_ttl_before", "lane", "writes")

    def __init__(self, key: bytes, flags: Flags) -> None:
        super().__init__(key, flags)
        self.lane = None if b"h" in flags or b"l" in flags else "read"  # those before it count
        self.writes = b"T" in flags
        self._before = 0.0
        self._ttl_before: int | None = None

    def size(self, items: Items) -> int:
        """Return how many bytes its answer may take."""
        if b"v" in self.flags:
            return items.seen.size(self.key)
        return items.reads.size_of_look(self.key)

    def begin(self, items: Items) -> Any:
        """Ask for it; what tells a CAS value comes from the database itself."""
        entry = items.hot.get(self.key)
        self._before = entry.accessed if entry is not None else 0.0
        if b"T" in self.flags:
            letters = list(self.flags)
            if b"t" in letters and letters.index(b"t") < letters.index(b"T"):
                self._ttl_before = self._ttl(items)  # flags are obeyed in their order
            return self._touched(items)
        if b"v" not in self.flags and (b"u" in self.flags or b"c" in self.flags):
            return items.reads.brief(self.key, now=b"c" in self.flags)
        if b"c" in self.flags:
            return items.reads.ask(self.key, keep=b"u" not in self.flags)
        if b"u" in self.flags:
            return items.reads.peek(self.key)
        return items.reads.get(self.key)

    async def _touched(self, items: Items) -> Found | Brief:
        """Give it its new time to live; no value is asked for that is not wanted."""
        exptime = exptime_of(self.flags[b"T"])
        there = await items.writes.touch(self.key, expires_at(exptime or 0, items))
        items.figures.done["touch_hits" if there else "touch_misses"] += 1
        if not there:
            return None
        wanted = self.flags.keys() - {b"T", b"q", b"u", b"O", b"k", b"t"}
        return await items.reads.ask(self.key) if wanted else _NOTHING

    def answer(self, items: Items, result: Found | Brief) -> Answer:
        """Return what was asked for."""
        visitor = b"u" not in self.flags
        quiet = b"q" in self.flags
        if result is None:
            items.figures.misses += visitor
            return b"" if quiet else self.line(b"EN", {})
        items.figures.hits_backend += visitor and not isinstance(result, HotItem)
        if b"v" in self.flags and not isinstance(result, Brief):
            document = result.document() if isinstance(result, HotItem) else result
            head = self.line(b"VA %d" % len(document.value), self._told(items, result))
            return with_value(head, document.value, b"\r\n")
        return self.line(b"HD", self._told(items, result))

    def _told(self, items: Items, result: Found | Brief) -> Flags:
        assert result is not None
        told: Flags = {}
        for letter in self.flags:
            if letter == b"s":
                size = len(result.value) if isinstance(result, Document) else result.size
                told[letter] = b"%d" % size
            elif letter == b"f":
                told[letter] = b"%d" % result.flags
            elif letter == b"c":
                told[letter] = b"%d" % result.cas
            elif letter == b"t":
                before = self._ttl_before
                told[letter] = b"%d" % (self._ttl(items) if before is None else before)
            elif letter in (b"h", b"l"):
                told[letter] = self._access(items, letter)
        return told

    def _ttl(self, items: Items) -> int:
        return seconds_left(items.seen.expires(self.key), items)

    def _access(self, items: Items, letter: bytes) -> bytes:
        if letter == b"h":
            return b"1" if self._before else b"0"
        return b"%d" % (items.clock() - self._before if self._before else 0)


_NOTHING = Brief(0, 0, 0)
"""Stands for an item that is there and of which nothing is wanted."""


class Ms(Meta):
    """`ms`: write an item."""

    __slots__ = ("_mode", "lane")
    writes = True

    def __init__(self, key: bytes, flags: Flags, length: int, mode: bytes) -> None:
        super().__init__(key, flags, length)
        self._mode = mode
        self.lane = "write" if mode == b"S" and b"C" not in flags else None

    def begin(self, items: Items) -> Any:
        """Write it, in the mode asked for."""
        cas = int(self.flags[b"C"]) if b"C" in self.flags else None
        if self._mode in (b"A", b"P"):
            return items.writes.extend(self.key, self.value, cas, front=self._mode == b"P")
        exptime = exptime_of(self.flags.get(b"T", b"0")) or 0
        flags = int(self.flags.get(b"F", b"0"))
        write = Write(self.key, self.value, flags, expires_at(exptime, items))
        if self._mode == b"E":
            return items.writes.add(write)
        if self._mode == b"R" or cas is not None:
            return items.writes.replace(write, cas)
        return items.writes.set(write)

    def answer(self, items: Items, result: "int | tuple[Outcome, int]") -> bytes:
        """Say what came of it."""
        outcome, cas = (Outcome.DONE, result) if isinstance(result, int) else result
        if outcome is Outcome.NOT_FOUND and self._mode == b"R" and b"C" not in self.flags:
            outcome = Outcome.NOT_STORED
        if outcome is Outcome.DONE and b"q" in self.flags:
            return b""
        return self.line(_STORED[outcome], {b"c": b"%d" % cas})


_STORED = {
    Outcome.DONE: b"HD",
    Outcome.NOT_STORED: b"NS",
    Outcome.EXISTS: b"EX",
    Outcome.NOT_FOUND: b"NF",
}


class Md(Meta):
    """`md`: remove an item."""

    __slots__ = ("lane",)
    writes = removes = True

    def __init__(self, key: bytes, flags: Flags) -> None:
        super().__init__(key, flags)
        self.lane = None if b"C" in flags else "delete"

    def begin(self, items: Items) -> Any:
        """Remove it."""
        if b"C" in self.flags:
            return items.writes.remove_only(self.key, int(self.flags[b"C"]))
        return items.writes.delete(self.key)

    def answer(self, items: Items, result: "bool | Outcome") -> bytes:
        """Say what came of it."""
        if isinstance(result, bool):
            result = Outcome.DONE if result else Outcome.NOT_FOUND
        if b"q" in self.flags and result is Outcome.DONE:
            return b""
        return self.line(_STORED[result], {})


class Mn(Command):
    """`mn`: says that all before it is done."""

    __slots__ = ()

    def begin(self, items: Items) -> None:
        """Do nothing."""

    def answer(self, items: Items, result: None) -> bytes:
        """Say so."""
        return b"MN\r\n"


_OBEYED = {
    b"mg": b"csftvhlukqOT",
    b"ms": b"cCFTMqkO",
    b"md": b"CqkO",
    b"ma": b"NJDTMCqtcvkO",
}
_MODES = (b"S", b"E", b"A", b"P", b"R")


def parse(words: list[bytes], max_item: int) -> Command:
    """Return the meta command that `words` are; the first is its name."""
    name = words[0]
    if name == b"mn":
        return Mn()
    if name not in _OBEYED:
        return Failure(b"CLIENT_ERROR %b is not supported by the gateway\r\n" % name)
    length = -1
    if name == b"ms" and len(words) > 2:
        given = signed(words[2])
        if given is None or not 0 <= given <= LONGEST:
            return Failure(BAD_FORMAT)
        length = given
    if len(words) < (3 if name == b"ms" else 2):
        return Failure(ERROR if len(words) < 2 else BAD_FORMAT)
    if not key_fits(words[1]):
        return Failure(BAD_FORMAT, length)
    flags: Flags = {}
    for word in words[3 if name == b"ms" else 2 :]:
        letter, token = word[:1], word[1:]
        if letter in flags:
            return Failure(_FLAG if name in _ONE_ERROR else _DUPLICATE, length)
        if letter not in _OBEYED[name]:
            return Failure(_FLAG if name in _ONE_ERROR else _UNKNOWN, length)
        if not _token_fits(letter, token):
            return Failure(_bad_token(name, letter), length)
        flags[letter] = token
    if name == b"mg":
        return Mg(words[1], flags)
    if name == b"md":
        return Md(words[1], flags)
    if name == b"ma":
        if flags.get(b"M", b"I") not in MODES:
            return Failure(_FLAG if len(flags[b"M"]) != 1 else _bad_mode(name))
        return Ma(words[1], flags)
    mode = flags.get(b"M", b"S")
    if mode not in _MODES:
        return Failure(_bad_mode(name) if len(mode) == 1 else _MODE_LENGTH, length)
    if length > max_item:
        return TooLarge(words[1], length)
    return Ms(words[1], flags, length, mode)


def _bad_token(name: bytes, letter: bytes) -> bytes:
    """Return what memcached says of a token that cannot be."""
    if letter == b"O":
        return b"CLIENT_ERROR opaque token too long\r\n"
    if name in _ONE_ERROR:
        return _FLAG
    return BAD_FORMAT if letter == b"F" else _BAD_TOKEN


def _bad_mode(name: bytes) -> bytes:
    return b"CLIENT_ERROR invalid mode for %b M token\r\n" % name


def _token_fits(letter: bytes, token: bytes) -> bool:
    if letter in (b"T", b"N"):
        return exptime_of(token) is not None
    if letter in (b"C", b"J", b"D"):
        return unsigned(token) is not None
    if letter == b"F":
        return unsigned(token, 32) is not None
    if letter == b"O":
        return len(token) <= OPAQUE_LIMIT
    return True
