"""What the meta commands have in common: their flags, and how those of an answer are written."""

from memfis.gateway.commands import Command
from memfis.gateway.items import Items
from memfis.gateway.seen import UNKNOWN

Flags = dict[bytes, bytes]
"""Flags by letter, each with its token, in the order that they came."""


class Meta(Command):
    """A meta command: its flags, and how those of the answer are written."""

    __slots__ = ("flags",)

    def __init__(self, key: bytes, flags: Flags, length: int = -1) -> None:
        super().__init__(key, length)
        self.flags = flags

    def line(self, code: bytes, told: Flags) -> bytes:
        """Return a line with `code` and what was asked for, as far as it is `told`."""
        parts = [code]
        for letter, token in self.flags.items():
            if letter == b"O":
                parts.append(b"O" + token)
            elif letter == b"k":
                parts.append(b"k" + self.key)
            elif letter in told:
                parts.append(letter + told[letter])
        return b" ".join(parts) + b"\r\n"


def seconds_left(expires: int, items: Items) -> int:
    """Return what `t` tells of the Unix time `expires`; -1 for never, and where it is not known."""
    return -1 if expires in (0, UNKNOWN) else max(expires - int(items.wall()), 0)
