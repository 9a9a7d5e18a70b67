"""`incr` and `decr` (memcached doc/protocol.txt, "Increment/Decrement")."""

from memfis.gateway.commands import Command, unsigned
from memfis.gateway.items import Items


class _NotANumberError(Exception):
    """The item's value is no decimal number of up to 64 bits."""


class Count(Command):
    """`incr` and `decr`: 64 bits; incr wraps around, decr ends at 0."""

    __slots__ = ("_by", "_up")
    writes = True

    def __init__(self, key: bytes, by: int, *, up: bool, quiet: bool) -> None:
        super().__init__(key, quiet=quiet)
        self._by, self._up = by, up

    async def begin(self, items: Items) -> bytes:
        """Return the answer."""
        name = "incr" if self._up else "decr"
        try:
            value = await items.writes.count(self.key, self._changed)
        except _NotANumberError:
            return b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
        items.figures.done[f"{name}_misses" if value is None else f"{name}_hits"] += 1
        return b"NOT_FOUND\r\n" if value is None else value.rstrip(b" ") + b"\r\n"

    def _changed(self, value: bytes) -> bytes:
        number = unsigned(value.rstrip(b" "))
        if number is None:
            raise _NotANumberError
        number = (number + self._by) % (1 << 64) if self._up else max(number - self._by, 0)
        return (b"%d" % number).ljust(len(value))  # memcached changes the value where it is

    def answer(self, items: Items, result: bytes) -> bytes:
        """Return the new number."""
        return result
