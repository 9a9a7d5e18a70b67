"""Ask for every URL twice, of the site and of its origin, and compare what comes.

The origin is the fallback alone, behind a unix socket (templates/nginx/site.conf.j2).
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple
from urllib.parse import quote_from_bytes, urlsplit

import httpx

from memfis.config import Site
from memfis.errors import MemfisError, UsageError

CLIENTS = 4
"""Connections to each side."""

TIMEOUT = 30.0

_NEVER = b"/memfis-verify-no-such-page"


class Answer(NamedTuple):
    """What is compared of a response: status, Content-Type, and the body after decoding."""

    status: int
    content_type: str
    body: bytes


class Compared(NamedTuple):
    """One URL, the header that tells HIT from FALLBACK, and what differs, if anything."""

    path: bytes
    served_by: str
    difference: str | None


def urls(site: Site) -> Iterator[bytes]:
    """Yield the URL path of everything under the web root, published or not, and one that is not.

    A directory is asked for with and without its slash.
    """
    root = os.fsencode(site.root)
    yield _NEVER
    yield b"/"
    for directory, directories, files in os.walk(root):
        below = directory[len(root) :].rstrip(b"/") + b"/"
        for name in sorted(directories):
            yield below + name
            yield below + name + b"/"
        for name in sorted(files):
            yield below + name


def compare(site: Site, url: str, header: str) -> Iterator[Compared]:
    """Yield the comparison of every URL of `site`, asked of `url` and of the site's origin.

    `header` is the response header that tells HIT from FALLBACK. Raises MemfisError when one of
    the two does not answer.
    """
    if site.origin is None:
        raise UsageError(f"site {site.name}: set 'origin' to the socket of its origin listener")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--http {url!r}: expected http://HOST[:PORT]")
    limits = httpx.Limits(max_connections=CLIENTS)
    host = {"Host": parts.netloc}
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
            served, by = _ask(front, f"{parts.scheme}://{parts.netloc}{target}", header)
            expected, _ = _ask(origin, f"http://{parts.netloc}{target}", header)
            return Compared(path, by, _difference(served, expected))

        paths = urls(site)
        while batch := list(islice(paths, 256)):
            yield from pool.map(one, batch)


def _ask(client: httpx.Client, url: str, header: str) -> tuple[Answer, str]:
    try:
        response = client.get(url)
    except httpx.HTTPError as error:
        raise MemfisError(f"{url}: {error or type(error).__name__}") from error
    answer = Answer(
        response.status_code, response.headers.get("Content-Type", ""), response.content
    )
    return answer, response.headers.get(header, "")


def _difference(served: Answer, expected: Answer) -> str | None:
    for field, got, wanted in zip(Answer._fields, served, expected, strict=True):
        if got == wanted:
            continue
        if field == "body":
            return f"body: {len(served.body)} bytes, origin {len(expected.body)} bytes"
        return f"{field}: {got}, origin {wanted}"
    return None


def tally(served_by: Counter[str]) -> str:
    """Return how many came from where, for people."""
    return ", ".join(f"{number} {name or 'unmarked'}" for name, number in served_by.most_common())
