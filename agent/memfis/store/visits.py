"""Whether anybody asked for an item since it was written, and how long it still lives."""

import re
from collections.abc import Sequence

import msgspec

from memfis.store.wire import WINDOW, Wire, check_keys

_VISIT = re.compile(rb"HD h([01]) t(-?\d+)")


class Visit(msgspec.Struct, frozen=True, gc=False):
    """What the store says of an item."""

    asked: bool
    """It was fetched since it was written (memcached doc/protocol.txt, "mg", flag h)."""
    ttl: int
    """Seconds until it expires, -1 for never."""


def visits(wire: Wire, keys: Sequence[bytes]) -> list[Visit | None]:
    """Return what became of each of `keys`, None for what is absent; leaves no trace (`u`)."""
    found: list[Visit | None] = []
    for start in range(0, len(keys), WINDOW):
        window = check_keys(keys[start : start + WINDOW])
        wire.send(b"mg " + b" h t u\r\nmg ".join(window) + b" h t u\r\n")
        for _ in window:
            line = wire.line()
            if line == b"EN":
                found.append(None)
            elif match := _VISIT.fullmatch(line):
                found.append(Visit(match[1] == b"1", int(match[2])))
            else:
                raise wire.nonsense(line)
    return found
