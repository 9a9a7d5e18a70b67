"""The filesystem over the store, free of FUSE: what a mount asks, answered from the items."""

from memfis.filesystem.filesystem import Filesystem
from memfis.filesystem.interface import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    Attributes,
    Caller,
    Space,
)
from memfis.filesystem.opening import open_site

__all__ = [
    "RENAME_EXCHANGE",
    "RENAME_NOREPLACE",
    "Attributes",
    "Caller",
    "Filesystem",
    "Space",
    "open_site",
]
