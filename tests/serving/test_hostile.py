"""Whatever is sent: a public page, a redirect or an error, and the store holds what it held."""

import random
from collections.abc import Iterator

import pytest

from memfis.layout import keys
from support.directory import reachable_directory
from support.http import Connection
from support.nginx import Site, Web

SECRET = b"secret"
PUBLIC = {"/": b"public home", "/page.html": b"public page", "/a b%.txt": b"public text"}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with reachable_directory() as directory:
        web = Web(directory)
        site = web.site()
        other = web.site("other.example")
        site.write("index.html", PUBLIC["/"])
        site.write("page.html", PUBLIC["/page.html"])
        for name in (".git/config", "x.php", "config.inc", "../outside.txt"):
            site.write(name, SECRET)
        other.write("private.html", SECRET)
        try:
            web.start()
            for path, page in PUBLIC.items():
                site.put(path, page)
            other.put("/private.html", SECRET)
            for key in (
                keys.private_key(site.name, b"/page.html"),
                keys.directory_key(site.name, b"/"),
                keys.site_key(site.name),
                keys.page_key(site.name, b"/.git/config"),
                keys.page_key(site.name, b"/x.php"),
                b"/page.html",
                b"page.html",
                b"x" * 250,
            ):
                web.store.put(key, SECRET)
            yield site
        finally:
            web.end()


def harmless(site: Site, data: bytes, method: str = "GET") -> int | None:
    """Send `data` and return the status; None when nginx hangs up without a word."""
    before = site.store.items()
    with Connection(site.public) as connection:
        connection.send(data)
        try:
            answer = connection.receive(method)
        except ConnectionError:
            status = None
        else:
            status = answer.status
            assert status in (200, 301, 400, 403, 404, 405, 414, 501, 505), data
            assert SECRET not in answer.body
            assert SECRET not in bytes(answer.headers)
            if status == 200 and method != "HEAD":
                assert answer.body in PUBLIC.values()
            assert answer.header("Set-Cookie") is None
    assert site.store.items() == before
    return status


TARGETS = [
    b"/%2e%2e/outside.txt",
    b"/..%2foutside.txt",
    b"/..%2Foutside.txt",
    b"/..%5coutside.txt",
    b"/..%252foutside.txt",
    b"/%252e%252e/outside.txt",
    b"/page.html/..%2f..%2foutside.txt",
    b"/%c0%ae%c0%ae/outside.txt",
    b"/../../../../etc/passwd",
    b"/./.git/config",
    b"//.git//config",
    b"/%2egit/config",
    b"/%2Egit%2Fconfig",
    b"/.git/config%00.html",
    b"/page.html%00",
    b"/%00",
    b"/x.php%00.html",
    b"/x%2ephp",
    b"/x.php%20",
    b"/x.php%0a",
    b"/x.php/",
    b"/x.php;.html",
    b"/config.inc?x=.html",
    b"/page.html%3Fattr",
    b"/page.html%3fattr",
    b"/page.html?attr",
    b"/page.html#x",
    b"/page.html%23x",
    b"/%0d%0aflush_all%0d%0a",
    b"/page.html%0d%0aset%20x%200%200%201%0d%0ax%0d%0a",
    b"/page.html%0d%0aSet-Cookie:%20x=y",
    b"/%0d%0aSet-Cookie:%20x=y/..",
    b"/page.html%20x",
    b"/page.html%09flush_all",
    b"/page.html\tx",
    b"/page.html\x0bx",
    b"/page.html\x7f",
    b"/page.html%7f",
    b"/\xff\xfe",
    b"/%ff%fe",
    b"/page.html\x00",
    b"/page.html\r",
    b"/" + b"A" * 229 + b"%0d%0aflush_all",
    b"/" + b"A" * 5000,
    b"/" + b"A" * 2048 + b"%0d%0aflush_all%0d%0a" + b"A" * 2048,
    b"/" + b"%0d%0aflush_all%0d%0a" * 200,
    b"/" + b"A" * 9000,
    b"/" + b"%20" * 2600,
    b"/page.html?" + b"a" * 5000,
    b"x" * 250,
    b"page.html",
    b"memfis://site.example/page.html",
    b"memfis-private://site.example/page.html",
    b"memfis-dir://site.example/",
    b"memfis-site://site.example",
    b"/memfis-private://site.example/page.html",
    b"/../memfis-dir://site.example/",
    b"http://site.example/page.html",
    b"http://other.example/page.html",
    b"http://site.example",
    b"http://site.example?x",
    b"http://../x",
    b"http:///page.html",
    b"https://site.example:1/.git/config",
    b"ftp://site.example/page.html",
    b"//other.example/private.html",
    b"/%",
    b"/%zz",
    b"/%2",
    b"*",
    b"",
    b"?",
    b"/?/../.git/config",
    b"/~",
    b"/${uri}",
    b"/$memcached_key",
]


METHODS = [b"GET", b"HEAD", b"POST", b"get", b"CONNECT", b"TRACE", b"G\xc3T"]


@pytest.mark.parametrize("method", METHODS)
def test_targets(site: Site, method: bytes) -> None:
    for target in TARGETS:
        head = b"%s %s HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n"
        harmless(site, head % (method, target), method.decode("latin-1"))


def test_public_pages_still_come_from_memory(site: Site) -> None:
    for path, page in PUBLIC.items():
        answer = site.get(path.replace("%", "%25").replace(" ", "%20"))
        assert (answer.source, answer.body) == ("HIT", page)


@pytest.mark.parametrize(
    "host",
    [
        b"other.example/../site.example",
        b"SITE.EXAMPLE",
        b"site.example.",
        b"site.example:80",
        b"site.example:x",
        b"memfis-private://site.example",
        b"site.example/.git",
        b"site.example\x00",
        b"site.example\t",
        b"unknown.example",
        b"a" * 300,
        b"[::1]",
        b"",
        b"..",
        b"$memcached_key",
    ],
)
def test_hosts(site: Site, host: bytes) -> None:
    """The key has the site's configured name in it, never the name that was asked for."""
    harmless(site, b"GET /page.html HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host)


def test_two_hosts_and_none(site: Site) -> None:
    for head in (
        b"GET /page.html HTTP/1.1\r\nHost: site.example\r\nHost: other.example\r\n\r\n",
        b"GET /page.html HTTP/1.1\r\n\r\n",
    ):
        assert harmless(site, head) == 400
    assert harmless(site, b"GET /page.html HTTP/1.0\r\n\r\n") == 200


@pytest.mark.parametrize(
    "data",
    [
        b"flush_all\r\n",
        b"set x 0 0 1\r\nx\r\n",
        b"GET /page.html\r\nflush_all\r\n",
        b"GET memfis://site.example/page.html\r\nflush_all\r\n",
        b"GET /page.html HTTP/1.1\r\nHost: site.example\r\nX: y\r\n flush_all\r\n\r\n",
        b"GET /page.html HTTP/1.1\r\nHost: site.example\r\nContent-Length: 11\r\n\r\nflush_all\r\n",
        b"GET /page.html HTTP/1.1\r\nHost: site.example\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"b\r\nflush_all\r\n\r\n0\r\n\r\n",
        b"POST /page.html HTTP/1.1\r\nHost: site.example\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /page.html HTTP/1.1\r\nHost: site.example\r\nExpect: 100-continue\r\n"
        b"Upgrade: memcached\r\nConnection: upgrade\r\n\r\n",
        b"GET /page.html HTTP/9.9\r\nHost: site.example\r\n\r\n",
        b"GET /page.html HTTP/1.1\nHost: site.example\n\n",
        b"\x80\x08\x00\x00" + bytes(20),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
    ],
)
def test_requests_that_are_none(site: Site, data: bytes) -> None:
    with Connection(site.public) as connection:
        before = site.store.items()
        connection.send(data)
        connection.socket.shutdown(1)
        answer = b"".join(iter(lambda: connection.socket.recv(65536), b""))
        assert SECRET not in answer
        assert site.store.items() == before


def test_random_targets(site: Site) -> None:
    """Pieces of all of the above, in any order; the seed is fixed so that a failure comes back."""
    pieces = [
        *(
            b"/",
            b"..",
            b".",
            b"%2e",
            b"%2f",
            b"%5c",
            b"%00",
            b"%0d%0a",
            b"%20",
            b"%25",
            b"?",
            b"%3f",
        ),
        *(
            b".git",
            b"config",
            b"x.php",
            b"page.html",
            b"index.html",
            b"memfis-private:",
            b"#",
            b";",
        ),
        *(
            b"other.example",
            b"private.html",
            b"outside.txt",
            b"%ff",
            b"\xff",
            b"~",
            b"//",
            b"a" * 120,
        ),
    ]
    choice = random.Random(2026)
    before = site.store.items()
    for _ in range(1500):
        target = b"/" + b"".join(choice.choices(pieces, k=choice.randint(1, 8)))
        answer = site.get(target)
        assert answer.status in (200, 301, 400, 403, 404), target
        assert SECRET not in answer.body, target
        assert answer.status != 200 or answer.body in PUBLIC.values(), target
    assert site.store.items() == before
