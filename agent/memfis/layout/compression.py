"""Which pages are stored compressed, and how densely."""

import os
from dataclasses import dataclass
from functools import lru_cache

LEVEL = 3
"""Of libdeflate: `gzip -6` in size within 7 %, and faster than `gzip -1` (docs/performance.md)."""

TYPES = (
    *("html", "htm", "xhtml", "css", "js", "mjs", "cjs", "json", "jsonld", "map", "svg", "xml"),
    *("rss", "atom", "xsl", "txt", "text", "md", "rst", "csv", "tsv", "ics", "vcf", "wasm"),
    *("webmanifest", "geojson", "yaml", "yml", "toml", "ttf", "otf", "eot", "ico", "bmp", "log"),
    *("po", "pot", "tex", ""),
)
"""File name extensions of what gzip makes smaller. None: text in most sites."""

MIN_SIZE = 512
"""Bytes below which compression saves less than a network packet would show."""

MIN_SAVING = 10
"""Per cent of the identity content."""


@dataclass(frozen=True, slots=True)
class Compression:
    """The settings `compress_*` of a site (docs/architecture/reference.md)."""

    level: int = LEVEL
    """1 to 12 as libdeflate has them; 0: nothing is compressed."""
    types: frozenset[str] = frozenset(TYPES)
    """File name extensions in lower case, without the dot; the empty one: names without one."""
    min_size: int = MIN_SIZE
    """Bytes of identity content from which compression is tried."""
    min_saving: int = MIN_SAVING
    """Per cent by which the stored form must be smaller than the identity content."""

    def tries(self, name: bytes, size: int) -> bool:
        """Whether a file of that name and of `size` bytes is worth an attempt."""
        if not self.level or size < self.min_size:
            return False
        _, dot, extension = name.rpartition(b".")
        return (_text(extension) if dot else "") in self.types

    def pays(self, size: int, stored: int) -> bool:
        """Whether a stored form of `stored` bytes saves enough of `size` bytes."""
        return stored * 100 <= size * (100 - self.min_saving)


@lru_cache(maxsize=1024)
def _text(extension: bytes) -> str:
    return os.fsdecode(extension).lower()
