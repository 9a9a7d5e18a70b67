"""The stored form of a page: its bytes, compressed when that pays, and its client flags.

Flags: bit 1 (value 2) says gzip, as `memcached_gzip_flag 2` expects; bits 2-31 are those of the
CRC-32 of the identity content, so that a page can be told from another without its value; bit 0
is 0. A gzip trailer carries the same CRC-32 (RFC 1952, section 2.3.1).
"""

from typing import NamedTuple

from isal import igzip, igzip_lib, isal_zlib

from memfis.errors import MemfisError

GZIP = 2
FINGERPRINT = 0xFFFFFFFC

NO_PAGE = 1
"""Flags in the record of a file that is left to the disk, so that no pass reads it again."""

COMPRESS_FROM = 512
"""Bytes below which compression saves less than a network packet would show."""

COMPRESS_SAVING = 0.9
"""The stored form must be at most this part of the identity content."""

DENSEST = 32
"""Text rarely compresses to less than this part: what is larger is not even read."""

COMPRESSED_EXTENSIONS = frozenset(
    b"html htm xhtml css js mjs cjs json jsonld map svg xml rss atom xsl txt text md rst csv tsv"
    b" ics vcf wasm webmanifest geojson yaml yml toml ttf otf eot ico bmp log po pot tex".split()
)
"""File name extensions, in lower case, of what gzip makes smaller. None: text in most sites."""


class Page(NamedTuple):
    """What the store holds for one URL."""

    value: bytes
    flags: int


def fingerprint(content: bytes) -> int:
    """Return bits 2-31 of the CRC-32 of `content`, in place."""
    return isal_zlib.crc32(content) & FINGERPRINT


def is_compressible(name: bytes) -> bool:
    """Whether a file of that name is worth an attempt to compress it."""
    _, dot, extension = name.rpartition(b".")
    return not dot or extension.lower() in COMPRESSED_EXTENSIONS


def may_fit(name: bytes, size: int, limit: int) -> bool:
    """Whether a file of `size` bytes can end up as a page of at most `limit` bytes."""
    return size <= limit or (size <= limit * DENSEST and is_compressible(name))


def make_page(name: bytes, content: bytes) -> Page:
    """Return the stored form of the file `name` that holds `content`."""
    flags = fingerprint(content)
    if len(content) >= COMPRESS_FROM and is_compressible(name):
        value = igzip.compress(content, compresslevel=3, mtime=0)
        if len(value) <= len(content) * COMPRESS_SAVING:
            return Page(value, flags | GZIP)
    return Page(content, flags)


def content_of(page: Page) -> bytes:
    """Return the identity content of `page`; raises MemfisError when the stored form is broken."""
    if not page.flags & GZIP:
        return page.value
    try:
        content: bytes = igzip.decompress(page.value)  # type: ignore[no-untyped-call]
    except (OSError, EOFError, igzip_lib.IsalError) as error:  # type: ignore[misc]
        raise MemfisError(f"the stored form is no whole gzip stream: {error}") from error
    return content
