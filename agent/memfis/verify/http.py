"""Ask for every URL twice, of the site and of its origin, and compare what comes.

The origin is the fallback alone, behind a unix socket (templates/nginx/site.conf.j2). URLs are
those of the disk, and others that memory has: below links to directories, or of what is gone. A
site whose only source is the store has none: its answers are compared with what the store holds.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple
from urllib.parse import quote_from_bytes, urlsplit

import httpx
from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.catalog.orphans import orphans
from memfis.errors import MemfisError, StoreRefusedError, UsageError
from memfis.layout.keys import page_key, page_path, unescape
from memfis.layout.pages import NO_PAGE, Page, content_of
from memfis.settings.values import Site
from memfis.store import Store

log = logging.getLogger("memfis")

CLIENTS = 4
"""Connections to each side."""

TIMEOUT = 30.0

_NEVER = b"/memfis-verify-no-such-page"


class Response(NamedTuple):
    """What is compared of one: status, Content-Type, and the body after decoding."""

    status: int
    content_type: str
    body: bytes


class Compared(NamedTuple):
    """One URL, the header that tells HIT from FALLBACK, and what differs, if anything."""

    path: bytes
    served_by: str
    difference: str | None


def urls(site: Site, store: Store) -> Iterator[bytes]:
    """Yield the URL path of everything under the web root, published or not, and one that is not.

    A directory is asked for with and without its slash. Below links to directories, and where the
    disk has nothing, it is what `store` has or had a page of; but for pages that PHP made, which
    need not be as PHP makes them now. Raises StoreError.
    """
    root = os.fsencode(site.root).rstrip(b"/")
    yield _NEVER
    yield b"/"
    for directory, directories, files in os.walk(root or b"/"):
        below = directory[len(root) :].rstrip(b"/") + b"/"
        yield from _within(below, sorted(directories), sorted(files))
    catalog = Catalog(store, site.name)
    for below, log in catalog.tree(b"/"):
        entries = [entry for entry in log.entries.values() if not entry.is_rendered] if log else []
        if os.path.realpath(root + below) == os.path.realpath(root or b"/") + below.rstrip(b"/"):
            # No link leads here: what is there was asked for.
            entries = [each for each in entries if not os.path.lexists(root + below + each.raw)]
        directories = [entry.raw for entry in entries if entry.is_directory]
        files = [entry.raw for entry in entries if not entry.is_directory]
        yield from _within(below, directories, files)
    page = page_key(site.name, b"/")
    for key in _strays(site, store, catalog):
        if key.startswith(page):
            yield unescape(key[len(page) - 1 :])


def _within(below: bytes, directories: Iterable[bytes], files: Iterable[bytes]) -> Iterator[bytes]:
    for name in directories:
        yield below + name
        yield below + name + b"/"
    for name in files:
        yield below + name


def _strays(site: Site, store: Store, catalog: Catalog) -> list[bytes]:
    """Return the keys of `site` that no record names; none, and a warning, if it cannot list."""
    try:
        return orphans(store, catalog, site.name, site.index_name)
    except StoreRefusedError as error:
        log.warning("%s: pages that nothing records were not asked for: %s", site.name, error)
        return []


def compare_with_origin(site: Site, store: Store, url: str, header: str) -> Iterator[Compared]:
    """Yield the comparison of every URL of `site`, asked of `url` and of the site's origin.

    `header` is the response header that tells HIT from FALLBACK. Raises MemfisError when one of
    the two does not answer, or `store` does not.
    """
    if site.origin is None:
        raise UsageError(f"site {site.name}: set 'origin' to the socket of its origin listener")
    front_url = _front(url)
    limits = httpx.Limits(max_connections=CLIENTS)
    host = {"Host": urlsplit(url).netloc}
    with (
        httpx.Client(timeout=TIMEOUT, limits=limits, headers=host, trust_env=False) as front,
        httpx.Client(
            transport=httpx.HTTPTransport(uds=site.origin, limits=limits),
            timeout=TIMEOUT,
            headers=host,
            trust_env=False,
        ) as origin,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):

        def one(path: bytes) -> Compared:
            target = quote_from_bytes(path, safe="/")
            served, by = _ask(front, f"{front_url}{target}", header)
            expected, _ = _ask(origin, f"http://{host['Host']}{target}", header)
            return Compared(path, by, _difference(served, expected))

        paths = urls(site, store)
        while batch := list(islice(paths, 256)):
            yield from pool.map(one, batch)


def compare_with_store(site: Site, store: Store, url: str, header: str) -> Iterator[Compared]:
    """Yield the comparison of every file that the records of `site` name, asked of `url`.

    A page must come from memory and be what `store` holds, anything else must be 404. Raises as
    `compare_with_origin` does, and StoreError.
    """
    front_url = _front(url)
    limits = httpx.Limits(max_connections=CLIENTS)

    with (
        httpx.Client(timeout=TIMEOUT, limits=limits, trust_env=False) as front,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):

        def one(expected: tuple[bytes, bytes | None]) -> Compared:
            path, content = expected
            served, by = _ask(front, front_url + quote_from_bytes(path, safe="/"), header)
            return Compared(path, by, _wrong(served, by, content))

        expected = _stored(site, store)
        while batch := list(islice(expected, CLIENTS * 4)):
            yield from pool.map(one, batch)


def _front(url: str) -> str:
    """Return `url` without a path; raises UsageError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--http {url!r}: expected http://HOST[:PORT]")
    return f"{parts.scheme}://{parts.netloc}"


def _stored(site: Site, store: Store) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield every URL path that the records name, and one that they do not, with its content.

    None: nobody may be served it.
    """
    catalog = Catalog(store, site.name)
    item = catalog.site_item()
    index = (replace(site, index=item.index) if item else site).index_name
    yield _NEVER, None
    for directory, log in catalog.tree(b"/"):
        for entry in log.entries.values() if log else ():
            path = page_path(directory, entry.raw, index)
            if entry.is_directory:
                continue
            if entry.flags & NO_PAGE:
                yield path, None
                continue
            found = store.get(page_key(site.name, path))
            yield path, content_of(Page(*found)) if found else b""  # what is lost cannot be served


def _wrong(served: Response, by: str, content: bytes | None) -> str | None:
    """Return how an answer is not what the store holds."""
    status = 404 if content is None else 200
    if served.status != status:
        return f"status: {served.status}, not {status}"
    if content is None:
        return None
    if served.body != content:
        return f"body: {len(served.body)} bytes, the store has {len(content)}"
    return None if by in ("HIT", "") else f"from {by}, not from memory"


def _ask(client: httpx.Client, url: str, header: str) -> tuple[Response, str]:
    try:
        response = client.get(url)
    except httpx.HTTPError as error:
        raise MemfisError(f"{url}: {error or type(error).__name__}") from error
    compared = Response(
        response.status_code, response.headers.get("Content-Type", ""), response.content
    )
    return compared, response.headers.get(header, "")


def _difference(served: Response, expected: Response) -> str | None:
    for field, got, wanted in zip(Response._fields, served, expected, strict=True):
        if got == wanted:
            continue
        if field == "body":
            return f"body: {len(served.body)} bytes, origin {len(expected.body)} bytes"
        return f"{field}: {got}, origin {wanted}"
    return None


def tally(served_by: Counter[str]) -> str:
    """Return how many came from where, for people."""
    return ", ".join(f"{number} {name or 'unmarked'}" for name, number in served_by.most_common())
