"""Visitors behind load balancers: what these say counts, and what anybody else says does not."""

import json
from pathlib import Path
from typing import Any

from support.http import Answer, Connection
from support.nginx import Site, Web
from support.php import PhpFpm, site_with
from support.ports import free_port
from support.process import wait_for
from support.tls import Certificate

PROXY = ["127.0.0.1"]


def ask(
    port: int,
    target: str,
    headers: dict[str, str],
    address: str = "127.0.0.1",
    host: str = "site.example",
    method: str = "GET",
) -> Answer:
    """Ask as a proxy at `address` does."""
    with Connection((address, port)) as connection:
        return connection.ask(target, method, headers, host=host)


def through(scheme: str = "https", visitor: str = "192.0.2.7", **more: str) -> dict[str, str]:
    """Return what a proxy says of a visitor's request."""
    return {"X-Forwarded-Proto": scheme, "X-Forwarded-For": visitor, **more}


def told(answer: Answer) -> dict[str, Any]:
    """Return PHP's $_SERVER."""
    assert answer.status == 200, answer.body
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


def proxied(
    web: Web, php: PhpFpm, port: int, own: dict[str, Any] | None = None, **more: Any
) -> Site:
    """Start a site behind proxies, which prints PHP's $_SERVER."""
    site = site_with(
        web,
        php,
        **{
            "proxies": PROXY,
            "listen": [f"unix:{web.directory}/site.example.public", f"127.0.0.1:{port}"],
            **more,
        },
        own={"canonical": "https://site.example", **(own or {})},
    )
    site.write("index.php", b"<?php header('Content-Type: a/b'); echo json_encode($_SERVER);")
    return site


OWN = {"Cookie": "a=1"}


def test_php_is_told_of_the_visitor_and_not_of_the_proxy(web: Web, php: PhpFpm) -> None:
    port = free_port()
    proxied(web, php, port)
    found = told(ask(port, "/page", through() | OWN))
    assert (found["HTTPS"], found["REQUEST_SCHEME"], found["SERVER_PORT"]) == ("on", "https", "443")
    assert (found["REMOTE_ADDR"], found["HTTP_HOST"]) == ("192.0.2.7", "site.example")
    assert found["HTTP_X_FORWARDED_FOR"] == "192.0.2.7"
    found = told(ask(port, "/page", through("http") | OWN))
    assert "HTTPS" not in found
    assert (found["REQUEST_SCHEME"], found["SERVER_PORT"]) == ("http", "80")
    # What one proxy adds to what it was told is last.
    found = told(ask(port, "/page", through("http, https", "10.9.9.9, 192.0.2.8") | OWN))
    assert (found["HTTPS"], found["REMOTE_ADDR"]) == ("on", "192.0.2.8")
    # Another host, as the visitor has it.
    headers = through(**{"X-Forwarded-Host": "site.example:8443"}) | OWN
    found = told(ask(port, "/page", headers, host="site.example"))
    assert (found["HTTP_HOST"], found["SERVER_PORT"]) == ("site.example:8443", "8443")


def test_what_anybody_else_says_is_taken_off(web: Web, php: PhpFpm) -> None:
    port = free_port()
    proxied(web, php, port, proxies=["192.0.2.1"])
    forged = {
        **through(),
        **{"X-Forwarded-Host": "evil.example", "X-Real-IP": "evil", "Forwarded": "for=evil"},
        **{"X-Forwarded-Port": "evil", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Ssl": "evil"},
    }
    found = told(ask(port, "/page", forged | OWN))
    assert (found["REMOTE_ADDR"], found["REQUEST_SCHEME"]) == ("127.0.0.1", "http")
    assert found["HTTP_HOST"] == "site.example"
    assert "evil" not in json.dumps(found)
    assert not [key for key in found if "FORWARDED" in key or key == "HTTP_X_REAL_IP"]


def test_without_proxies_they_reach_php_as_they_were_sent(web: Web, php: PhpFpm) -> None:
    """As ever: some applications are told by lines of their own whom to believe."""
    port = free_port()
    proxied(web, php, port, proxies=[])
    found = told(ask(port, "/page", through() | OWN))
    assert (found["REMOTE_ADDR"], found["HTTP_X_FORWARDED_PROTO"]) == ("127.0.0.1", "https")


def test_pages_of_memory_are_for_the_canonical_scheme(web: Web, php: PhpFpm) -> None:
    port = free_port()
    site = proxied(web, php, port)
    assert told(ask(port, "/page", through()))["MEMFIS_SHARED"] == "1"
    site.put("/page", b"memory")
    assert ask(port, "/page", through()).source == "HIT"
    for headers, host in (
        (through("http"), "site.example"),
        ({}, "site.example"),
        (through(**{"X-Forwarded-Host": "other.example"}), "site.example"),
    ):
        answer = ask(port, "/page", headers, host=host)
        assert answer.source == "FALLBACK"
        assert answer.status == (421 if "X-Forwarded-Host" in headers else 200)


def test_networks_of_ipv6(web: Web, php: PhpFpm) -> None:
    port = free_port()
    proxied(
        web,
        php,
        port,
        proxies=["::1/128", "2001:db8::/32"],
        listen=[f"unix:{web.directory}/site.example.public", f"[::1]:{port}"],
    )
    # The proxy that came before is one of ours, too.
    headers = through(visitor="2001:db9::1, 2001:db8::5") | OWN
    found = told(ask(port, "/page", headers, "::1"))
    assert (found["REMOTE_ADDR"], found["HTTPS"]) == ("2001:db9::1", "on")


def test_deny_lines_logs_and_purges_see_the_visitor(web: Web, php: PhpFpm, directory: Path) -> None:
    port = free_port()
    log = directory / "visitors.log"
    site = proxied(
        web,
        php,
        port,
        own={"purge": f"{directory}/none.sock", "purge_from": ["127.0.0.1"]},
        extra=f"deny 192.0.2.66;\naccess_log {log};",
    )
    site.write("x.txt", b"x")
    assert ask(port, "/x.txt", through()).status == 200
    assert ask(port, "/x.txt", through(visitor="192.0.2.66")).status == 403
    visitors = ["192.0.2.7", "192.0.2.66"]
    wait_for(
        lambda: [line.split()[0] for line in log.read_text().splitlines()] == visitors, "the log"
    )
    # From the proxy itself a purge is let through (to nobody, here), from visitors behind it not.
    assert ask(port, "/x", through(), method="PURGE").status == 403
    assert ask(port, "/x", {}, method="PURGE").status == 502


def test_static_sites_and_the_redirect_to_https(web: Web, directory: Path) -> None:
    port, secure = free_port(), free_port()
    site = web.site(
        proxies=PROXY,
        listen=[f"unix:{web.directory}/site.example.public", f"127.0.0.1:{port}"],
        tls={
            **Certificate(directory).settings,
            "listen": [f"127.0.0.1:{secure}"],
            "redirect": True,
        },
    )
    site.write("x.txt", b"x")
    site.write(".well-known/acme-challenge/a", b"a")
    web.start()
    for headers in ({}, through("http")):
        answer = ask(port, "/x.txt?y=1", headers)
        assert answer.status == 301
        assert answer.header("Location") == f"https://site.example:{secure}/x.txt?y=1"
    assert ask(port, "/x.txt", through()).body == b"x"
    assert ask(port, "/.well-known/acme-challenge/a", {}).body == b"a"
