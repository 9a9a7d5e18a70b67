"""Memory and origin give the same answer: for every kind of URL, method and condition."""

import gzip
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.directory import reachable_directory
from support.http import Answer
from support.nginx import Site, Web

TEXT = b"<!doctype html><title>x</title>" + b"<p>All work and no play</p>\n" * 100
FILES = {
    "index.html": "/",
    "page.html": "/page.html",
    "style.css": "/style.css",
    "image.png": "/image.png",
    "README": "/README",
    "docs/index.html": "/docs/",
    "second/index.htm": "/second/index.htm",
    "both/index.html": "/both/",
    "both/index.htm": "/both/index.htm",
    "a b/ü%.html": "/a b/ü%.html",
    "empty.txt": "/empty.txt",
    "errors/lost.html": "/errors/lost.html",
}
"""Files of the web root, and the URL path under which each is in the store."""

TARGETS = [
    "/",
    "/index.html",
    "/index.html/",
    "//",
    "/./",
    "/docs",
    "/docs/",
    "/docs/index.html",
    "/docs//index.html",
    "/docs/../page.html",
    "/docs?x=1",
    "/second",
    "/second/",
    "/second/index.htm",
    "/second/index.html",
    "/both/",
    "/both/index.html",
    "/both/index.htm",
    "/page.html",
    "/page.html?a=b",
    "/page.html/",
    "/page.html/more",
    "/page.HTML",
    "/page%2ehtml",
    "/page.html%00",
    "/style.css",
    "/image.png",
    "/README",
    "/empty.txt",
    "/none",
    "/none/",
    "/noindex",
    "/noindex/",
    "/strange",
    "/strange/",
    "/strange/index.html",
    "/a%20b/%C3%BC%25.html",
    "/a%20b",
    "/link.html",
    "/linked/",
    "/linked",
    "/broken",
    "/loop",
    "/errors/lost.html",
    "/errors/",
    "/.hidden",
    "/x.php",
    "/new%0aline",
    "/" + "x" * 300,
    "/" + "x" * 5000,
    "*",
]

REQUESTS: dict[str, tuple[str, dict[str, str], bytes | None]] = {
    "GET": ("GET", {}, None),
    "GET gzip": ("GET", {"Accept-Encoding": "gzip"}, None),
    "HEAD": ("HEAD", {}, None),
    "POST": ("POST", {}, b"a=b"),
    "OPTIONS": ("OPTIONS", {}, None),
    "TRACE": ("TRACE", {}, None),
    "range": ("GET", {"Range": "bytes=2-5"}, None),
    "ranges": ("GET", {"Range": "bytes=0-1,4-5"}, None),
    "no range": ("GET", {"Range": "bytes=99999-"}, None),
    "none match": ("GET", {"If-None-Match": '"x"'}, None),
    "none match *": ("GET", {"If-None-Match": "*"}, None),
    "modified": ("GET", {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
    "match": ("GET", {"If-Match": '"x"'}, None),
    "unmodified": ("GET", {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
}

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "all": {
        "index": ["index.html", "index.htm"],
        "default_type": "text/plain",
        "charset": "utf-8",
        "autoindex": True,
        "error_pages": [{"codes": [404, 403, 405, 416, 412], "uri": "/errors/lost.html"}],
        "headers": {"Cache-Control": "no-transform", "X-Robots-Tag": "noindex"},
        "expires": [{"type": "text/", "expires": "1h"}, {"type": "image/", "expires": "max"}],
    },
    "dynamic": {"index": ["index.php", "index.html"]},
}


@pytest.fixture(scope="module", params=list(SETTINGS))
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with reachable_directory() as directory:
        web = Web(directory)
        site = web.site(**SETTINGS[request.param])
        fill(site)
        try:
            web.start()
            for name, path in FILES.items():
                if request.param == "dynamic" and path.endswith("/"):
                    path += "index.html"
                content = (site.root / name).read_bytes()
                if name.endswith((".html", ".css")):
                    site.put(path, gzip.compress(content), flags=2)
                else:
                    site.put(path, content)
            yield site
        finally:
            web.end()


def fill(site: Site) -> None:
    number = count()
    for name in FILES:
        site.write(name, TEXT + b"%d" % next(number))
    (site.root / "empty.txt").write_bytes(b"")
    for name in ("noindex/file.txt", "strange/index.html/file.txt", ".hidden", "x.php"):
        site.write(name, b"x")
    (site.root / "new\nline").mkdir()
    (site.root / "link.html").symlink_to("page.html")
    (site.root / "linked").symlink_to("docs", target_is_directory=True)
    (site.root / "broken").symlink_to("nowhere")
    (site.root / "loop").symlink_to("loop")


def seen(answer: Answer) -> dict[str, object]:
    """Return what a visitor would notice."""
    body = answer.body
    kind = answer.header("Content-Type")
    if answer.header("Content-Encoding") == "gzip" and body:
        body = gzip.decompress(body)
    if kind is not None and kind.startswith("multipart/"):  # a boundary of its own each time
        body, kind = bytes(len(body)), kind.split(";")[0]
    location = answer.header("Location")
    return {
        "status": answer.status,
        "type": kind,
        "body": body,
        "location": location and urlsplit(location)[2:],
        "expiry": answer.header("Cache-Control"),
        "expires": answer.header("Expires") is not None,
        "robots": answer.header("X-Robots-Tag"),
    }


@pytest.mark.parametrize("request_", list(REQUESTS))
def test_memory_equals_origin(site: Site, request_: str) -> None:
    method, headers, body = REQUESTS[request_]
    different = {}
    for target in TARGETS:
        public = site.get(target, method, headers, body)
        origin = site.get_origin(target, method, headers, body)
        if seen(public) != seen(origin):
            different[target] = (seen(public), seen(origin))
        # nginx runs its header filters twice on the way to 416.
        assert origin.source in ("FALLBACK", "FALLBACK, FALLBACK", None)
    assert not different


def test_what_is_in_the_store_comes_from_there(site: Site) -> None:
    """Or there would be nothing to compare."""
    sources = {target: site.get(target).source for target in TARGETS}
    hits = {target for target, source in sources.items() if source == "HIT"}
    assert {"/index.html", "/page.html", "/style.css", "/README", "/docs/index.html"} <= hits
    assert ("/" in hits) == (site.settings["index"][0] == "index.html")
    assert not hits & {"/second/", "/noindex/", "/docs", "/link.html", "/.hidden", "/errors/"}


def test_file_that_only_its_owner_may_read(site: Site) -> None:
    secret = Path(site.root / "secret.html")
    secret.write_bytes(b"secret")
    secret.chmod(0)
    assert site.get("/secret.html").status == site.get_origin("/secret.html").status == 403
