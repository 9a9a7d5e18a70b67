"""A site whose only source is the store: no disk behind it, so what is not there is an error."""

import gzip
import os

import pytest

from memfis.layout import keys
from support.http import Connection
from support.nginx import Site, Web
from support.process import wait_for
from support.tls import Certificate

GZIP = {"Accept-Encoding": "gzip"}
TEXT = b"<!doctype html><p>hello</p>" * 40


def test_pages_come_from_memory_as_those_of_any_site(web: Web) -> None:
    site = web.site(source="store", charset="utf-8")
    web.start()
    for path, kind in {
        "/": "text/html; charset=utf-8",
        "/docs/": "text/html; charset=utf-8",
        "/a b.html": "text/html; charset=utf-8",
        "/style.css": "text/css",
        "/README": "application/octet-stream",
    }.items():
        site.put(path, gzip.compress(TEXT), flags=2)
        packed, plain = (site.get(path.replace(" ", "%20"), headers=h) for h in (GZIP, {}))
        assert (packed.status, packed.source, packed.header("Content-Encoding")) == (
            200,
            "HIT",
            "gzip",
        )
        assert (plain.status, plain.source, plain.body) == (200, "HIT", TEXT)
        assert packed.header("Content-Type") == plain.header("Content-Type") == kind
    assert site.get("/docs/index.html").body == TEXT


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": "x"},
        {"If-Range": "x", "Range": "bytes=0-1"},
        {"If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"},
        {"Authorization": "Basic eA=="},
    ],
    ids=lambda headers: str(next(iter(headers))),
)
def test_what_skips_other_stores_gets_the_whole_page(web: Web, headers: dict[str, str]) -> None:
    """It has no dates; a server may leave preconditions out of account then."""
    site = web.site(source="store")
    web.start()
    site.put("/a.html", TEXT)
    answer = site.get("/a.html", headers=headers)
    assert (answer.status, answer.source, answer.body) == (200, "HIT", TEXT)


def test_large_page_comes_whole_and_in_parts(web: Web) -> None:
    site = web.site(source="store")
    web.start()
    page = os.urandom(9_000_000)
    site.put("/large.bin", page)
    answer = site.get("/large.bin")
    assert (answer.source, answer.body) == ("HIT", page)
    for start, end in ((0, 99), (8_000_000, 8_999_999), (130_000, 132_000)):
        answer = site.get("/large.bin", headers={"Range": f"bytes={start}-{end}"})
        assert (answer.status, answer.source) == (206, "HIT")
        assert answer.body == page[start : end + 1]
    assert site.get("/large.bin", headers={"Range": "bytes=9000000-"}).status == 416


def test_parts_of_a_page_for_whom_it_is_unpacked(web: Web) -> None:
    """nginx unpacks it while it is sent; Lua does before."""
    site = web.site(source="store")
    web.start()
    site.put("/a.html", gzip.compress(TEXT), flags=2)
    answer = site.get("/a.html", headers={"Range": "bytes=2-5"})
    cut = (206, TEXT[2:6]) if web.nginx.reads_by_lua else (200, TEXT)
    assert (answer.status, answer.body) == cut


@pytest.mark.parametrize("target", ["/missing", "/missing/", "/docs/missing.html", "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_not_there_is_404(web: Web, target: str, method: str) -> None:
    site = web.site(source="store")
    web.start()
    answer = site.get(target, method)
    assert (answer.status, answer.source) == (404, "FALLBACK")
    assert answer.header("Location") is None
    assert answer.header("Retry-After") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_other_methods_are_refused_and_their_bodies_reach_nobody(web: Web, method: str) -> None:
    site = web.site(source="store")
    web.start()
    site.put("/a.html", b"memory")
    before = web.store.items()
    answer = site.get("/a.html", method, body=b"flush_all\r\n" * 1000)
    assert (answer.status, answer.source) == (405, "FALLBACK")
    assert web.store.items() == before


def test_error_page_comes_from_the_store_and_keeps_the_status(web: Web) -> None:
    site = web.site(
        source="store",
        error_pages=[
            {"codes": [404, 405, 502, 503, 504], "uri": "/errors/lost.html"},
            {"codes": [413], "uri": "/413 $1.html"},
        ],
        extra="client_max_body_size 1k;",
    )
    web.start()
    site.put("/errors/lost.html", gzip.compress(b"lost"), flags=2)
    site.put("/413 $1.html", b"too much")
    for target, method, status in (
        ("/missing", "GET", 404),
        ("/missing/", "GET", 404),
        ("/.git/config", "GET", 404),
        ("/" + "x" * 300, "GET", 404),
        ("/", "POST", 405),
    ):
        answer = site.get(target, method)
        assert (answer.status, answer.source, answer.body) == (status, "FALLBACK", b"lost"), target
        assert answer.header("Content-Type") == "text/html"
    answer = site.get("/errors/lost.html")
    assert (answer.status, answer.source) == (200, "HIT")
    answer = site.get("/", "POST", body=b"x" * 2000)
    assert (answer.status, answer.body) == (413, b"too much")


def test_error_page_that_is_missing_leaves_nginxs_own(web: Web) -> None:
    site = web.site(source="store", error_pages=[{"codes": [404, 405], "uri": "/404.html"}])
    web.start()
    for target, method, status in (
        ("/missing", "GET", 404),
        ("/missing/", "GET", 404),
        ("/404.html", "GET", 404),
        ("/x", "PUT", 404),  # nginx's way: the last error counts
    ):
        before = web.asked()
        answer = site.get(target, method)
        assert answer.status == status
        assert b"nginx" in answer.body
        assert web.asked() <= before + 3, "no circle"


@pytest.mark.parametrize("target", ["/", "/docs", "/docs/", "/a.html", "/404.html"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_store_that_is_down_is_for_a_while(web: Web, target: str, method: str) -> None:
    site = web.site(
        source="store",
        headers={"X-A": "b", "Cache-Control": "max-age=9"},
        error_pages=[{"codes": [404, 500, 502, 503, 504], "uri": "/404.html"}],
    )
    web.start()
    web.store.end()
    for _ in range(3):
        answer = site.get(target, method)
        assert (answer.status, answer.source) == (503, "FALLBACK")
        assert answer.header("Retry-After") == "5"
        assert answer.header("X-A") == "b"
        assert answer.header("Cache-Control") is None


def test_store_that_is_back_is_used_again(web: Web) -> None:
    site = web.site(source="store")
    web.start()
    web.store.end()
    assert site.get("/").status == 503
    web.store.start()
    site.put("/", b"memory")
    wait_for(lambda: site.get("/").source == "HIT", "the store")


def test_frozen_store_is_an_error_in_time(web: Web) -> None:
    site = web.site(source="store")
    web.start(patient=False)
    site.put("/", b"memory")
    web.store.freeze()
    try:
        assert site.get("/").status == 503
    finally:
        web.store.thaw()
    wait_for(lambda: site.get("/").source == "HIT", "the store")


def test_directory_without_slash_is_redirected(web: Web) -> None:
    site = web.site(source="store", headers={"X-A": "b"})
    web.start()
    site.put("/v1.2 ü/docs/", gzip.compress(TEXT), flags=2)
    target = "/v1.2%20%C3%BC/docs"
    for method in ("GET", "HEAD"):
        for query in ("", "?a=%2F&b", "?"):
            answer = site.get(target + query, method)
            assert (answer.status, answer.source) == (301, "FALLBACK")
            assert answer.header("Location") == f"{target}/{query}"
            assert answer.header("X-A") == "b"
    assert site.get(target + "/").source == "HIT"
    assert site.get("/v1.2%20%C3%BC").status == 404, "a directory without a page"
    assert site.get(target, "POST").status == 405


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("//docs", "/docs/"),
        ("///docs", "/docs/"),
        ("/\\docs", None),
        ("//x/../docs", "/x/../docs/"),
        ("http://site.example//docs?x", "/docs/?x"),
        ("/docs#x", "/docs/"),
        ("/docs%0d%0aSet-Cookie:%20x=y", None),
    ],
)
def test_redirect_leads_to_no_other_host(web: Web, target: str, location: str | None) -> None:
    site = web.site(source="store")
    web.start()
    site.put("/docs/", b"docs")
    site.put("/\\docs/", b"docs")
    answer = site.get(target)
    if location is None and answer.status == 301:
        location = "/docs/"  # a browser takes a backslash for a slash
    assert answer.header("Location") == location
    assert answer.status == (301 if location else 404)
    assert answer.header("Set-Cookie") is None


def test_page_is_not_taken_for_a_directory(web: Web) -> None:
    site = web.site(source="store")
    web.start()
    site.put("/docs", b"a file")
    site.put("/docs/", b"a directory")
    assert (site.get("/docs").status, site.get("/docs").body) == (200, b"a file")


@pytest.mark.parametrize("index", [["index.php"], []])
def test_without_a_mapped_index_name_no_directory_has_a_page(web: Web, index: list[str]) -> None:
    site = web.site(source="store", index=index)
    web.start()
    site.put("/docs/", b"never written")
    site.put("/docs/index.html", b"a page like any other")
    before = web.asked()
    assert site.get("/docs/").status == 404
    assert web.asked() == before
    assert site.get("/docs").status == 404
    assert site.get("/docs/index.html").source == "HIT"


@pytest.mark.parametrize(
    ("path", "runs"),
    [
        *((path, False) for path in ("/.git/config", "/docs/.env", "/.well-known/.hidden")),
        *((path, runs) for path in ("/x.php", "/config.inc", "/a/x.PHTML") for runs in (0, 1)),
        *(("/x.PHP5/y", True), ("/x.php/", True), ("/config.inc.html", True)),
    ],
)
def test_dotfiles_and_sources_are_refused_before_the_store(web: Web, path: str, runs: bool) -> None:
    site = web.site(source="store", runs_scripts=runs)
    web.start()
    site.put(path, b"secret")
    for target in (path, path.replace(".", "%2e"), f"{path}?x", f"/{path}"):
        assert site.get(target).status == 404
    assert web.asked() == 0


def test_no_key_of_another_kind_can_be_asked_for(web: Web) -> None:
    site = web.site(source="store")
    web.start()
    for key in (
        keys.private_key(site.name, b"/x"),
        keys.directory_key(site.name, b"/"),
        keys.directory_key(site.name, b"/x/"),
        keys.site_key(site.name),
        keys.page_key("other.example", b"/x"),
        keys.page_key(site.name, b"/x") + b"?attr",
    ):
        web.store.put(key, b"secret")
    for target in (
        "/x",
        "/x/",
        "/",
        "/x?attr",
        "/memfis-private://site.example/x",
        "/../memfis-dir://site.example/",
        "memfis-dir://site.example/",
        "//other.example/x",
        "/..%2fother.example/x",
        "/x%0d%0aget%20memfis-site://site.example",
    ):
        answer = site.get(target)
        assert answer.status in (400, 404), target
        assert b"secret" not in answer.body
    site.put("/x%3Fattr", b"not the record")
    assert site.get("/x%253Fattr").body == b"not the record"
    assert site.get("/x%3Fattr").body == b"secret", "the page of that name, which nobody writes"


@pytest.mark.parametrize("length", [225, 228, 229, 230, 231, 300, 7000])
@pytest.mark.parametrize("escaped", [False, True])
def test_urls_that_are_too_long_are_no_sign_of_an_outage(
    web: Web, length: int, escaped: bool
) -> None:
    site = web.site(source="store")
    web.start()
    site.put("/", b"memory")
    path = "/" + ("%01" * (length // 3) if escaped else "x" * (length - 1))
    for _ in range(5):
        assert site.get(path).status == 404
        assert site.get("/").source == "HIT"


def test_locations_of_the_sites_own_find_no_disk(web: Web) -> None:
    site = web.site(
        source="store", extra='location /api/ { }\nlocation = /own { return 200 "own"; }'
    )
    web.start()
    site.put("/api/x", b"not asked for")
    assert site.get("/api/x").status == 404
    assert site.get("/api/").status in (403, 404)
    assert site.get("/own").body == b"own"
    assert site.get("/own").source == "FALLBACK"


def test_certificate_authorities_are_answered_from_the_store(web: Web) -> None:
    tls = {
        "listen": [f"unix:{web.directory / 'tls'}"],
        **Certificate(web.directory).settings,
        "redirect": True,
    }
    site = web.site(source="store", tls=tls)
    web.start()
    site.put("/.well-known/acme-challenge/token", gzip.compress(b"proof"), flags=2)
    answer = site.get("/.well-known/acme-challenge/token")
    assert (answer.status, answer.body, answer.source) == (200, b"proof", "HIT")
    assert site.get("/.well-known/acme-challenge/none").status == 404
    assert site.get("/docs").header("Location") == "https://site.example/docs"
    web.store.end()
    site.tell()
    assert site.get("/.well-known/acme-challenge/token").status == 503


def test_both_kinds_of_sites_in_one_nginx(web: Web) -> None:
    stored: Site = web.site("stored.example", source="store")
    rooted = web.site("rooted.example")
    web.start()
    rooted.write("a.html", b"disk")
    stored.put("/a.html", b"memory")
    assert (stored.get("/a.html").body, rooted.get("/a.html").body) == (b"memory", b"disk")
    web.store.end()
    stored.tell()
    assert stored.get("/a.html").status == 503
    assert rooted.get("/a.html").body == b"disk"


def test_nothing_listens_as_the_origin(web: Web) -> None:
    site = web.site(source="store")
    web.start()
    assert not site.origin.exists()


def test_nginx_has_nothing_to_warn_about(web: Web) -> None:
    site = web.site(
        source="store",
        error_pages=[{"codes": [404, 500, 502], "uri": "/404.html"}],
        headers={"X-A": "b"},
        expires=[{"type": "image/", "expires": "30d"}],
    )
    web.start()
    site.put("/docs/", b"docs")
    for target in ("/", "/docs", "/docs/", "/missing", "/.git", "/" + "x" * 400):
        site.get(target)
    with Connection(site.public) as connection:
        for target in ("/docs/", "/docs", "/missing", "/docs/"):
            connection.ask(target)
    lines = web.nginx.log.read_text().splitlines()
    assert [line for line in lines if "[info]" not in line and "was not found" not in line] == []
