"""`incr`, `decr` and `ma` (doc/protocol.txt, "Increment/Decrement", "Meta Arithmetic")."""

from memfis.gateway.backend import Write
from memfis.gateway.commands import Command, expires_at, exptime_of, unsigned
from memfis.gateway.items import Items
from memfis.gateway.metaline import Flags, Meta, seconds_left
from memfis.gateway.writes import TRIES, Outcome

MODES = {b"I": True, b"+": True, b"D": False, b"-": False}
"""Whether `ma` in that mode counts up."""

_NOT_A_NUMBER = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"


class _NotANumberError(Exception):
    """The item's value is no decimal number of up to 64 bits."""


def _counted(value: bytes, by: int, *, up: bool) -> bytes:
    """Return `value` changed: 64 bits; up wraps around, down ends at 0."""
    number = unsigned(value.rstrip(b" "))
    if number is None:
        raise _NotANumberError
    number = (number + by) % (1 << 64) if up else max(number - by, 0)
    return (b"%d" % number).ljust(len(value))  # memcached changes the value where it is


class Count(Command):
    """`incr` and `decr`."""

    __slots__ = ("_by", "_up")
    writes = True

    def __init__(self, key: bytes, by: int, *, up: bool, quiet: bool) -> None:
        super().__init__(key, quiet=quiet)
        self._by, self._up = by, up

    async def begin(self, items: Items) -> bytes:
        """Return the answer."""
        name = "incr" if self._up else "decr"
        try:
            outcome, value, _ = await items.writes.count(
                self.key, lambda value: _counted(value, self._by, up=self._up)
            )
        except _NotANumberError:
            return _NOT_A_NUMBER
        there = outcome is Outcome.DONE
        items.figures.done[f"{name}_hits" if there else f"{name}_misses"] += 1
        return value.rstrip(b" ") + b"\r\n" if there else b"NOT_FOUND\r\n"

    def answer(self, items: Items, result: bytes) -> bytes:
        """Return the new number."""
        return result


class Ma(Meta):
    """`ma`: the same with flags, and an item where there was none (`N`)."""

    __slots__ = ()
    writes = True

    async def begin(self, items: Items) -> bytes:
        """Return the answer."""
        up = MODES[self.flags.get(b"M", b"I")]
        by, cas = int(self.flags.get(b"D", b"1")), int(self.flags.get(b"C", b"0"))
        for _ in range(TRIES):
            before = items.seen.expires(self.key)
            expires, told = self._expiry(items, before, made=False)
            new = expires if b"T" in self.flags else None
            try:
                outcome, value, version = await items.writes.count(
                    self.key, lambda value: _counted(value, by, up=up), cas, new
                )
            except _NotANumberError:
                return _NOT_A_NUMBER
            if outcome is not Outcome.NOT_FOUND or b"N" not in self.flags:
                break
            expires, told = self._expiry(items, 0, made=True)
            value = b"%d" % int(self.flags.get(b"J", b"0"))
            outcome, version = await items.writes.add(Write(self.key, value, 0, expires))
            if outcome is Outcome.DONE:
                return self._told(value, version, told)
        if outcome is Outcome.DONE:
            done = self._told(value.rstrip(b" "), version, told)
            return b"" if b"q" in self.flags else done
        if outcome is Outcome.NOT_FOUND:
            items.figures.done["incr_misses" if up else "decr_misses"] += 1
        return self.line(_CODES[outcome], {})

    def _expiry(self, items: Items, expires: int, *, made: bool) -> tuple[int, bytes]:
        """Return when the item will expire that did at `expires`, and what `t` tells.

        Flags are obeyed in their order.
        """
        told = b""
        for letter, token in self.flags.items():
            if letter == b"T" or (letter == b"N" and made):
                expires = expires_at(exptime_of(token) or 0, items)
            elif letter == b"t":
                told = b"%d" % seconds_left(expires, items)
        return expires, told

    def _told(self, value: bytes, cas: int, ttl: bytes) -> bytes:
        told: Flags = {b"c": b"%d" % cas, b"t": ttl}
        if b"v" not in self.flags:
            return self.line(b"HD", told)
        return self.line(b"VA %d" % len(value), told) + value + b"\r\n"

    def answer(self, items: Items, result: bytes) -> bytes:
        """Return the new number, or what came of it."""
        return result


_CODES = {
    Outcome.NOT_STORED: b"NS",
    Outcome.EXISTS: b"EX",
    Outcome.NOT_FOUND: b"NF",
}
