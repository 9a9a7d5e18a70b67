"""What a verification says of each file that it compared."""

from typing import NamedTuple

BATCH = 200
"""Pages that the store is asked for at once."""


class Discrepancy(NamedTuple):
    """One thing that is not in the store as on the disk; `kind` says how."""

    kind: str
    """A word of docs/architecture/how-it-works.md, as `missing`, `stray` or `exposed`."""
    path: bytes
    """URL path of the file or directory; of what is `stray`, the key."""


class Verified(NamedTuple):
    """One file that was compared, and what is wrong with it, if anything."""

    path: bytes
    discrepancy: Discrepancy | None
