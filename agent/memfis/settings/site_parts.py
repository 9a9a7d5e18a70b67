"""Parts of a site's settings: tables within its table, and kinds of what nginx reads.

nginx reads its configuration word by word, and some of what it reads wrongly it does not refuse (a
bad `expires` is ignored in silence). What the template quotes (root, values of headers, error
pages) may have any character.
"""

import ipaddress
from collections.abc import Iterator

from memfis.settings.declare import BY_NGINX, REQUIRED, Setting, Table
from memfis.settings.kinds import Flag, Integer, ListOf, MapOf, Text, nearest, wrong

OWN_HEADERS = frozenset(
    (
        *("content-type", "content-length", "content-encoding", "transfer-encoding"),
        *("connection", "date", "server", "location", "etag", "last-modified"),
        *("accept-ranges", "vary"),
    )
)
"""What nginx says itself of an answer, in lower case."""

MEDIA_TYPES = (
    *("application/", "audio/", "chemical/", "example/", "font/", "haptics/", "image/"),
    *("message/", "model/", "multipart/", "text/", "video/"),
)
"""Top-level media types (RFC 6838, and IANA's list of them), and one that many lists have."""

_PARAMETERS = "parameters of nginx's listen, without ssl and http2"
_TIME = r"off|epoch|max|[+-]?\d+(?:ms|[smhdwMy])?(?:\d+(?:ms|[smhdwMy]))*|@\d+[hms]?(?:\d+[ms])*"

ABSOLUTE_PATH = Text("an absolute path", r"/[^\0]*", type="path")

LISTEN = ListOf(
    Text(
        _PARAMETERS,
        r"(?!.*\b(?:ssl|http2|quic)\b)[A-Za-z0-9.:\[\]*_/= -]+",
        or_number=True,
    ),
    f"a list of {_PARAMETERS}",
)


def _no_network(text: str) -> str | None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "expected an address or a network, as 10.0.0.0/8"
    return None


A_NETWORK = Text("an address or a network, as 10.0.0.0/8", also=_no_network)

PROXIES = ListOf(A_NETWORK, "a list of addresses and networks")


def _media_type(text: str) -> str | None:
    """Return what is wrong with the media type, or the beginning of one."""
    top, slash, _ = text.partition("/")
    if not slash or f"{top.lower()}/" in MEDIA_TYPES or top.lower().startswith("x-"):
        return None
    return f"expected a media type or its beginning, as image/{nearest(f'{top}/', MEDIA_TYPES)}"


def _error_code(number: int) -> bool:
    return 400 <= number <= 599 and number not in (418, 499)


class _ErrorCode(Integer):
    """A status that a page may be given for."""

    def problems(self, value: object, where: str, *, as_text: bool) -> Iterator[str]:
        """See `Kind`."""
        found = list(super().problems(value, where, as_text=as_text))
        if not found and not _error_code(self.read(value)):
            found = [wrong(where, value, self.expected)]
        yield from found


def _a_certificate(of: str) -> Text:
    return Text(f"the absolute path of {of}, without '$'", r"/[^\0$]+", type="path")


TLS = Table(
    "a table with certificate and certificate_key",
    (
        Setting(
            "listen", LISTEN, "parameters of nginx's `listen`", usually="443", read_by=BY_NGINX
        ),
        Setting(
            "certificate",
            _a_certificate("a certificate"),
            "path on the host of the certificate with its chain",
            REQUIRED,
            read_by=BY_NGINX,
        ),
        Setting(
            "certificate_key",
            _a_certificate("a key"),
            "path on the host of its key",
            REQUIRED,
            read_by=BY_NGINX,
        ),
        Setting("redirect", Flag(), "send plain HTTP to HTTPS", True, read_by=BY_NGINX),
    ),
)

ERROR_PAGE = Table(
    "a table with codes and uri",
    (
        Setting(
            "codes",
            ListOf(
                _ErrorCode("400 to 599, but for 418 and 499", 400, 599),
                "a list of statuses",
                least=1,
            ),
            "the statuses",
            REQUIRED,
            read_by=BY_NGINX,
        ),
        Setting(
            "uri",
            Text("the path of a file, as /404.html", r"/[^?\x00-\x1f\x7f]*[^?/\x00-\x1f\x7f]"),
            "the page, below the web root, not escaped",
            REQUIRED,
            read_by=BY_NGINX,
        ),
    ),
)

EXPIRY = Table(
    "a table with type and expires",
    (
        Setting(
            "type",
            Text(
                "a media type or its beginning, as image/",
                r"[A-Za-z0-9.+_/-]+",
                also=_media_type,
                words=MEDIA_TYPES,
            ),
            "a Content-Type, or its beginning such as `image/`",
            REQUIRED,
            read_by=BY_NGINX,
        ),
        Setting(
            "expires",
            Text("a time as nginx has it (30d, 1h, epoch, max, off)", _TIME, or_number=True),
            "value of nginx's `expires`, without `modified`",
            REQUIRED,
            read_by=BY_NGINX,
        ),
    ),
)


def _no_double(text: str) -> str | None:
    return "nginx knows only what follows the last dot" if "." in text else None


def _whole_media_type(text: str) -> str | None:
    if ";" in text:
        return "expected no parameters; what nginx adds to text is the setting charset"
    return _media_type(text)


AN_EXTENSION = "a file name extension, without the dot"

TYPES = MapOf(
    Text(AN_EXTENSION, r"(?!\.)[^\s;{}\"'\\$#/]+", also=_no_double),
    Text(
        "a media type, as text/javascript",
        r"[A-Za-z0-9][A-Za-z0-9.+_-]*/[A-Za-z0-9][A-Za-z0-9.+_-]*(?:\s*;.*)?",
        also=_whole_media_type,
    ),
    "a table of media types by file name extension",
)


def _one_line(text: str) -> str | None:
    return "expected at most 4000 characters" if len(text) > 4000 else None


def _no_own_header(name: str) -> str | None:
    return "nginx says it itself" if name.lower() in OWN_HEADERS else None


HEADERS = MapOf(
    Text("the name of a header that a site may set", r"[A-Za-z0-9-]+", also=_no_own_header),
    Text("one line of text", r"[^\r\n\0]*", also=_one_line, or_number=True),
    "a table of headers",
)
