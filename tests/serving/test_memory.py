"""What is answered from memory, and how."""

import gzip
import os

import pytest

from memfis.layout import keys
from support.http import Connection
from support.nginx import Site, Web
from support.process import wait_for

GZIP = {"Accept-Encoding": "gzip"}
TEXT = b"<!doctype html><p>hello</p>" * 40


def test_page_is_served_from_memory(web: Web) -> None:
    site = web.site()
    web.start()
    site.put("/a/page.html", TEXT)
    answer = site.get("/a/page.html")
    assert (answer.status, answer.source, answer.body) == (200, "HIT", TEXT)
    assert answer.header("Content-Type") == "text/html"
    assert answer.header("Content-Length") == str(len(TEXT))


def test_first_index_name_is_mapped_onto_the_directory(web: Web) -> None:
    site = web.site(index=["index.html", "index.htm"])
    web.start()
    site.put("/", b"home")
    site.put("/docs/", b"docs")
    site.put("/docs/index.htm", b"second name, a key of its own")
    site.put("/docs/xindex.html", b"another file")
    for target, body in {
        "/": b"home",
        "/index.html": b"home",
        "/docs/": b"docs",
        "/docs/index.html": b"docs",
        "/docs/index.htm": b"second name, a key of its own",
        "/docs/xindex.html": b"another file",
    }.items():
        answer = site.get(target)
        assert (answer.source, answer.body) == ("HIT", body), target
        assert answer.header("Content-Type") == "text/html"


@pytest.mark.parametrize("first", ["index.php", "index.xhtml", "index.PHP5", "page.inc"])
def test_other_first_index_name_is_not_mapped(web: Web, first: str) -> None:
    site = web.site(index=[first, "index.html"])
    web.start()
    site.put("/", b"must not be asked for")
    site.put("/index.html", b"a key of its own")
    site.write("index.html", b"disk")
    assert (site.get("/").source, site.get("/").body) == ("FALLBACK", b"disk")
    assert site.get("/index.html").body == b"a key of its own"


def test_no_index_at_all(web: Web) -> None:
    site = web.site(index=[])
    web.start()
    site.put("/index.html", b"a page like any other")
    site.write("index.html", b"a page like any other")
    assert site.get("/").status == 403
    assert site.get("/index.html").source == "HIT"


def test_types_from_memory_are_those_from_disk(web: Web) -> None:
    site = web.site(default_type="text/plain", charset="utf-8")
    web.start()
    paths = ["/", "/a.html", "/a.css", "/a.JS", "/a.tar.gz", "/README", "/x.", "/a.unknown", "/ü"]
    for path in paths:
        site.put(path, TEXT)
        site.write(path[1:] or "index.html", TEXT)
    for path in paths:
        target = path.encode()
        memory, disk = site.get(target), site.get_origin(target)
        assert (memory.source, disk.source) == ("HIT", "FALLBACK")
        assert memory.header("Content-Type") == disk.header("Content-Type"), path


def test_default_type_is_nginxs_own_without_the_setting(web: Web) -> None:
    site = web.site()
    web.start()
    site.put("/README", b"x")
    assert site.get("/README").header("Content-Type") == "application/octet-stream"


def test_compressed_page_goes_as_it_is_to_whom_takes_gzip(web: Web) -> None:
    site = web.site(charset="utf-8")
    web.start()
    stored = gzip.compress(TEXT)
    for path, kind in {
        "/": "text/html; charset=utf-8",
        "/style.css": "text/css",
        "/page.html": "text/html; charset=utf-8",
    }.items():
        site.put(path, stored, flags=0x12345676 | 2)
        packed = site.get(path, headers=GZIP)
        assert (packed.source, packed.body) == ("HIT", stored)
        assert packed.header("Content-Encoding") == "gzip"
        assert packed.header("Content-Length") == str(len(stored))
        plain = site.get(path)
        assert (plain.source, plain.body) == ("HIT", TEXT)
        assert plain.header("Content-Encoding") is None
        for answer in (packed, plain):
            assert answer.header("Vary") == "Accept-Encoding"
            assert answer.header("Content-Type") == kind


@pytest.mark.parametrize("accepted", ["gzip;q=0", "identity", "br", "gzip;q=0, *;q=0"])
def test_compressed_page_is_unpacked_for_whom_does_not_take_gzip(web: Web, accepted: str) -> None:
    site = web.site()
    web.start()
    site.put("/", gzip.compress(TEXT), flags=2)
    answer = site.get("/", headers={"Accept-Encoding": accepted})
    assert (answer.source, answer.body) == ("HIT", TEXT)


def test_compressed_page_is_not_unpacked_for_proxies(web: Web) -> None:
    site = web.site()
    web.start()
    stored = gzip.compress(TEXT)
    site.put("/", stored, flags=2)
    assert site.get("/", headers={**GZIP, "Via": "1.1 proxy"}).body == stored


def test_uncompressed_page_has_no_second_try_from_memory(web: Web) -> None:
    site = web.site()
    web.start()
    site.put("/", TEXT, flags=0xFFFFFFFC)
    answer = site.get("/", headers=GZIP)
    assert (answer.body, answer.header("Content-Encoding")) == (TEXT, None)


def test_head_from_memory(web: Web) -> None:
    site = web.site()
    web.start()
    site.put("/a.html", TEXT)
    with Connection(site.public) as connection:
        for _ in range(3):
            answer = connection.ask("/a.html", "HEAD")
            assert (answer.status, answer.source, answer.body) == (200, "HIT", b"")
            assert answer.header("Content-Length") == str(len(TEXT))


@pytest.mark.parametrize("max_page", [1000, 131072, 200000, 1000000])
def test_page_of_exactly_max_page(web: Web, max_page: int) -> None:
    site = web.site(max_page=max_page)
    web.start()
    page = os.urandom(max_page)
    path = "/" + "n" * (250 - len(keys.page_key(site.name, b"/")))
    site.put(path, page)
    answer = site.get(path)
    assert (answer.source, answer.body) == ("HIT", page)


def test_empty_page(web: Web) -> None:
    site = web.site()
    web.start()
    site.put("/empty.txt", b"")
    answer = site.get("/empty.txt")
    assert (answer.status, answer.source, answer.body) == (200, "HIT", b"")


def test_expired_page_comes_from_disk(web: Web) -> None:
    site = web.site()
    web.start()
    site.write("index.html", b"disk")
    site.put("/", b"memory", expire=1)
    wait_for(lambda: site.get("/").source == "FALLBACK", "the page's expiry")
    assert site.get("/").body == b"disk"


def test_query_and_cookie_select_nothing(web: Web) -> None:
    site = web.site()
    web.start()
    site.put("/a.html", TEXT)
    assert site.get("/a.html?x=1&attr", headers={"Cookie": "session=1"}).source == "HIT"


def assert_the_disk_answers(web: Web, headers: dict[str, str]) -> None:
    """Ask for a page that is in memory, which is not for who sends `headers`."""
    site = web.site()
    web.start()
    site.write("a.html", b"disk")
    site.put("/a.html", b"memory")
    for method in ("GET", "HEAD"):
        memory = site.get("/a.html", method, headers)
        disk = site.get_origin("/a.html", method, headers)
        assert (memory.status, memory.body) == (disk.status, disk.body)
        assert memory.source == "FALLBACK"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1"},
        {"If-Range": '"x"'},
        {"Authorization": "Basic eDp5"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_what_only_the_disk_can_answer_skips_the_store(web: Web, headers: dict[str, str]) -> None:
    assert_the_disk_answers(web, headers)
    assert web.asked() == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": "*"},
        {"If-Match": "*"},
        {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"},
        {"If-Unmodified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_the_disk_judges_conditions_on_a_page_without_a_head(
    web: Web, headers: dict[str, str]
) -> None:
    assert_the_disk_answers(web, headers)
    # memcached_pass could not say it of any page, so nobody asks.
    assert web.asked() == (1 if web.nginx.reads_by_lua else 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "no-cache"},
        {"Pragma": "no-cache"},
        {"X-Memfis": "FALLBACK"},
        {"X-Original-URL": "/other"},
        {"X-Rewrite-URL": "/other"},
        {"X-HTTP-Method-Override": "POST"},
        {"X-Accel-Redirect": "/other"},
        {"Forwarded": "host=origin"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_no_other_header_forces_a_request_past_the_store(web: Web, headers: dict[str, str]) -> None:
    site = web.site()
    web.start()
    site.put("/a.html", TEXT)
    assert site.get("/a.html", headers=headers).source == "HIT"


def test_connections_to_the_store_are_kept(web: Web) -> None:
    site = web.site()
    web.start()
    site.put("/a.html", TEXT)
    before = web.store.stats()[b"total_connections"]
    with Connection(site.public) as connection:
        for _ in range(100):
            assert connection.ask("/a.html").source == "HIT"
            assert connection.ask("/missing.html").status == 404
    opened = int(web.store.stats()[b"total_connections"]) - int(before)
    assert opened <= 3, "of which one is for the figures"


def test_key_at_its_limit(web: Web) -> None:
    """250 bytes are asked for, 251 are not: that would be an error, and close the connection."""
    site = web.site()
    web.start()
    room = 250 - len(keys.page_key(site.name, b""))
    for special in (0, 1, 2, 40, room // 3):
        name = b"/" + b"\x01" * special + b"x" * (room - 1 - 3 * special)
        assert len(keys.page_key(site.name, name)) == 250
        site.put(name, b"memory")
        for length, source in ((0, "HIT"), (1, "FALLBACK")):
            path = name + b"x" * length
            target = path.replace(b"\x01", b"%01")
            assert site.get(target).source == source, (special, length)
    assert web.nginx.log.read_text().count("memcached sent invalid") == 0


def headers_site(web: Web) -> Site:
    site = web.site(
        headers={"X-Frame-Options": "DENY", "Cache-Control": "public", "X-Odd": 'a "b" $c \\d; {}'},
        expires=[
            {"type": "image/", "expires": "30d"},
            {"type": "text/css", "expires": "1h"},
            {"type": "image/svg+xml", "expires": "epoch"},
        ],
        error_pages=[{"codes": [404], "uri": "/404.html"}],
    )
    site.write("404.html", b"not here")
    for name in ("page.html", "a.png", "a.css"):
        site.write(name, TEXT)
    return site


def test_headers_and_expiry_are_the_same_from_memory_and_disk(web: Web) -> None:
    site = headers_site(web)
    web.start()
    for name in ("page.html", "a.png", "a.css"):
        site.put(f"/{name}", TEXT)
    for target, expected in {
        "/page.html": "public",
        "/a.png": "max-age=2592000, public",
        "/a.css": "max-age=3600, public",
    }.items():
        hit, fallback = site.get(target), site.get_origin(target)
        assert (hit.source, fallback.source) == ("HIT", "FALLBACK")
        for answer in (hit, fallback):
            assert answer.header("Cache-Control") == expected, target
            assert answer.header("X-Frame-Options") == "DENY"
            assert answer.header("X-Odd") == 'a "b" $c \\d; {}'


def test_errors_have_the_headers_but_not_those_of_caching(web: Web) -> None:
    site = headers_site(web)
    web.start()
    for answer in (
        site.get("/missing"),
        site.get("/.git/config"),
        site.get("/page.html", "POST", body=b"x"),
        site.get_origin("/missing"),
    ):
        assert answer.status in (404, 405)
        assert answer.source == "FALLBACK"
        assert answer.header("X-Frame-Options") == "DENY"
        assert answer.header("Cache-Control") is None


def test_header_can_be_renamed_and_turned_off(web: Web) -> None:
    renamed, off = web.site("a.example", header="X-From"), web.site("b.example", header="")
    web.start()
    for site in (renamed, off):
        site.put("/", b"memory")
        site.write("a.html", b"disk")
        assert site.get("/").header("X-Memfis") is None
    assert renamed.get("/").header("X-From") == "HIT"
    assert renamed.get("/a.html").header("X-From") == "FALLBACK"
    assert off.get("/").body == b"memory"
    assert off.get("/a.html").body == b"disk"
