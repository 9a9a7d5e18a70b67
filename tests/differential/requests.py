"""Requests: a table of those that have a reason, and random ones."""

import random
from collections.abc import Iterator
from itertools import product
from urllib.parse import quote_from_bytes

from differential import tree
from differential.servers import HOST, Request

SPELLED = [quote_from_bytes(b"/" + name) for name in (*tree.FILES, *tree.LINKS)]
"""Every file and link, in the common spelling."""

DIRECTORIES = [
    *sorted({f"/{quote_from_bytes(name.rpartition(b'/')[0])}/" for name in tree.FILES} - {"//"}),
    *("/linked/", "/linked/up/", "/linkindex/", "/filelink/", "/dangling/", "/circle/"),
    *("/", "/emptydir/"),
]

OTHERS = [
    *("/secret.html", "/unreadable/", "/closed/", "/closed", "/closed/page.html", "/emptydir"),
    *("/none", "/none/", "/none.html", "/none/none.css", "/page.html/", "/page.html/more"),
    *("/linked/page.html", "/linked/up/index.htm", "/linked/up", "/linked", "/isdir/index.html/"),
    *("/docs/index.htm", "/second/index.html", "/index.htm", "/page.HTML", "/PAGE.html"),
    *("/style.css/", "/.memfis-none", "/.memfis", "/" + "y" * 260, "/" + "y" * 5000),
]

ODD = [
    *("//", "///", "/./", "/.", "/..", "/../", "/docs/..", "/docs/../", "/docs/../page.html"),
    *("/../page.html", "/docs/../../page.html", "/docs//page.html", "//docs//page.html"),
    *("/docs/./", "/docs/.", "/./page.html", "/page.html/.", "/page.html/.."),
    *("/page.html/../page.html", "/docs%2Fpage.html", "/docs%2fpage.html", "/docs%2F"),
    *("%2Fpage.html", "/%2Fpage.html", "/%2e/page.html", "/%2E%2E/page.html", "/%2ehidden"),
    *("/docs/%2e%2e/page.html", "/page%2ehtml", "/page.html%00", "/%00", "/page%00.html"),
    *("/%", "/%4", "/%zz", "/page.html%", "/p%61ge.html", "/P%41GE.html", "/%70age.html"),
    *("/%41.html", "/%2541.html", "/100%25.html", "/100%.html", "/na%efve.html", "/ü/ñ.html"),
    *("/%c3%bc/%c3%b1.html", "/%C3%BC/%C3%B1.html", "/%c3%BC/", "/page.html?", "/page.html?a=b"),
    *("/page.html??", "/page.html?a=b#c", "/?a", "/docs?a=b", "/docs/?a=b", "/isdir/?a=b"),
    *("/page.html#", "/page.html#x", "/page.html#?x", "/#", "/docs#x", "/page.html;"),
    *("/page.html;a=b", "/semi;colon=1.html", "/page.html.", "/page.html..", "/..."),
    *("/page.html%20", "/page.html+", "/a+b.html", "/a b.html", "/a%20b.html", "/page.html%0a"),
    *("/page.html%0d%0aX:y", "/new%0aline.html", "/back%5Cslash.html", "/back\\slash.html"),
    *("/page.html%3Fa", "/question%3f.html", "/hash%23.html", "/docs/index.html?x"),
    *("/index.html/", "/%7e", "/~", "/*", "*", "/page.html&", "/trailing.", "/trailing"),
    *("/docs/%20", "/docs/%00", "page.html", "", "?", "#", "/\x01", "/\x7f", "/page.html\t"),
    *(f"http://{HOST}/page.html", f"http://{HOST}/docs", f"http://{HOST}", f"http://{HOST}/"),
    *(f"HTTP://{HOST.upper()}/page.html", f"http://{HOST}//docs/", "ftp://x/y", f"{HOST}:443"),
    *(f"http://{HOST}/docs/../page.html", "http://other.example/page.html"),
    *(f"https://{HOST}/page.html", f"//{HOST}/page.html"),
]

TARGETS = [*SPELLED, *DIRECTORIES, *OTHERS, *ODD]

METHODS = [
    *("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "MKCOL"),
    *("COPY", "LOCK", "CONNECT", "PURGE", "get", "GE-T", "LINK"),
]

ENCODINGS = [
    *(None, "", "gzip", "GZIP", "gzip;q=0", "gzip;q=0.000", "gzip;q=0.5", "gzip; q=1", "identity"),
    *("br", "*", "*;q=0", "gzip, deflate, br", "br, gzip", "deflate;q=1,gzip;q=0", "x-gzip"),
    *("gzip;q=2", "gzip ;q=0", "agzip", "gzip,identity;q=0"),
]

RANGES = [
    *("bytes=0-", "bytes=0-0", "bytes=2-5", "bytes=100-", "bytes=-5", "bytes=-0", "bytes=-999999"),
    *("bytes=999999-", "bytes=5-2", "bytes=0-999999", "bytes=0-1,4-5", "bytes=0-1, 4-5,-2"),
    *("bytes=0-,0-,0-,0-", "bytes=999999-,0-1", "bytes=", "bytes=x", "bytes=1", "bytes 0-1"),
    *("BYTES=2-5", "bytes= 2 - 5 ", "bytes=2-5,", "bytes=18446744073709551616-", "bytes=100-,"),
    *("0-1", "lines=0-1"),
]

TIME = "Tue, 14 Nov 2023 22:13:20 GMT"
"""The files'."""
LATER, EARLIER = "Wed, 15 Nov 2023 22:13:20 GMT", "Mon, 13 Nov 2023 22:13:20 GMT"
DATES = [
    *(TIME, LATER, EARLIER, "Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023"),
    *("Thu, 01 Jan 1970 00:00:00 GMT", "Wed, 31 Dec 1969 00:00:00 GMT", "yesterday", "0", ""),
    *("Sat, 02 Oct 2096 07:06:40 GMT", "Sun, 09 Sep 2001 01:46:40 GMT"),
]


def tags(size: int) -> list[str]:
    """Return values for If-Match and the like; nginx's tags are of time and size."""
    right = f'"{tree.TIME:x}-{size:x}"'
    return [
        *(right, f"W/{right}", "*", '"x"', 'W/"x"', f'"x", {right}', f'"x",W/{right} ,"y"'),
        *('"x', "x", '""', "", f"{right}x", f"w/{right}", right.strip('"')),
    ]


def conditions(size: int) -> dict[str, list[str]]:
    """Return the values of each conditional header for a file of `size` bytes."""
    return {
        "If-None-Match": tags(size),
        "If-Match": tags(size),
        "If-Modified-Since": DATES,
        "If-Unmodified-Since": DATES,
        "If-Range": [*tags(size), *DATES],
    }


REPRESENTATIVE = {
    "/style.css": len(tree.TEXT),
    "/page.html": len(tree.FILES[b"page.html"]),
    "/": len(tree.FILES[b"index.html"]),
    "/docs/index.html": len(tree.FILES[b"docs/index.html"]),
    "/second/": len(tree.FILES[b"second/index.htm"]),
    "/README": len(tree.TEXT),
    "/image.png": len(tree.NOISE),
    "/noise.txt": len(tree.NOISE),
    "/small.html": len(tree.FILES[b"small.html"]),
    "/large.txt": len(tree.LARGE),
    "/empty.txt": 0,
    "/times/zero.html": len(tree.TEXT),
    "/linked/page.html": len(tree.FILES[b"docs/page.html"]),
    "/docs": 0,
    "/none.html": 0,
}
"""A target of each kind, and the size of what is there."""


CONDITIONAL = ("/style.css", "/page.html", "/", "/image.png", "/noise.txt", "/large.txt")


def with_headers(**headers: str | None) -> tuple[tuple[str, str], ...]:
    """Return headers as a request has them; `_` in a name is `-`."""
    return tuple(
        (name.replace("_", "-"), value) for name, value in headers.items() if value is not None
    )


def table() -> Iterator[Request]:
    """Yield every target in some ways, and the targets of each kind in all of them."""
    for sent in map(encode, TARGETS):
        for accepted in (None, "gzip"):
            yield Request(sent, headers=with_headers(Accept_Encoding=accepted))
            headers = with_headers(Accept_Encoding=accepted, Range="bytes=2-5")
            yield Request(sent, headers=headers)
        yield Request(sent, "HEAD")
        yield Request(sent, "POST", body=b"a=b")
        yield Request(sent, headers=with_headers(If_Modified_Since=TIME))
        yield Request(sent, version="1.0")
        for method in ("PUT", "OPTIONS", "PROPFIND", "TRACE"):
            yield Request(sent, method)
    for target, size in REPRESENTATIVE.items():
        for method, body in product(METHODS, (b"", b"a=b")):
            yield Request(encode(target), method, body=body)
        for accepted, version in product(ENCODINGS, ("1.0", "1.1")):
            for part in (None, "bytes=2-5", "bytes=100-"):
                headers = with_headers(Accept_Encoding=accepted, Range=part)
                yield Request(encode(target), headers=headers, version=version)
        for accepted, method, part in product((None, "gzip"), ("GET", "HEAD"), RANGES):
            yield Request(
                encode(target), method, with_headers(Accept_Encoding=accepted, Range=part)
            )
        for name, values in conditions(size).items() if target in CONDITIONAL else ():
            for value, accepted, part in product(values, (None, "gzip"), (None, "bytes=2-5")):
                headers = with_headers(Accept_Encoding=accepted, Range=part)
                yield Request(encode(target), headers=(*headers, (name, value)))


def encode(target: str) -> bytes:
    """Return the bytes of a target, which need not be ASCII."""
    return target.encode()


def at_random(source: random.Random) -> Request:
    """Return a request made of parts that `source` chooses."""
    target = source.choice(TARGETS if source.random() < 0.7 else list(REPRESENTATIVE))
    size = REPRESENTATIVE.get(target, len(tree.TEXT))
    headers: list[tuple[str, str]] = []
    if source.random() < 0.6:
        accepted = source.choice(ENCODINGS)
        headers += with_headers(Accept_Encoding=accepted)
    if source.random() < 0.5:
        headers += with_headers(Range=source.choice(RANGES))
    for name, values in conditions(size).items():
        if source.random() < 0.2:
            headers.append((name, source.choice(values)))
    if source.random() < 0.1:
        headers += with_headers(Via="1.1 proxy")
    if source.random() < 0.1:
        headers += with_headers(Cache_Control="no-cache", Cookie="a=b")
    source.shuffle(headers)
    method = "GET" if source.random() < 0.7 else source.choice(METHODS)
    body = b"a=b" if source.random() < 0.1 else b""
    version = "1.0" if source.random() < 0.1 else "1.1"
    return Request(respelled(encode(target), source), method, tuple(headers), version, body)


def respelled(target: bytes, source: random.Random) -> bytes:
    """Return `target`, sometimes in another spelling, or with a byte that changes it."""
    while source.random() < 0.3:
        at = source.randrange(len(target) + 1)
        added = source.choice(
            [b"/", b"/./", b"/../", b"%2F", b"%2e", b"?", b"#", b";", b".", b"%", b"x", b"%00"]
        )
        if source.random() < 0.5 and at < len(target):
            target = target[:at] + b"%%%02x" % target[at] + target[at + 1 :]
        else:
            target = target[:at] + added + target[at:]
    return target
