"""Which media type nginx gives a page from memory: mime.types, `default_type`, `charset`."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from memfis.errors import UsageError
from memfis.layout.identity import decoded
from memfis.settings.media_types import all_types

DEFAULT_TYPE = "application/octet-stream"
"""nginx's `default_type` where the distribution's nginx.conf sets it, as all we know of do."""

CHARSET_TYPES = frozenset(
    {
        *("text/html", "text/xml", "text/plain", "text/vnd.wap.wml"),
        *("application/javascript", "application/rss+xml"),
    }
)
"""Types that nginx adds a charset to (ngx_http_charset_module, `charset_types`)."""


class MediaTypes(msgspec.Struct, frozen=True):
    """Which type nginx gives a URL."""

    extensions: Mapping[str, str]
    """Type by extension, both in lower case."""
    default: str = DEFAULT_TYPE
    charset: str | None = None

    @classmethod
    def read(
        cls, path: str, default: str | None, charset: str | None, own: Mapping[str, str]
    ) -> "MediaTypes":
        """Read nginx's mime.types at `path`; raises UsageError.

        `own`: types by extension of the site's own, which count before those of the file.
        """
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UsageError(f"mime_types {path}: {error.strerror}") from error
        found = {each: media_type.lower() for each, media_type in all_types(text, own).items()}
        return cls(found, default or DEFAULT_TYPE, charset)

    def of(self, path: bytes) -> str:
        """Return the Content-Type that nginx sends the page with that is kept under `path`."""
        path = decoded(path)
        if path.endswith(b"/"):
            found = "text/html"
        else:
            name, _, extension = path.rpartition(b"/")[2].rpartition(b".")
            # to nginx what follows a dot in front is no extension (ngx_http_set_exten)
            text = extension.decode("latin-1").lower() if name else ""
            found = self.extensions.get(text, self.default)
        if self.charset and found in CHARSET_TYPES:
            return f"{found}; charset={self.charset}"
        return found
