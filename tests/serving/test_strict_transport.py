"""Strict-Transport-Security is never sent over plain HTTP (RFC 6797, section 7.2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from memfis.layout.heads import Head, encode_head
from memfis.layout.keys import head_key, page_key
from support.http import Answer, Connection
from support.nginx import Web
from support.php import FRONT, PhpFpm, settings, site_with
from support.ports import free_port
from support.tls import Certificate

HEADER = "Strict-Transport-Security"
VALUE = 'max-age=63072000; x="$y"'
TARGETS = (
    "/",
    "/missing",
    "/.git/config",
    "/x.php",
    "/page.html",
    "/docs",
    "/.well-known/acme-challenge/x",
)


class Served:
    """A site with TLS and without, by ports."""

    def __init__(
        self,
        web: Web,
        directory: Path,
        *,
        redirect: bool,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.plain, self.secure = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
        self.certificate = Certificate(directory)
        tls = {
            **self.certificate.settings,
            "listen": [f"127.0.0.1:{self.secure[1]}"],
            "redirect": redirect,
        }
        # The socket is for the helper, which waits for it.
        listen = [f"127.0.0.1:{self.plain[1]}", f"unix:{directory}/site.example.public"]
        self.site = web.site(
            **{"listen": listen, "tls": tls, **more},
            headers={"strict-Transport-SECURITY": VALUE, "X-Other": "1", **(headers or {})},
            error_pages=[{"codes": [404], "uri": "/lost.html"}],
        )
        web.start()
        if not self.site.stored:
            for name in ("index.html", "page.html", "lost.html", "docs/index.html"):
                self.site.write(name, b"page")
        self.site.put("/page.html", b"page")

    def ask(self, target: str, *, secure: bool, method: str = "GET", **headers: str) -> Answer:
        connection = (
            self.certificate.connect(self.secure, "site.example")
            if secure
            else Connection(self.plain)
        )
        with connection:
            return connection.ask(
                target,
                method,
                {each.replace("_", "-"): text for each, text in headers.items()},
                host="site.example",
            )


@pytest.mark.parametrize("redirect", [False, True])
@pytest.mark.parametrize("more", [{}, {"source": "store"}, {"proxies": ["192.0.2.1"]}])
def test_only_over_tls(web: Web, directory: Path, redirect: bool, more: dict[str, Any]) -> None:
    served = Served(web, directory, redirect=redirect, **more)
    for target in TARGETS:
        for method in ("GET", "HEAD", "POST"):
            answer = served.ask(target, secure=True, method=method)
            assert answer.headers.get_all(HEADER) == [VALUE], target
            answer = served.ask(target, secure=False, method=method)
            assert answer.header(HEADER) is None, target
            assert answer.header("X-Other") == "1"
    assert served.ask("/page.html", secure=True).source == "HIT"
    assert served.ask("/page.html", secure=False).status == (301 if redirect else 200)


@pytest.mark.parametrize("from_memory", ["memcached_pass", "lua"])
def test_of_what_php_makes_beside_headers_of_caching(
    web: Web, directory: Path, php: PhpFpm, from_memory: str
) -> None:
    """Which are the files' own: such an answer is made in a location with headers of its own."""
    served = Served(
        web,
        directory,
        redirect=False,
        headers={"Cache-Control": "max-age=60"},
        from_memory=from_memory,
        index=["index.php"],
        php=settings(directory, php),
    )
    served.site.write("index.php", FRONT)
    key, head = (make("site.example", b"/kept") for make in (page_key, head_key))
    web.store.put(head, encode_head(Head(rendered=1)), 8)
    web.store.put(key, b"kept", 8)
    for target in ("/made", *(("/kept",) if from_memory == "lua" else ())):
        for secure in (True, False):
            answer = served.ask(target, secure=secure)
            assert answer.header(HEADER) == (VALUE if secure else None), target
            assert (answer.header("X-Other"), answer.header("Cache-Control")) == ("1", None)
            hit = target == "/kept" and not secure  # pages are made for plain HTTP
            assert answer.source == ("HIT" if hit else "FALLBACK")


def test_what_php_makes_has_no_header_of_files_where_there_is_no_other(
    web: Web, php: PhpFpm
) -> None:
    site = site_with(web, php, headers={"Cache-Control": "max-age=60"}, header="")
    site.write("a.txt", b"file")
    assert site.get("/a.txt").header("Cache-Control") == "max-age=60"
    answer = site.get("/made")
    assert (answer.status, answer.header("Cache-Control")) == (200, None)
    assert answer.header("X-Memfis") is None


def test_not_to_whom_speaks_plain_http_to_the_port_for_tls(web: Web, directory: Path) -> None:
    served = Served(web, directory, redirect=True)
    with Connection(served.secure) as connection:
        answer = connection.ask("/", host="site.example")
    assert answer.status == 400
    assert b"HTTPS port" in answer.body
    assert answer.header(HEADER) is None


@pytest.mark.parametrize("tls", [False, True])
def test_behind_proxies_the_visitors_scheme_counts(web: Web, directory: Path, tls: bool) -> None:
    more: dict[str, Any] = {"proxies": ["127.0.0.1"]} | ({} if tls else {"tls": None})
    served = Served(web, directory, redirect=True, **more)
    for target in TARGETS:
        for secure in (False, True) if tls else (False,):
            answer = served.ask(target, secure=secure, X_Forwarded_Proto="https")
            assert answer.headers.get_all(HEADER) == [VALUE], target
            answer = served.ask(target, secure=secure, X_Forwarded_Proto="http")
            assert answer.header(HEADER) is None, target
    assert served.ask("/page.html", secure=False).header(HEADER) is None


def test_without_tls_and_proxies_nginx_does_not_know(web: Web, directory: Path) -> None:
    served = Served(web, directory, redirect=True, tls=None)
    assert served.ask("/", secure=False).header(HEADER) == VALUE
