"""What the doctor says: findings, each with what to do."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from memfis.layout.paths import shown

Status = Literal["ok", "warning", "problem"]
"""warning: something is left to the disk, or comes late; problem: it does not work like this."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check of a site, a store or the host."""

    subject: str
    """The site's name, the store's URL, or `host`."""
    check: str
    status: Status
    message: str
    advice: str = ""
    examples: tuple[str, ...] = ()
    """Paths; the first of those that the message counts."""


def examples(paths: Sequence[bytes]) -> tuple[str, ...]:
    """Return URL paths as a finding has them."""
    return tuple(shown(path) for path in paths)


def mebibytes(number: int) -> str:
    """Return `number` bytes in the unit of memcached's -m, rounded up."""
    return f"{-(-number // (1024 * 1024)):,} MiB"


def counted(number: int, what: str) -> str:
    """Return `number` of `what`, a noun that takes an s."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
