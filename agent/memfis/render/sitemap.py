"""Sitemaps: which URLs of a site there are (https://www.sitemaps.org/protocol.html).

Documents come from the site, but what users wrote may be in them: no document type, so no entities;
what is unpacked is limited, and only URLs of the site count.
"""

import zlib
from typing import NamedTuple
from urllib.parse import urlsplit
from xml.parsers import expat

from memfis.errors import MemfisError, UsageError
from memfis.layout.keys import normal_path

LIMIT = 50 * 1024 * 1024
"""Bytes of an unpacked sitemap, by the protocol."""

_STEP = 64 * 1024


class SitemapError(MemfisError):
    """A document that is no sitemap."""


class Sitemap(NamedTuple):
    """What a sitemap names."""

    pages: dict[bytes, str]
    """URL paths, each with the time of its last change as it is written, or nothing."""
    sitemaps: list[bytes]
    """URL paths of more sitemaps."""
    left_out: int
    """URLs of other hosts, or with a query: they have no page of ours, and no sitemap is read."""


class _Reader:
    """Collects what the parser sees."""

    def __init__(self, host: str, most: int) -> None:
        self.found = Sitemap({}, [], 0)
        self.left_out = 0
        self._host, self._most = host.lower(), most
        self._names: list[str] = []
        self._text: dict[str, str] = {}

    def begin(self, name: str, _: dict[str, str]) -> None:
        self._names.append(name.rpartition(" ")[2])
        if len(self._names) == 1 and self._names[0] not in ("urlset", "sitemapindex"):
            raise SitemapError(f"is no sitemap but a {self._names[0][:50]!r} document")
        if len(self._names) > 20:
            raise SitemapError("is nested too deep")
        if len(self._names) == 2:
            self._text = {}

    def text(self, data: str) -> None:
        if len(self._names) == 3 and self._names[2] in ("loc", "lastmod"):
            text = self._text.get(self._names[2], "") + data
            self._text[self._names[2]] = text[:4096]

    def end(self, _: str) -> None:
        name = self._names.pop()
        if len(self._names) != 1 or name not in ("url", "sitemap"):
            return
        path = _path(self._text.get("loc", "").strip(), self._host)
        if path is None:
            self.left_out += 1
        elif name == "sitemap":
            self.found.sitemaps.append(path)
        elif len(self.found.pages) < self._most:
            self.found.pages[path] = self._text.get("lastmod", "").strip()

    def refuse(self, *_: object) -> None:
        raise SitemapError("has a document type, which no sitemap has")


def parse(document: bytes, host: str, most: int) -> Sitemap:
    """Return what `document`, in gzip or not, names of `host`; raises SitemapError.

    `most`: pages at most, the others are left out.
    """
    reader = _Reader(host, most)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        text = _unpacked(document)
        for start in range(0, len(text), _STEP):
            parser.Parse(text[start : start + _STEP], False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise SitemapError(f"is not XML: {error}") from error
    return reader.found._replace(left_out=reader.left_out)


def _unpacked(document: bytes) -> bytes:
    if not document.startswith(b"\x1f\x8b"):
        return document
    unpacking = zlib.decompressobj(wbits=31)
    try:
        text = unpacking.decompress(document, LIMIT + 1)
    except zlib.error as error:
        raise SitemapError(f"is no whole gzip stream: {error}") from error
    if len(text) > LIMIT:
        raise SitemapError(f"is larger than {LIMIT} bytes")
    if not unpacking.eof:
        raise SitemapError("is no whole gzip stream")
    return text


def _path(url: str, host: str) -> bytes | None:
    """Return the path of `url` if it is one of `host` without a query."""
    try:
        parts = urlsplit(url)
        port = parts.port
        own = urlsplit(f"//{host}")
        if parts.scheme not in ("http", "https") or parts.hostname != own.hostname:
            return None
        default = 443 if parts.scheme == "https" else 80
        if (port or default) not in (own.port or default, default) or parts.query:
            return None
        return normal_path(parts.path or "/")
    except (ValueError, UsageError):
        return None
