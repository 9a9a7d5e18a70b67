"""Asking a site's origin for a page, as a visitor whom nobody knows."""

import asyncio
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NamedTuple

import httpx

from memfis import __version__
from memfis.errors import MemfisError
from memfis.layout.identity import target_of
from memfis.layout.paths import shown
from memfis.render.rules import Fields
from memfis.settings.values import PhpSettings

_PROBE = b"/.memfis"
"""A name that nginx itself refuses: its answer has what nginx adds to every answer."""

_PROBE_LIMIT = 1024 * 1024


class OriginError(MemfisError):
    """The origin did not answer, not in time, or not to the end."""


class OriginAnswer(NamedTuple):
    """What the origin said."""

    status: int
    fields: Fields
    body: bytes
    """Without its end where it is larger than the limit."""
    whole: bool
    """Whether the body is within the limit."""


class Origin:
    """The origin listener of a site, at a unix socket. No cookies, and no redirect is followed."""

    def __init__(self, socket: str, php: PhpSettings) -> None:
        """Remember where it is; connections are opened when they are needed."""
        self._host = php.host
        self._timeout = php.timeout
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=socket,
                limits=httpx.Limits(
                    max_connections=php.concurrency + 1,
                    max_keepalive_connections=php.concurrency,
                    keepalive_expiry=5.0,
                ),
            ),
            headers={
                "Host": self._host,
                "User-Agent": f"memfis/{__version__} (render)",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            },
            # a page is for everybody: what it sets for one visitor must not reach the next render
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            timeout=php.timeout,  # of each step; of all of them below
            trust_env=False,
        )

    async def fetch(self, path: bytes, limit: int) -> OriginAnswer:
        """Return the answer for the page that is kept under `path`, its body up to `limit` bytes.

        Raises OriginError.
        """
        return await self.fetch_target(target_of(path), limit)

    async def fetch_target(self, target: bytes, limit: int) -> OriginAnswer:
        """Return the answer for the request target `target`, which is sent as it is; see `fetch`.

        Raises OriginError.
        """
        # httpx would speak TLS for https; the origin has the scheme from the site's settings
        url = httpx.URL(scheme="http", host="origin", raw_path=target)
        try:
            async with asyncio.timeout(self._timeout), self._http.stream("GET", url) as response:
                parts = []
                held = 0
                async for part in response.aiter_raw():
                    parts.append(part)
                    held += len(part)
                    if held > limit:
                        break
                body = b"".join(parts)[:limit]
                return OriginAnswer(response.status_code, response.headers.raw, body, held <= limit)
        except TimeoutError as error:
            raise OriginError(f"no answer within {self._timeout:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = shown(str(error).encode("utf-8", "surrogateescape"))
            raise OriginError(said or type(error).__name__) from error

    async def own_fields(self) -> Fields:
        """Return the headers that nginx adds to every answer of the site; raises OriginError."""
        return (await self.fetch(_PROBE, _PROBE_LIMIT)).fields

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
