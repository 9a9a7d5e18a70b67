"""PHP behind the disk behind the store: what is asked of whom."""

import hashlib
import json
from typing import Any

import pytest

from memfis.settings.visitors import HARMLESS_COOKIES, OWN_HEADERS
from support.http import Answer, Connection
from support.nginx import Web
from support.php import FRONT, PhpFpm, asked, site_with
from support.reader import READER


def told(answer: Answer) -> dict[str, Any]:
    """Return what FRONT says it was asked."""
    assert answer.status == 200, answer.body
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


def test_memory_then_disk_then_php(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php)
    site.write("logo.txt", b"disk")
    site.write("wp-admin/index.php", FRONT)
    site.write("docs/index.html", b"docs")
    site.write("blog/index.php", FRONT)
    site.write("blog/index.html", b"not this one")
    assert site.get("/logo.txt").body == b"disk"
    assert site.get("/docs/").body == b"docs"
    assert asked(site) == []
    for target, script in {
        "/": "/index.php",
        "/hello": "/index.php",
        "/hello/world/": "/index.php",
        "/wp-admin/": "/wp-admin/index.php",
        "/blog/": "/blog/index.php",
        "/blog/index.php": "/blog/index.php",
    }.items():
        answer = site.get(target)
        assert answer.source == "FALLBACK"
        assert told(answer)["script"] == script
        assert told(answer)["uri"] == target
        assert told(site.get_origin(target))["script"] == script
    before = len(asked(site))
    for target in ("/", "/hello", "/hello/world/", "/blog/", "/logo.txt"):
        site.put(target, b"memory")
        answer = site.get(target)
        assert (answer.status, answer.body, answer.source) == (200, b"memory", "HIT")
    assert site.get("/").header("Content-Type") == "text/html"
    assert len(asked(site)) == before


def test_index_names_are_tried_in_their_order(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php, index=["start.html", "index.php", "old.htm", "index2.php"])
    site.write("both/start.html", b"start")
    site.write("both/index.php", FRONT)
    site.write("old/old.htm", b"old")
    site.write("old/index2.php", FRONT)
    site.write("second/index2.php", FRONT)
    assert site.get("/both/").body == b"start"
    assert site.get("/old/").body == b"old"
    assert told(site.get("/second/"))["script"] == "/second/index2.php"
    assert told(site.get_origin("/second/"))["script"] == "/second/index2.php"


def test_plain_scripts_without_a_front_controller(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php, own={"front_controller": ""})
    site.write("news.php", FRONT)
    site.write("empty/x.txt", b"x")
    assert told(site.get("/"))["script"] == "/index.php"
    assert told(site.get("/news.php?id=1"))["query"] == "id=1"
    for target, status in {"/missing": 404, "/missing.php": 404, "/empty/": 403}.items():
        assert site.get(target).status == site.get_origin(target).status == status, target
    assert site.get("/empty").status == 301


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("target", ["/", "/hello", "/index.php", "/index.php/x?y=1"])
def test_bodies_reach_php_unharmed(web: Web, php: PhpFpm, method: str, target: str) -> None:
    site = site_with(web, php, extra="client_max_body_size 10m;")
    site.put("/", b"memory")
    site.put("/hello", b"memory")
    for size in (0, 10, 100_000, 3_000_000):
        body = b"flush_all\r\n" * (size // 10)
        found = told(site.get(target, method, body=body))
        assert (found["method"], found["uri"]) == (method, target)
        assert found["body"] == hashlib.md5(body, usedforsecurity=False).hexdigest()
        assert found["shared"] is None


def test_body_of_a_get_goes_to_php_too(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php)
    site.put("/", b"memory")
    found = told(site.get("/", body=b"query"))
    assert found["body"] == hashlib.md5(b"query", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/page?id=1", {}),
        ("/page?", {}),
        ("/page?utm_source=x&fbclid=y", None),
        ("/page?fbclid", None),
        ("/page?utm_source=x&id=1", {}),
        ("/page?utm_source=x;id=1", None),
        ("/page?Xutm_source=x", {}),
        ("/page?fbclidx=1", {}),
        ("/page?%75tm_source=x", {}),
        ("/page", {"Authorization": "Basic eDp5"}),
        ("/page", {"Cookie": "PHPSESSID=1"}),
        ("/page", {"Cookie": "a=b; wordpress_logged_in_0123=x"}),
        ("/page", {"Cookie": "a=b;PHPSESSID=1"}),
        ("/page", {"Cookie": "xPHPSESSID=1"}),
        ("/page", {"Cookie": "a=PHPSESSID"}),
        ("/page", {"X-Requested-With": "XMLHttpRequest"}),
        ("/page", {"X-WP-Nonce": "1"}),
        ("/page", {"X-API-Key": "1"}),
        ("/page", {"HX-Request": "true"}),
        ("/page", {"X-Own": "1"}),
        ("/page", {"X-Other": "1"}),
    ],
)
def test_what_goes_past_the_store(
    web: Web, php: PhpFpm, target: str, headers: dict[str, str] | None
) -> None:
    """`headers` is None, or what is on no list, where memory answers."""
    own = {
        "cookies": ["PHPSESSID", "wordpress_logged_in_[^=]*"],
        "own_headers": [*OWN_HEADERS, "X-Own"],
    }
    site = site_with(web, php, own=own)
    site.put("/page", b"memory")
    answer = site.get(target, headers=headers or {})
    cookie = (headers or {}).get("Cookie")
    if headers in (None, {"X-Other": "1"}) or cookie in ("xPHPSESSID=1", "a=PHPSESSID"):
        assert (answer.source, answer.body) == ("HIT", b"memory")
        return
    found = told(answer)
    assert answer.source == "FALLBACK"
    assert (found["uri"], found["shared"], found["cookie"]) == (target, None, cookie)
    assert found["user"] == headers.get("Authorization")
    assert told(site.get(target, headers=headers))["token"] != found["token"]


def test_a_visitors_request_is_asked_as_it_is(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php)
    headers = {"Cookie": "PHPSESSID=1", "X-Forwarded-Host": "cdn.example", "Proxy": "evil"}
    found = told(site.get("/page", headers=headers, host="Site.Example:81"))
    assert (found["host"], found["scheme"], found["https"]) == ("Site.Example:81", "http", None)
    assert (found["name"], found["forwarded"]) == ("site.example", "cdn.example")
    assert not found["proxy"]
    with Connection(site.public) as connection:
        connection.send(
            b"GET http://site.example/ HTTP/1.1\r\nHost: evil.example\r\n"
            b"Cookie: PHPSESSID=1\r\n\r\n"
        )
        assert told(connection.receive())["host"] == "site.example"


@pytest.mark.parametrize(
    ("cookie", "is_own"),
    [
        ("_ga=1; _gid=2", False),
        ("_ga=1;_fbp=2;", False),
        ("OptanonConsent=a=b&c", False),
        ("mybbuser=1", True),
        ("_ga=1; xf_user=2", True),
        ("SMFCookie1=x; _ga=1", True),
        ("remember_web_59ba36addc2b2f9401580f014c7f58ea4e30989d=x", True),
        ("pll_language=de", True),
        ("x_ga=1", True),
        ("novalue", True),
        ("shop_seen=1", False),
    ],
)
def test_any_cookie_makes_a_visitor_his_own_but_harmless_ones(
    web: Web, php: PhpFpm, cookie: str, is_own: bool
) -> None:
    own = {"harmless_cookies": [*HARMLESS_COOKIES, "shop_[^=;]*"]}
    site = site_with(web, php, own=own)
    found = told(site.get("/page", headers={"Cookie": cookie}))
    assert (found["cookie"], found["shared"]) == ((cookie, None) if is_own else (None, "1"))
    site.put("/page", b"memory")
    assert site.get("/page", headers={"Cookie": cookie}).source == ("FALLBACK" if is_own else "HIT")


FIXED = {
    "REMOTE_ADDR": "127.0.0.1",
    "SERVER_ADDR": "127.0.0.1",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REQUEST_METHOD": "GET",
    "SERVER_NAME": "www.site.example",
    "SERVER_PORT": "8443",
    "REQUEST_SCHEME": "https",
    "HTTPS": "on",
    "HTTP_HOST": "www.site.example:8443",
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "HTTP_USER_AGENT": "Mozilla/5.0 (compatible; memfis)",
    "MEMFIS_SHARED": "1",
    "MEMFIS_FROM_MEMORY": READER,
}
OF_PHP = {
    *("USER", "HOME", "FCGI_ROLE", "PHP_SELF", "REQUEST_TIME", "REQUEST_TIME_FLOAT"),
    *("argc", "argv"),
}
OF_THE_SCRIPT = {
    *("SCRIPT_FILENAME", "SCRIPT_NAME", "DOCUMENT_ROOT", "DOCUMENT_URI", "REQUEST_URI"),
    *("QUERY_STRING", "GATEWAY_INTERFACE", "SERVER_SOFTWARE", "REDIRECT_STATUS", "HTTP_PROXY"),
}
CANONICAL = {"canonical": "https://www.site.example:8443"}


def test_anybodys_page_is_made_of_nothing_that_one_visitor_sent(web: Web, php: PhpFpm) -> None:
    names = ["site.example", "www.site.example"]
    site = site_with(web, php, own=CANONICAL, server_names=names)
    site.write("index.php", b"<?php header('Content-Type: a/b'); echo json_encode($_SERVER);")
    forged = {
        **{"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Cookie": "_ga=1"},
        **{"Accept": "text/evil", "Accept-Language": "xx", "User-Agent": "evil", "X-Any": "evil"},
        **{"Referer": "evil", "Proxy": "evil", "If-None-Match": "evil", "Accept-Encoding": "gzip"},
    }
    first = told(site.get("/page?utm_source=evil", headers=forged, host="www.site.example:8443"))
    for name, found in {
        "shared": first,
        "origin": told(site.get_origin("/page", headers=forged)),
    }.items():
        assert "evil" not in json.dumps(found), name
        assert {key: found[key] for key in FIXED} == FIXED, name
        assert found.keys() <= FIXED.keys() | OF_PHP | OF_THE_SCRIPT, name
        assert (found["REQUEST_URI"], found["QUERY_STRING"]) == ("/page", "")


@pytest.mark.parametrize(
    ("host", "headers", "shared"),
    [
        ("www.site.example:8443", {}, True),
        ("www.site.example:8443", {"X-Forwarded-Proto": "https"}, True),
        # nginx, without TLS or proxies of its own, does not know a visitor's scheme.
        ("www.site.example:8443", {"X-Forwarded-Proto": "http"}, True),
        ("www.site.example", {}, False),
        ("www.site.example:443", {}, False),
        ("WWW.site.example:8443", {}, False),
        ("www.site.example.:8443", {}, False),
        ("site.example", {}, False),
    ],
)
def test_another_name_than_the_canonical_one_is_asked_as_it_is(
    web: Web, php: PhpFpm, host: str, headers: dict[str, str], shared: bool
) -> None:
    """Cold, and while its page is in memory."""
    site = site_with(web, php, own=CANONICAL, server_names=["site.example", "www.site.example"])
    found = told(site.get("/page", headers=headers, host=host))
    assert (found["host"], found["shared"]) == (host, "1" if shared else None)
    site.put("/page", b"memory")
    assert site.get("/page", headers=headers, host=host).source == ("HIT" if shared else "FALLBACK")


@pytest.mark.parametrize("how", ["", "setting", "listen"])
def test_hosts_that_no_site_names(web: Web, php: PhpFpm, how: str) -> None:
    default_server = how != ""
    listen = f"unix:{web.directory}/site.example.public"
    names = [
        "site.example",
        "*.wild.example",
        ".dot.example",
        "dot.example",
        "~^r[0-9]+[.]example$",
    ]
    site = site_with(
        web,
        php,
        server_names=[*names, "default", "www.*", "a" * 40 + ".example"],
        default_server=how == "setting",
        listen=[f"{listen} default_server" if how == "listen" else listen],
        error_pages=[{"codes": [404], "uri": "/lost.php"}],
    )
    site.write("lost.php", FRONT)
    site.write("disk.txt", b"disk")
    site.put("/kept", b"memory")
    for host in ("site.example", "a.wild.example", "dot.example", "a.dot.example", "r12.example"):
        assert site.get("/page", host=host).status == 200, host
    for host in ("default", "www.anything", "a" * 40 + ".example", "SITE.example"):
        assert site.get("/page", host=host).status == 200, host
    before = len(asked(site))
    for host in ("evil.example", "127.0.0.1", "[::1]", "wild.example", "r.example", "default.x"):
        for target in ("/", "/page", "/index.php", "/x.php/y", "/.dotted", "/kept", "/none.php"):
            answer = site.get(target, host=host)
            if default_server:
                assert answer.status in (200, 404), target
                continue
            assert answer.status == 421 or (target, answer.status) == ("/none.php", 404), target
            assert b"memory" not in answer.body
        assert site.get("/disk.txt", host=host).body == b"disk"
    assert (len(asked(site)) == before) is not default_server


def test_names_with_a_dot_in_front(web: Web, php: PhpFpm) -> None:
    """The application's where no such name is on the disk; never a file."""
    site = site_with(web, php)
    site.write(".env", b"secret")
    site.write("sub/.git/config", b"secret")
    site.write(".x.php", FRONT)
    for target in ("/wiki/.NET", "/.NET", "/.NET/x", "/a/.b.txt", "/...", "/wiki/.NET/"):
        for answer in (site.get(target), site.get_origin(target)):
            assert (told(answer)["script"], told(answer)["uri"]) == ("/index.php", target)
        assert told(site.get(target, headers={"Cookie": "a=1"}))["cookie"] == "a=1"
    site.put("/wiki/.NET", b"memory")
    assert site.get("/wiki/.NET").source == "HIT"
    for target in (
        "/.env",
        "/.env/x",
        "/sub/.git/config",
        "/sub/.git/",
        "/sub/.git/none",
        "/.x.php",
    ):
        for answer in (site.get(target), site.get_origin(target)):
            assert answer.status == 404, target
    assert site.get("/.memfis").status == site.get_origin("/.memfis").status == 404


def test_names_with_a_dot_in_front_where_lines_of_the_sites_own_send_files(
    web: Web, php: PhpFpm
) -> None:
    site = site_with(web, php, extra=f"location /own/ {{\talias\n{web.directory}/own/; }}")
    (web.directory / "own").mkdir()
    (web.directory / "own" / ".secret").write_bytes(b"secret")
    (web.directory / "own" / "x.txt").write_bytes(b"x")
    assert site.get("/own/x.txt").body == b"x"
    for target in ("/own/.secret", "/wiki/.NET"):
        assert site.get(target).status == 404


def test_404_of_php_and_of_the_disk(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php, error_pages=[{"codes": [404, 502], "uri": "/lost.html"}])
    site.write("lost.html", b"lost")
    site.write(".git/config", b"secret")
    (web.directory / "status").write_text("404")
    answer = site.get("/missing")
    assert (answer.status, json.loads(answer.body)["uri"]) == (404, "/missing")
    for target in ("/missing.php", "/wp-content/uploads/x.php", "/.git/config"):
        for answer in (site.get(target), site.get_origin(target)):
            assert (answer.status, answer.body) == (404, b"lost"), target
    php.end()
    answer = site.get("/missing-too")
    assert (answer.status, answer.body) == (502, b"lost")


def test_front_controller_that_takes_the_path_as_an_argument(web: Web, php: PhpFpm) -> None:
    """As Apache's rewriting has it for DokuWiki and others."""
    site = site_with(web, php, own={"front_controller": "/front.php?id="})
    site.write("front.php", FRONT)
    site.write("disk.txt", b"disk")
    own = {"Cookie": "PHPSESSID=1"}
    for target, headers, query in (
        ("/a/b", {}, "id=a/b"),
        ("/a/b?utm_source=x", {}, "id=a/b"),
        ("/a/b?utm_source=x", own, "id=a/b&utm_source=x"),
        ("/a/b?do=edit", {}, "id=a/b&do=edit"),
        ("/a%26do=x+y%3F%23%25/%C3%BC%20z", {}, "id=a%26do=x%2By%3F%23%25/%C3%BC%20z"),
        ("/a%0a", {}, "id=a%0A"),
        ("/a/", {}, "id=a/"),
    ):
        found = told(site.get(target, headers=headers))
        assert (found["script"], found["query"]) == ("/front.php", query)
        assert found["uri"] == (
            target.partition("?")[0] if "utm" in target and not headers else target
        )
    assert told(site.get_origin("/a/b"))["query"] == "id=a/b"
    assert told(site.get("/x", "POST", body=b"x"))["query"] == "id=x"
    assert told(site.get("/"))["script"] == "/index.php"
    assert site.get("/disk.txt").body == b"disk"


def test_error_page_that_is_a_script_is_run(web: Web, php: PhpFpm) -> None:
    site = site_with(
        web, php, error_pages=[{"codes": [404], "uri": "/lost.php"}], own={"front_controller": ""}
    )
    site.write("lost.php", b"<?php echo 'lost';")
    for answer in (site.get("/missing"), site.get_origin("/missing")):
        assert (answer.status, answer.body) == (404, b"lost")


def test_what_php_says_of_caching_stays(web: Web, php: PhpFpm) -> None:
    """A site's own Cache-Control must not make a personal page public."""
    site = site_with(
        web,
        php,
        headers={"Cache-Control": "public, max-age=60", "X-Other": "1"},
        expires=[{"type": "application/json", "expires": "1h"}],
    )
    (web.directory / "headers").write_text("Cache-Control: private\n")
    for cookie in ({"Cookie": "PHPSESSID=1"}, {}):
        answer = site.get("/page", headers=cookie)
        assert answer.header("Cache-Control") == "private"
        assert (answer.header("X-Other"), answer.source) == ("1", "FALLBACK")
        assert answer.header("Expires") is None


def test_what_lines_of_the_sites_own_rewrite_comes_not_from_memory(web: Web, php: PhpFpm) -> None:
    """Neither a page of the path that it had, nor one of the path that it has then."""
    site = site_with(web, php, extra="rewrite ^/de/(.*)$ /$1;")
    site.write("a.html", b"disk")
    for path in ("/de/a.html", "/a.html", "/de/page", "/page"):
        site.put(path, b"memory")
    answer = site.get("/de/a.html")
    assert (answer.source, answer.body) == ("FALLBACK", b"disk")
    found = told(site.get("/de/page"))
    assert (found["uri"], found["shared"]) == ("/de/page", None)
    assert site.get("/a.html").source == site.get("/page").source == "HIT"


@pytest.mark.parametrize("piece", ["/a", "/%C3%A9", "/a%2Bb", "/.a", "//", "/a+b.c", "/x.php", "%"])
def test_long_targets_cost_nobody_an_error(web: Web, php: PhpFpm, piece: str) -> None:
    """nginx takes 8 KiB: patterns must not give up on them."""
    site = site_with(web, php)
    target = "/" + piece * (7900 // len(piece))
    assert site.get(target).status in (200, 400, 404)
    assert "pcre" not in web.nginx.log.read_text()
