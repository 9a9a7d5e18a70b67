"""The stored form of a page: its bytes, compressed when that pays, and its client flags.

Flags: bit 1 (value 2) says gzip, as `memcached_gzip_flag 2` expects; bits 2-31 are those of the
CRC-32 of the identity content, so that a page can be told from another without its value; bit 0
says that the page is not to be served without its head (see `heads`). A gzip trailer carries the
same CRC-32 (RFC 1952, section 2.3.1).
"""

import gzip
import zlib

import deflate
import msgspec

from memfis.errors import MemfisError
from memfis.layout.compression import Compression

GZIP = 2
FINGERPRINT = 0xFFFFFFFC

NO_PAGE = 1
"""Flags in the record of a file that is left to the disk, so that no pass reads it again."""

NEEDS_HEAD = 1
"""In the flags of a page, and never in a record: there bit 0 is NO_PAGE."""

DENSEST = 32
"""Text rarely compresses to less than this part: what is larger is not even read."""


class Page(msgspec.Struct, frozen=True, gc=False):
    """What the store holds for one URL."""

    value: bytes
    flags: int


def fingerprint(content: bytes) -> int:
    """Return bits 2-31 of the CRC-32 of `content`, in place."""
    return deflate.crc32(content) & FINGERPRINT


def may_fit(name: bytes, size: int, limit: int, compression: Compression) -> bool:
    """Whether a file of `size` bytes can end up as a page of at most `limit` bytes."""
    return size <= limit or (size <= limit * DENSEST and compression.tries(name, size))


def make_page(name: bytes, content: bytes, compression: Compression) -> Page:
    """Return the stored form of the file `name` that holds `content`."""
    flags = fingerprint(content)
    if compression.tries(name, len(content)):
        value = deflate.gzip_compress(content, compression.level)  # lets other threads run
        if compression.pays(len(content), len(value)):
            return Page(bytes(value), flags | GZIP)
    return Page(content, flags)


def content_of(page: Page) -> bytes:
    """Return the identity content of `page`; raises MemfisError when the stored form is broken."""
    if not page.flags & GZIP:
        return page.value
    if not page.value:
        raise MemfisError("the stored form is empty, not a gzip stream")
    try:
        # not by deflate, which takes the size that the trailer claims for true
        return gzip.decompress(page.value)
    except (OSError, EOFError, zlib.error) as error:
        raise MemfisError(f"the stored form is no whole gzip stream: {error}") from error
