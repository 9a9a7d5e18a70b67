"""A few commands in one round trip, each with an answer of its own, served in order.

Meta commands (memcached doc/protocol.txt), with CAS values: how one writer of many finds out what
another did.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from memfis.store.wire import Wire, check_key

Request = tuple[bytes, ...]
"""The parts of one command, to be sent one after the other."""


class Answer(NamedTuple):
    """What the store says to one request."""

    status: bytes
    """HD or VA: done. EN, NF: absent. NS: not stored. EX: another CAS value. Empty: refused."""
    value: bytes = b""
    flags: int = 0
    size: int = 0
    """Bytes of the value, where it was asked for."""
    cas: int = 0
    refusal: str = ""
    """Why the store refused it: no room, too large."""

    @property
    def done(self) -> bool:
        """Whether the request was carried out."""
        return self.status in (b"HD", b"VA")


def fetch(key: bytes) -> Request:
    """Ask for the item; like `state`, it does not count as a visitor's hit."""
    return (b"mg %b v f c u\r\n" % check_key(key),)


def state(key: bytes) -> Request:
    """Ask for size, flags and CAS value of the item."""
    return (b"mg %b s f c u\r\n" % check_key(key),)


def put(
    key: bytes, value: bytes, flags: int = 0, *, cas: int = 0, new: bool = False, ttl: int = 0
) -> Request:
    """Write the item: with `cas` only over that very one, if `new` only where there is none.

    `ttl`: seconds that it lives, up to 30 days; 0: for ever.
    """
    condition = b" C%d" % cas if cas else b" ME" if new else b""
    condition += b" T%d" % ttl if ttl else b""
    return (
        b"ms %b %d F%d c%b\r\n" % (check_key(key), len(value), flags, condition),
        value,
        b"\r\n",
    )


def append(key: bytes, value: bytes, *, cas: int = 0) -> Request:
    """Append to the item, with `cas` only to that very one.

    NS where there is none, or it would grow over the item limit.
    """
    condition = b" C%d" % cas if cas else b""
    return (b"ms %b %d MA c%b\r\n" % (check_key(key), len(value), condition), value, b"\r\n")


def remove(key: bytes, cas: int = 0) -> Request:
    """Remove the item: with `cas` only that very one."""
    return (b"md %b%b\r\n" % (check_key(key), b" C%d" % cas if cas else b""),)


def written(requests: Sequence[Request]) -> Iterator[bytes]:
    """Yield the keys of the items that `requests` write or remove."""
    for request in requests:
        verb, key = request[0].split(None, 2)[:2]
        if verb != b"mg":
            yield key


def exchange(wire: Wire, requests: Sequence[Request]) -> list[Answer]:
    """Send `requests` and return the answers, in order; raises StoreError."""
    if not requests:
        return []
    wire.send(*[part for request in requests for part in request])
    lines = wire.lines(len(requests))
    if lines is None:
        return [_answer(wire, wire.line()) for _ in requests]
    return [_answer(wire, line) for line in lines]


_STATE = re.compile(rb"HD s(\d+) f(\d+) c(\d+)")
_VALUE = re.compile(rb"VA (\d+) f(\d+) c(\d+)")

KNOWN = 4096
"""Answers that are remembered by their lines: states that have not changed are told again."""


def _answer(wire: Wire, line: bytes) -> Answer:
    """Return the answer that begins with `line`: most without a look at each word of it."""
    if line[:4] == b"HD c" and line[4:].isdigit():
        return Answer(b"HD", b"", 0, 0, int(line[4:]))
    if line[:2] != b"VA":
        return _state(line) or _parsed(wire, line)
    told = _VALUE.fullmatch(line)
    if told is None:
        return _parsed(wire, line)
    size, flags, cas = told.groups()
    return Answer(b"VA", wire.block(int(size) + 2)[:-2], int(flags), 0, int(cas))


@lru_cache(maxsize=KNOWN)
def _state(line: bytes) -> Answer | None:
    """Return the answer of `line` where it is a state, or a status and nothing else."""
    if line in (b"HD", b"EN", b"NF", b"NS", b"EX"):
        return Answer(line)
    told = _STATE.fullmatch(line)
    if told is None:
        return None
    size, flags, cas = told.groups()
    return Answer(b"HD", b"", int(flags), int(size), int(cas))


def _parsed(wire: Wire, line: bytes) -> Answer:
    status, *words = line.split(b" ")
    if status in (b"SERVER_ERROR", b"CLIENT_ERROR"):
        return Answer(b"", refusal=line.partition(b" ")[2].decode("ascii", "backslashreplace"))
    if status not in (b"HD", b"VA", b"EN", b"NF", b"NS", b"EX"):
        raise wire.nonsense(line)
    value = b""
    try:
        if status == b"VA":
            value = wire.block(int(words.pop(0)) + 2)[:-2]
        told = {word[:1]: int(word[1:]) for word in words}
    except (ValueError, IndexError):
        raise wire.nonsense(line) from None
    return Answer(status, value, told.get(b"f", 0), told.get(b"s", 0), told.get(b"c", 0))
