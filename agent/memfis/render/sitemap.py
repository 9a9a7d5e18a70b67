"""Sitemaps: which URLs of a site there are (https://www.sitemaps.org/protocol.html).

Documents come from the site, but what users wrote may be in them: no document type, so no entities;
what is unpacked is limited, and only URLs of the site count.
"""

import zlib
from collections.abc import Callable
from urllib.parse import urlsplit
from xml.parsers import expat

import msgspec

from memfis.errors import MemfisError
from memfis.layout.identity import page_of
from memfis.layout.paths import shown
from memfis.render.paths import NOT_CANONICAL, as_target

LIMIT = 50 * 1024 * 1024
"""Bytes of an unpacked sitemap, by the protocol."""

LONGEST = 4096
"""Characters of a URL that are read."""

FILES = 1000
"""Sitemaps that are read at most."""

ELEMENTS = 1_000_000
"""Elements of one at most; by the protocol there are 50,000 URLs."""

EXAMPLES = 3
"""URLs that are named of those that are left out for one reason."""

OTHER_HOST = "no URL of this host"
ARGUMENTS = "a URL with arguments"
BEYOND_FILES = f"a sitemap beyond the {FILES} that are read"

_STEP = 64 * 1024

_MARKUP = 1024 * 1024
"""Bytes of one piece of markup at most: the parser begins it again with each step."""


class SitemapError(MemfisError):
    """A document that is no sitemap."""


class LeftOut(msgspec.Struct):
    """URLs that a sitemap names and that are not kept, for one reason."""

    number: int = 0
    examples: list[str] = msgspec.field(default_factory=list)
    """Some of them, for people."""


class Sitemap(msgspec.Struct):
    """What a sitemap names."""

    pages: dict[bytes, str] = msgspec.field(default_factory=dict)
    """Paths that pages are kept under, each with the time of its last change as it is written, or
    nothing."""
    sitemaps: dict[bytes, None] = msgspec.field(default_factory=dict)
    """Request targets of more sitemaps, in their order."""
    left_out: dict[str, LeftOut] = msgspec.field(default_factory=dict)
    """By reason."""

    def leave_out(self, reason: str, url: str) -> None:
        """Count `url`, which is not kept."""
        those = self.left_out.setdefault(reason, LeftOut())
        those.number += 1
        if len(those.examples) < EXAMPLES:
            those.examples.append(shown(url[:200].encode("utf-8", "surrogateescape")))


class _Host:
    """The host that pages are rendered for, perhaps with a port."""

    def __init__(self, host: str) -> None:
        own = urlsplit(f"//{host.lower()}")
        self.name, self.port = own.hostname, own.port
        self._usual = f"https://{host.lower()}/"

    def target_of(self, url: str) -> bytes | None:
        """Return the request target of `url`, with its query, None: it is another host's."""
        if url.startswith(self._usual) and url.isprintable():  # nearly always
            return as_target(url[len(self._usual) - 1 :])
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        if parts.scheme not in ("http", "https") or parts.hostname != self.name:
            return None
        default = 443 if parts.scheme == "https" else 80
        if (port or default) not in (self.port or default, default):
            return None
        query = f"?{parts.query}" if parts.query else ""
        return as_target((parts.path or "/") + query)


class _Reader:
    """Collects what the parser sees."""

    def __init__(self, host: str, most: int, obstacle: Callable[[bytes], str | None]) -> None:
        self.found = Sitemap()
        self._host = _Host(host)
        self._most = most
        self._obstacle = obstacle
        self._elements = 0
        self._names: list[str] = []
        self._text: dict[str, str] = {}

    def begin(self, name: str, _: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > ELEMENTS:
            raise SitemapError(f"has more than {ELEMENTS} elements")
        self._names.append(name.rpartition(" ")[2])
        if len(self._names) == 1 and self._names[0] not in ("urlset", "sitemapindex"):
            raise SitemapError(f"is no sitemap but a {self._names[0][:50]!a} document")
        if len(self._names) > 20:
            raise SitemapError("is nested too deep")
        if len(self._names) == 2:
            self._text = {}

    def text(self, data: str) -> None:
        if len(self._names) == 3 and self._names[2] in ("loc", "lastmod"):
            text = self._text.get(self._names[2], "")
            if len(text) < LONGEST:
                self._text[self._names[2]] = (text + data)[:LONGEST]

    def end(self, _: str) -> None:
        name = self._names.pop()
        if len(self._names) == 1 and name in ("url", "sitemap"):
            url = self._text.get("loc", "").strip()
            target = self._host.target_of(url)
            if target is None:
                self.found.leave_out(OTHER_HOST, url)
            elif name == "sitemap":
                self._add_sitemap(target, url)
            else:
                self._add_page(target, url)

    def _add_sitemap(self, target: bytes, url: str) -> None:
        if target in self.found.sitemaps:
            return
        if len(self.found.sitemaps) < FILES:
            self.found.sitemaps[target] = None
        else:
            self.found.leave_out(BEYOND_FILES, url)

    def _add_page(self, target: bytes, url: str) -> None:
        path = None if b"?" in target else page_of(target)
        reason: str | None
        if path is None:
            reason = ARGUMENTS if b"?" in target else NOT_CANONICAL
        elif path in self.found.pages:
            return
        elif len(self.found.pages) >= self._most:
            reason = beyond(self._most)
        else:
            reason = self._obstacle(path)
        if path is None or reason is not None:
            self.found.leave_out(reason or "", url)
        else:
            self.found.pages[path] = self._text.get("lastmod", "").strip()[:64]

    def refuse(self, *_: object) -> None:
        raise SitemapError("has a document type, which no sitemap has")


def beyond(pages: int) -> str:
    """Return the reason why no more than `pages` pages are kept."""
    return f"beyond {pages} pages (max_pages)"


def parse(
    document: bytes,
    host: str,
    most: int,
    obstacle: Callable[[bytes], str | None] = lambda _: None,
) -> Sitemap:
    """Return what `document`, in gzip or not, names of `host`; raises SitemapError.

    `most`: pages at most. `obstacle` says why a page cannot be kept under a path. What is left out
    is only counted.
    """
    reader = _Reader(host, most, obstacle)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        text = memoryview(_unpacked(document))
        for start in range(0, len(text), _STEP):
            parser.Parse(text[start : start + _STEP], False)
            if start - parser.CurrentByteIndex > _MARKUP:
                raise SitemapError(f"has markup of more than {_MARKUP} bytes")
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise SitemapError(f"is not XML: {error}") from error
    return reader.found


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
