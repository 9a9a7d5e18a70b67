"""Settings of a site whose pages PHP makes: `[sites.php]` of memfis.toml, as far as the agent goes.

What nginx alone needs to know (backends, cookies …) stands in the role (docs/rendering.md).
"""

from typing import Annotated

import msgspec
from msgspec import Meta

_Path = Annotated[str, Meta(pattern=r"^/")]
_Url = Annotated[str, Meta(pattern=r"^(?!.*(/\.\.(/|\Z)|%00|%2[EeFf]))/[^?#\x00-\x20]*\Z")]
_Canonical = Annotated[
    str, Meta(pattern=r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?\Z")
]
_Seconds = Annotated[int, Meta(ge=1, le=366 * 24 * 3600)]


class PhpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How pages of a site are rendered; docs/rendering.md lists the settings. Times in seconds."""

    canonical: _Canonical
    """Scheme, host and port that pages are rendered for."""
    lifetime: _Seconds = 300
    """Of a page that names none itself."""
    stale_if_error: Annotated[int, Meta(ge=0, le=366 * 24 * 3600)] = 24 * 3600
    """How long an old page stays while PHP is in trouble."""
    render: tuple[_Url, ...] = ()
    """URL paths that are always kept in memory."""
    sitemaps: tuple[_Url, ...] = ()
    concurrency: Annotated[int, Meta(ge=1, le=256)] = 4
    """Renders at a time."""
    timeout: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """Of one render."""
    max_pages: Annotated[int, Meta(ge=1)] = 100_000
    """Rendered pages of the site at most."""
    purge_on_change: tuple[str, ...] = ()
    """gitignore patterns: a change of such a file purges everything rendered."""
    hints: _Path | None = None
    """The datagram socket at which nginx tells what PHP answered."""
    purge: _Path | None = None
    """The stream socket at which nginx hands on `PURGE` requests."""
    microcache: _Path | None = None
    """The directory of nginx's fastcgi_cache."""

    @property
    def host(self) -> str:
        """The `Host:` that pages are asked for with."""
        return self.canonical.partition("://")[2].rstrip("/")


EXPECTED_OF_PHP = {
    "php": "expected a [sites.php] table",
    "php.canonical": "expected https://HOST or http://HOST, with a port or without",
    "php.lifetime": "expected a number of seconds, 1 to a year",
    "php.stale_if_error": "expected a number of seconds, 0 to a year",
    "php.render": "expected a list of URL paths",
    "php.sitemaps": "expected a list of URL paths",
    "php.concurrency": "expected 1 to 256",
    "php.timeout": "expected a number of seconds, up to an hour",
    "php.max_pages": "expected a number of pages",
    "php.purge_on_change": "expected a list of gitignore patterns",
    "php.hints": "expected an absolute path",
    "php.purge": "expected an absolute path",
    "php.microcache": "expected an absolute path",
}
"""What was expected of a setting that does not hold, by its key."""
