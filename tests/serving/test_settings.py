"""Settings of a site: names, several sites in one nginx, TLS, and what is odd but allowed."""

import os
import re
import signal
import ssl
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from memfis.settings.site import MAX_PAGE, SITE
from support.http import Connection
from support.nginx import Nginx, Site, Web, render
from support.ports import free_port
from support.process import listening, wait_for
from support.tls import Certificate

SETTINGS: dict[str, Any] = {
    **SITE.defaults("nginx"),
    "name": "site.example",
    "server_names": ["site.example"],
    "listen": ["80"],
    "source": "root",
    "root": "/srv/www",
    "index": ["index.html"],
    "max_page": MAX_PAGE,
    "store_address": "unix:/run/memcached.sock",
    "origin_socket": "/run/origin.sock",
}
"""Every key of docs/architecture/reference.md."""


def test_names_that_look_alike_do_not_meet(web: Web) -> None:
    names = ["a-b.c", "a.b.c", "a-b-c", "a--b.c", "a.b-c", "adb.c", "a-db.c", "apb.c", "a.pb.c"]
    sites = [web.site(name) for name in names]
    web.start()
    for site in sites:
        site.put("/", site.name.encode())
    for site in sites:
        assert site.get("/").body == site.name.encode()
        assert site.get("/").source == "HIT"


LONG = "documentation.internal.example-company.co.uk"


def test_long_names_fit_into_nginxs_hash_and_do_not_meet(web: Web) -> None:
    names = [LONG, LONG.replace("uk", "nz"), f"www.{LONG}", "x" * 63 + ".example"]
    sites = [web.site(name) for name in names]
    web.start()
    for site in sites:
        site.put("/", site.name.encode())
    for site in sites:
        assert site.get("/").body == site.name.encode()


def test_identifiers_are_all_different() -> None:
    names = [
        *("".join(pair) for pair in combinations("a-.b-.c-.", 5)),
        LONG,
        f"{LONG}.",
        f"-{LONG}",
    ]
    found = {}
    for name in set(names):
        text = render("site.conf.j2", site={**SETTINGS, "name": name})
        variables = set(re.findall(r"\$(memfis_\w+)", text))
        assert all(len(variable) <= 46 for variable in variables)
        (upstream,) = re.findall(r"^upstream (\S+)", text, re.MULTILINE)
        found[name] = upstream
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(
    ("max_page", "buffer"),
    [(1000, 128), (130048, 128), (130049, 129), (131072, 129), (200000, 197), (20971520, 256)],
)
def test_buffer_holds_the_largest_page_and_its_first_line(max_page: int, buffer: int) -> None:
    text = render("site.conf.j2", site={**SETTINGS, "max_page": max_page})
    assert f"memcached_buffer_size {buffer}k;" in text


def test_result_is_the_same_however_jinja_is_set() -> None:
    settings = {
        **SETTINGS,
        "tls": {"listen": ["443"], "certificate": "/c", "certificate_key": "/k", "redirect": True},
        "error_pages": [{"codes": [404], "uri": "/404.html"}],
        "headers": {"X": "$"},
        "expires": [{"type": "image/", "expires": "1d"}],
        "charset": "utf-8",
        "default_type": "text/plain",
        "autoindex": True,
        "extra": "# own",
    }
    ansible, plain = (
        [
            line
            for line in render("site.conf.j2", trim_blocks=trim, site=settings).splitlines()
            if line
        ]
        for trim in (True, False)
    )
    assert ansible == plain
    assert ansible[0].startswith("# Managed by memfis")


@pytest.mark.parametrize(
    "name",
    ["with space", 'with "quotes" and \'single\'', "with $uri", "${a}", "back\\slash\\n", "ünïcode",
     "semi;colon {brace}", "#hash", "new\nline", "tab\there", "per%20cent", "*?["],
)  # fmt: skip
def test_root_of_any_name(web: Web, directory: Path, name: str) -> None:
    site = web.site(root=os.fspath(directory / name))
    site.write("docs/index.html", b"disk")
    web.start()
    assert site.get("/docs/").body == b"disk"
    assert site.get("/docs").status == 301
    assert site.get_origin("/docs/").body == b"disk"


def test_two_sites_share_a_port_and_nothing_else(web: Web) -> None:
    port = free_port()
    one = web.site("one.example", listen=[f"127.0.0.1:{port} default_server"])
    two = web.site(
        "two.example", listen=[f"127.0.0.1:{port}"], server_names=["two.example", "*.two"]
    )
    web.start()
    for site in (one, two):
        site.put("/", site.name.encode())
        site.write("disk.html", site.name.encode())
    for host, site in {"one.example": one, "two.example": two, "x.two": two, "none": one}.items():
        with Connection(("127.0.0.1", port)) as connection:
            assert connection.ask("/", host=host).body == site.name.encode()
            assert connection.ask("/disk.html", host=host).body == site.name.encode()


def test_redirect_names_the_host_and_port_asked_for(web: Web) -> None:
    port = free_port()
    site = web.site(listen=[f"127.0.0.1:{port}"])
    web.start()
    site.write("docs/index.html", b"x")
    with Connection(("127.0.0.1", port)) as connection:
        answer = connection.ask("/docs?q=1", host=f"site.example:{port}")
    assert answer.status == 301
    assert answer.header("Location") == f"http://site.example:{port}/docs/?q=1"


def test_extra_lines_hold_for_memory_and_disk(web: Web) -> None:
    site = web.site(extra='add_header X-Own "yes";\nlocation = /own { return 200 "own"; }')
    web.start()
    site.write("a.html", b"disk")
    site.put("/b.html", b"memory")
    for answer in (site.get("/a.html"), site.get("/b.html"), site.get_origin("/a.html")):
        assert answer.status == 200
        assert answer.header("X-Own") == "yes"
        assert answer.source in ("HIT", "FALLBACK")
    assert site.get("/own").body == site.get_origin("/own").body == b"own"


DENIED = ("/private/", "/private/a.html", "/private/index.html")


@pytest.mark.parametrize("source", ["root", "store"])
def test_patterns_of_the_sites_own_hold_for_memory(web: Web, source: str) -> None:
    site = web.site(source=source, extra="location ~ ^/private/ { deny all; }")
    web.start()
    for path in (*DENIED, "/public/"):
        site.put(path, b"memory")
    for path in DENIED:
        assert site.get(path).status == 403, path
    assert (site.get("/public/").status, site.get("/public/").source) == (200, "HIT")


def secure(web: Web, **settings: object) -> tuple[Site, Certificate, Path]:
    certificate = Certificate(web.directory, "site.example")
    address = web.directory / "tls"
    tls = {
        "listen": [f"unix:{address}"],
        **certificate.settings,
        "redirect": False,
        **settings,
    }
    names = ["site.example", "www.site.example"]
    extra = 'location = /own { return 200 "own"; }'
    return web.site(tls=tls, server_names=names, extra=extra), certificate, address


def test_tls_beside_plain_http(web: Web) -> None:
    site, certificate, address = secure(web)
    web.start()
    site.put("/", b"memory")
    site.write("a.html", b"disk")
    with certificate.connect(address, site.name) as connection:
        assert connection.ask("/").source == "HIT"
        assert connection.ask("/a.html").source == "FALLBACK"
    assert site.get("/").source == "HIT"
    with certificate.connect(address, site.name, "h2", "http/1.1") as connection:
        assert isinstance(connection.socket, ssl.SSLSocket)
        assert connection.socket.selected_alpn_protocol() == "h2"


def test_plain_http_is_sent_to_https(web: Web) -> None:
    site, certificate, address = secure(web, redirect=True)
    web.start()
    site.put("/", b"memory")
    site.write("a.html", b"disk")
    site.write(".well-known/acme-challenge/token", b"proof")
    site.write(".well-known/acme-challenge/.hidden", b"secret")
    with certificate.connect(address, site.name) as connection:
        assert connection.ask("/").source == "HIT"
        assert connection.ask("/.well-known/acme-challenge/token").body == b"proof"
        assert connection.ask("/own").body == b"own"
    for target in ("/", "/a.html?x=%20y", "/docs/", "/own", "/.well-known/x", "//other.example/"):
        answer = site.get(target, host="WWW.site.example:8080")
        assert answer.status == 301, target
        assert answer.header("Location") == f"https://www.site.example{target}"
    assert site.get("/.well-known/acme-challenge/token").body == b"proof"
    assert site.get("/.well-known/acme-challenge/none").status == 404
    assert site.get("/.well-known/acme-challenge/.hidden").status == 404
    assert site.get("/.well-known/acme-challenge/../../a.html").status == 301
    assert site.get_origin("/a.html").body == b"disk"


@pytest.mark.parametrize(
    ("listen", "port"),
    [("443", ""), ("[::]:443", ""), ("8443", ":8443"), ("127.0.0.1:8443 default_server", ":8443"),
     ("127.0.0.1", ""), ("[::1]", ""), ("[::1]:8443", ":8443"), ("unix:/x", "")],
)  # fmt: skip
def test_redirect_names_the_port_of_tls(listen: str, port: str) -> None:
    tls = {"listen": [listen], "certificate": "/c", "certificate_key": "/k", "redirect": True}
    text = render("site.conf.j2", site={**SETTINGS, "tls": tls})
    assert f"return 301 https://$host{port}$request_uri;" in text


@pytest.mark.parametrize("directive", [False, True])
def test_http2_is_said_as_nginx_wants_it(directive: bool) -> None:
    tls = {"listen": ["443"], "certificate": "/c", "certificate_key": "/k", "redirect": True}
    tls["http2_directive"] = directive
    text = render("site.conf.j2", site={**SETTINGS, "tls": tls})
    assert ("    listen 443 ssl;\n    http2 on;\n" in text) is directive
    assert ("    listen 443 ssl http2;\n" in text) is not directive


def nobody_listens(path: Path) -> bool:
    return not listening(path)


def test_killed_nginx_does_not_start_before_its_sockets_are_removed(web: Web) -> None:
    site = web.site()
    web.start()
    site.put("/", b"memory")
    web.nginx.end(signal.SIGKILL)
    sockets = [site.origin, site.public, *([web.nginx.told] if web.nginx.reads_by_lua else [])]
    for left in sockets:
        wait_for(partial(nobody_listens, left), "the last worker to end")
    with pytest.raises(AssertionError, match="Address already in use"):
        Nginx(web.directory, site).start()
    for left in sockets:
        left.unlink()
    web.nginx.start()
    assert site.get("/").source == "HIT"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGQUIT])
def test_stopped_nginx_leaves_no_socket(web: Web, end: signal.Signals) -> None:
    site = web.site()
    web.start()
    with Connection(site.public) as connection:
        assert connection.ask("/").status == 403
        web.nginx.end(end)
    assert not site.origin.exists()
    assert not site.public.exists()


def test_nginx_has_nothing_to_warn_about(web: Web) -> None:
    web.site(
        index=["index.html", "index.htm"],
        error_pages=[
            {"codes": [404, 500], "uri": "/404.html"},
            {"codes": [403], "uri": "/404.html"},
        ],
        headers={"X-A": "b"},
        expires=[{"type": "image/", "expires": "30d"}],
        charset="utf-8",
        default_type="text/plain",
        autoindex=True,
    )
    web.start()
    assert web.nginx.log.read_text() == ""


def test_the_default_server_is_the_one_that_says_so(web: Web) -> None:
    first, second = (
        web.site(name, listen=[f"unix:{web.directory}/shared"], default_server=name == "b.example")
        for name in ("a.example", "b.example")
    )
    web.start()
    first.write("x.txt", b"a")
    second.write("x.txt", b"b")
    for host, body in {"a.example": b"a", "b.example": b"b", "unknown.example": b"b"}.items():
        with Connection(web.directory / "shared") as connection:
            assert connection.ask("/x.txt", host=host).body == body
