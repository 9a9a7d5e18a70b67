"""The filesystem over the store, free of FUSE: what a mount asks, answered from the items."""

from memfis.filesystem.filesystem import Filesystem
from memfis.filesystem.interface import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    Attributes,
    Caller,
    Space,
)

__all__ = ["RENAME_EXCHANGE", "RENAME_NOREPLACE", "Attributes", "Caller", "Filesystem", "Space"]
