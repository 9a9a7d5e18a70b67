"""PHP behind the disk behind the store: what is asked of whom."""

import hashlib
import json
from typing import Any

import pytest

from support.http import Answer, Connection
from support.nginx import Web
from support.php import FRONT, PhpFpm, asked, site_with


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
        ("/page?", None),
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
    ],
)
def test_what_goes_past_the_store(
    web: Web, php: PhpFpm, target: str, headers: dict[str, str] | None
) -> None:
    """`headers` is None, or an unlisted cookie, where memory answers."""
    site = site_with(web, php)
    site.put("/page", b"memory")
    answer = site.get(target, headers=headers or {})
    cookie = (headers or {}).get("Cookie")
    if headers is None or cookie in ("xPHPSESSID=1", "a=PHPSESSID"):
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


def test_anybodys_page_is_asked_for_canonically(web: Web, php: PhpFpm) -> None:
    """What others will see is made of nothing that one visitor sent."""
    site = site_with(web, php)
    headers = {"X-Forwarded-Host": "evil.example", "Cookie": "_ga=1; _gid=2"}
    for answer in (
        site.get("/page?utm_source=<x>", headers=headers, host="evil.example"),
        site.get("/page", "GET"),
    ):
        found = told(answer)
        assert (found["uri"], found["query"], found["cookie"]) == ("/page", "", None)
        assert (found["host"], found["name"]) == ("www.site.example:8443", "www.site.example")
        assert (found["scheme"], found["https"], found["port"]) == ("https", "on", "8443")
        assert (found["forwarded"], found["shared"]) == (None, "1")
    # A cookie that nobody knows: PHP may, so it sees it, and nobody else the answer.
    found = told(site.get("/page", headers={"Cookie": "a=1"}))
    assert (found["cookie"], found["shared"]) == ("a=1", None)
    assert len(asked(site)) == 2


def test_the_origin_asks_canonically(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php)
    found = told(site.get_origin("/page"))
    assert (found["host"], found["name"]) == ("www.site.example:8443", "www.site.example")
    assert (found["scheme"], found["https"], found["port"]) == ("https", "on", "8443")
    site.put("/page", b"memory")
    again = told(site.get_origin("/page"))
    assert again["token"] != found["token"], "neither the store nor the cache of a second"


def test_404_of_php_and_of_the_disk(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php, error_pages=[{"codes": [404, 502], "uri": "/lost.html"}])
    site.write("lost.html", b"lost")
    (web.directory / "status").write_text("404")
    answer = site.get("/missing")
    assert (answer.status, json.loads(answer.body)["uri"]) == (404, "/missing")
    for target in ("/missing.php", "/wp-content/uploads/x.php", "/.git/config"):
        for answer in (site.get(target), site.get_origin(target)):
            assert (answer.status, answer.body) == (404, b"lost"), target
    php.end()
    answer = site.get("/missing")
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
