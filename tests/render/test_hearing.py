"""What the agent is told and by whom: hints, sitemaps, sockets of systemd, settings read again."""

import gzip
import os
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from memfis.nginx import hints
from memfis.nginx.hints import Hint, read
from memfis.render.sitemap import FILES, LIMIT, LeftOut, SitemapError, parse
from render.conftest import Rendered
from support.command import memfis
from support.origin import Origin, Reply
from support.process import wait_for

FRAME = b"<190>Nov 26 19:00:00 memfis: "


@pytest.mark.parametrize(
    ("told", "hint"),
    [
        (b'{"site": "a", "uri": "/b"}', Hint("a", b"/b")),
        (b'{"site":"a","uri":"/","more":[1]}', Hint("a", b"/")),
        (b'{"site": "a", "uri": "/\\u0020\\"\\\\"}', Hint("a", b'/ "\\')),
        (b'{"site": "a", "uri": "//C%2B%2B"}', Hint("a", b"//C%2B%2B")),
        (b'{"site": "a", "uri": ""}', Hint("a", None)),
        (
            b'{"site": "a", "uri": "", "kept_by": "b", "proxy": "::1"}',
            Hint("a", None, "b", "::1"),
        ),
        (b'{"site": "a", "uri": "/", "proxy": "unix:"}', Hint("a", b"/", "", "unix:")),
        ('{"site": "a", "uri": "/é"}'.encode(), Hint("a", "/é".encode())),
        (b'{"site": "a", "uri": "/\xe9\xff"}', Hint("a", b"/\xe9\xff")),
        (b'{"site": "a", "uri": "/%41"}', Hint("a", b"/%41")),
        *(
            (text, None)
            for text in (
                *(b"", b"{}", b"[]", b'{"site": "a"}', b'{"site": 1, "uri": "/"}', b'"/"'),
                *(b'{"site": "a", "uri": "b"}', b'{"site": "a", "uri": "/\\u007F"}'),
                *(b'{"site": "a", "uri": "/", "proxy": "evil"}', b'{"uri": "/"}'),
                *(b'{"site": "a", "uri": "/../b"}', b'{"site": "a", "uri": "//b"}'),
                *(b'{"site": "a", "uri": "/./b"}', b'{"site": "a", "uri": "/\\u0000"}'),
                *(b'{"site": "a", "uri": "//C%2b"}', b'{"site": "a", "uri": "/\\u007f"}'),
                *(b'{"site": "a", "uri": "/\\u1234"}', b'{"site": "a", "uri": "/" '),
                *(b'{"site": "a", "uri": "http://b/"}', b"\xff" * 100, b"{" * 4000),
            )
        ),
    ],
)
def test_hints(told: bytes, hint: Hint | None) -> None:
    assert read(FRAME + told) == hint
    assert read(told) is None


def test_what_anybody_may_send_does_little(rendered: Rendered, origin: Origin) -> None:
    origin.default = lambda path: Reply()
    metrics = rendered.directory / "metrics.sock"
    rendered.agent.settings["metrics"] = f"unix:{metrics}"
    rendered.start()
    for datagram in (b"", b"\xff" * 5000, FRAME + b'{"site": "other", "uri": "/"}', FRAME):
        rendered.send(datagram)
    rendered.hint("/" + "x" * 240)
    rendered.hint("/index.php")
    rendered.hint("/a/.config.inc")
    rendered.hint("/good")
    rendered.has("/good")
    assert origin.paths() == ["/good"]
    assert rendered.status()["figures"]["refusals"] == {
        "key too long": 1,
        "a name that is never served from memory": 2,
    }
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(metrics))) as http:
        figures = http.get("http://localhost/metrics").text.splitlines()
    assert 'memfis_hints_malformed_total{reason="no hint"} 3.0' in figures
    assert 'memfis_hints_malformed_total{reason="no site with PHP"} 1.0' in figures
    assert f'memfis_rendered_pages{{site="{rendered.NAME}"}} 1.0' in figures
    assert f'memfis_rendered_renders_total{{site="{rendered.NAME}"}} 1.0' in figures


def test_a_flood_of_hints_is_cut_off(rendered: Rendered, origin: Origin) -> None:
    origin.default = lambda path: Reply(status=404, delay=0.05)
    rendered.start()
    number = 6000
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(rendered.hints))
        for n in range(number):
            sender.send(FRAME + b'{"site": "%b", "uri": "/%d"}' % (rendered.NAME.encode(), n))
    wait_for(lambda: sum(rendered.status()["figures"]["hints"].values()) == number, "all hints")
    heard = rendered.status()["figures"]["hints"]
    assert heard["dropped"] > 0
    assert heard["queued"] <= hints.BURST + 60 * hints.RATE
    (rendered.root / "new.html").write_text("a file")
    began = time.monotonic()
    rendered.has("/new.html", b"a file")
    assert time.monotonic() - began < 2, "files are kept beside it"


URLSET = """<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
 <url><loc>https://www.php.example/</loc><lastmod>2026-01-01</lastmod></url>
 <url><loc> http://www.php.example/a%20b/?</loc></url>
 <url><loc>https://WWW.PHP.example:443/&amp;c#d</loc></url>
 <url><loc>https://www.php.example/?page=2</loc></url>
 <url><loc>https://elsewhere.example/</loc></url>
 <url><loc>ftp://www.php.example/</loc></url>
 <url><loc>/relative</loc></url>
 <url><priority>1</priority></url>
</urlset>"""


def test_a_sitemap() -> None:
    for document in (URLSET.encode(), gzip.compress(URLSET.encode())):
        found = parse(document, "www.php.example", 100)
        assert found.pages == {b"/": "2026-01-01", b"/a b/": "", b"/&c": ""}
        assert not found.sitemaps
        assert found.left_out == {
            "a URL with arguments": LeftOut(1, ["https://www.php.example/?page=2"]),
            "no URL of this host": LeftOut(
                4, ["https://elsewhere.example/", "ftp://www.php.example/", "/relative"]
            ),
        }
    found = parse(URLSET.encode(), "www.php.example", 2)
    assert len(found.pages) == 2
    assert found.left_out["beyond 2 pages (max_pages)"].number == 1


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html></html>",
        b"<urlset>",
        b"\x1f\x8b",
        gzip.compress(URLSET.encode())[:-9],
        b'<!DOCTYPE urlset [<!ENTITY a "b">]><urlset>&a;</urlset>',
        b'<!DOCTYPE urlset SYSTEM "file:///etc/passwd"><urlset/>',
        b"<urlset>" * 30,
        gzip.compress(b"<urlset>" + b" " * (51 * 1024 * 1024) + b"</urlset>"),
        b"<!DOCTYPE a [" + b"<!ENTITY a 'b'>" + b"<!ENTITY c '&a;&a;'>" * 30 + b"]><urlset/>",
        b"<urlset a='" + b"b" * (49 * 1024 * 1024) + b"'/>",
        b"<urlset><!--" + b"-" * (49 * 1024 * 1024),
        b"<" + b"a" * (49 * 1024 * 1024),
    ],
    ids=[
        *("empty", "html", "open", "cut", "cut gzip", "entity", "system", "deep", "bomb"),
        *("entities", "attribute", "comment", "name"),
    ],
)
def test_what_is_no_sitemap(document: bytes) -> None:
    with pytest.raises(SitemapError):
        parse(document, "www.php.example", 100)


def test_two_million_entries() -> None:
    entries = b"".join(b"<url><loc>https://a.example/%d</loc></url>" % n for n in range(1000))
    document = b"<urlset>" + entries * ((LIMIT - 100) // len(entries)) + b"</urlset>"
    with pytest.raises(SitemapError, match="has more than 1000000 elements"):
        parse(document, "a.example", 10)
    with pytest.raises(SitemapError, match="has more than 1000000 elements"):
        parse(b"<urlset>" + b"<url/>" * 2_000_000 + b"</urlset>", "a.example", 10)


def test_what_is_beyond_what_is_kept_is_counted_and_not_held() -> None:
    entries = b"".join(b"<url><loc>https://a.example/%d</loc></url>" % n for n in range(20_000))
    tracemalloc.start()
    found = parse(b"<urlset>" + entries + b"</urlset>", "a.example", 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.pages) == 10
    assert found.left_out["beyond 10 pages (max_pages)"].number == 19_990
    assert peak < 3_000_000
    indexes = entries.replace(b"url>", b"sitemap>")
    found = parse(b"<sitemapindex>" + indexes + b"</sitemapindex>", "a.example", 10)
    assert len(found.sitemaps) == FILES
    assert found.left_out["a sitemap beyond the 1000 that are read"].number == 19_000


def test_pages_of_sitemaps_are_rendered(rendered: Rendered, origin: Origin) -> None:
    def sitemap(body: str) -> Reply:
        return Reply(body.encode(), type="text/xml")

    index = "".join(
        f"<sitemap><loc>https://www.php.example/{name}</loc></sitemap>"
        for name in ("one.xml", "two.xml.gz", "broken.xml", "index.xml")
    )
    origin.default = lambda path: Reply(path.encode())
    origin.pages["/index.xml"] = sitemap(f"<sitemapindex>{index}</sitemapindex>")
    origin.pages["/one.xml"] = sitemap(
        "<urlset><url><loc>https://www.php.example/1/</loc></url></urlset>"
    )
    origin.pages["/two.xml.gz"] = Reply(
        gzip.compress(b"<urlset><url><loc>https://www.php.example/2/</loc></url></urlset>"),
        type="application/octet-stream",
    )
    origin.pages["/broken.xml"] = sitemap("nonsense")
    rendered.start(sitemaps=["/index.xml"])
    rendered.has("/1/", b"/1/")
    rendered.has("/2/", b"/2/")
    rendered.agent.hears("sitemap /broken.xml: is not XML")
    assert origin.count("/index.xml") == 1


def locations(*paths: str, kind: str = "url") -> bytes:
    named = "".join(f"<{kind}><loc>https://www.php.example{each}</loc></{kind}>" for each in paths)
    root = "urlset" if kind == "url" else "sitemapindex"
    return f"<{root}>{named}</{root}>".encode()


def test_hostile_sitemaps_are_told_in_one_line_each_and_nothing_waits_for_them(
    rendered: Rendered, origin: Origin
) -> None:
    origin.default = lambda path: Reply(path.encode())
    large = b"<urlset>" + b" " * (51 * 1024 * 1024) + b"</urlset>"
    entry = b"<url><loc>https://www.php.example/page</loc></url>"
    documents = {
        "/large.xml": large,
        "/bomb.xml.gz": gzip.compress(large, 1),
        "/entries.xml": b"<urlset>" + entry * 1_000_000 + b"</urlset>",
        "/laughs.xml": b'<!DOCTYPE a [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><urlset>&c;</urlset>',
        "/deep.xml": b"<urlset>" * 1_000_000,
        "/tag.xml": b"<urlset a='" + b"b" * (49 * 1024 * 1024) + b"'/>",
        "/circle.xml": locations("/circle.xml", "/index.xml", kind="sitemap"),
        "/%0Afor%1B%5B31mged.xml": b"nonsense",
    }
    index = locations(*documents, "/last.xml?page=1", kind="sitemap")
    origin.pages |= {path: Reply(body, type="text/xml") for path, body in documents.items()}
    origin.pages["/index.xml"] = Reply(index, type="text/xml")
    origin.pages["/last.xml?page=1"] = Reply(locations("/last"), type="text/xml")
    rendered.start(sitemaps=["/index.xml"], timeout=20)
    longest = 0.0
    while rendered.ttl("/last") is None:
        began = time.monotonic()
        rendered.status()
        longest = max(longest, time.monotonic() - began)
    print(f"status within {longest:.2f} s at worst")
    assert longest < 5
    said = rendered.agent.lines("sitemap ")
    assert [line.partition("sitemap ")[2] for line in said] == [
        "/large.xml: is larger than 52428800 bytes",
        "/bomb.xml.gz: is larger than 52428800 bytes",
        "/entries.xml: has more than 1000000 elements",
        "/laughs.xml: has a document type, which no sitemap has",
        "/deep.xml: is nested too deep",
        "/tag.xml: has markup of more than 1048576 bytes",
        "/%0Afor%1B%5B31mged.xml: is not XML: syntax error: line 1, column 0",
    ]


def test_what_sitemaps_name_is_kept(rendered: Rendered, origin: Origin) -> None:
    def cached(path: str) -> Reply:
        return Reply(path.encode(), [("Cache-Control", "max-age=4")])

    origin.default = cached
    origin.pages["/sitemap.xml"] = Reply(locations("/one", "/two/"), type="text/xml")
    rendered.start(sitemaps=["/sitemap.xml"], lifetime=4)
    for path in ("/one", "/two/"):
        rendered.has(path)
    rendered.hint("/other")
    rendered.has("/other")
    wait_for(lambda: origin.count("/one") >= 3, "a page that nobody asks for to be kept")
    assert rendered.ttl("/one") is not None
    assert origin.count("/other") == 1
    purge = ("purge", "--config", str(rendered.agent.config))
    for forget in (
        lambda: memfis(*purge, "/**"),
        lambda: memfis(*purge, "/two/"),
        lambda: rendered.store.delete_many([b"memfis://php.example/two/"]),  # as if evicted
    ):
        before = origin.count("/two/")
        forget()
        wait_for(lambda before=before: origin.count("/two/") > before, "it to be rendered")  # type: ignore[misc]
        rendered.has("/two/")
    rendered.memcached.end()
    rendered.memcached.start()
    rendered.store.close()
    for path in ("/one", "/two/"):
        rendered.has(path)


def test_a_restarted_agent_renders_nothing_anew_that_sitemaps_name(
    rendered: Rendered, origin: Origin
) -> None:
    paths = [f"/{n}" for n in range(200)]
    origin.default = lambda path: Reply(path.encode())
    origin.pages["/sitemap.xml"] = Reply(locations(*paths), type="text/xml")
    rendered.start(sitemaps=["/sitemap.xml"])
    wait_for(lambda: rendered.status()["pages"] == 200, "all to be rendered")
    rendered.agent.end()
    origin.asked.clear()
    rendered.agent.start()
    wait_for(lambda: rendered.status()["pages"] == 200, "all to be known")
    wait_for(lambda: "/sitemap.xml" in origin.paths(), "the sitemap to be read")
    rendered.hint("/new")
    rendered.has("/new")
    assert set(origin.paths()) == {"/sitemap.xml", "/new"}


@pytest.fixture
def activated(rendered: Rendered) -> Iterator[Rendered]:
    """Return a site whose agent gets its sockets as systemd passes them on."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard,
        socket.socket(socket.AF_UNIX) as asked,
    ):
        heard.bind(str(rendered.hints))
        asked.bind(str(rendered.purge))
        asked.listen()
        rendered.agent.configure()
        program = (
            "import os, sys\n"
            "first, second = int(sys.argv[1]), int(sys.argv[2])\n"
            "a, b = os.dup(first), os.dup(second)\n"
            "os.dup2(a, 3); os.dup2(b, 4)\n"
            "os.set_inheritable(3, True); os.set_inheritable(4, True)\n"
            "os.environ |= {'LISTEN_FDS': '2', 'LISTEN_PID': str(os.getpid())}\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'memfis', 'agent', *sys.argv[3:]])\n"
        )
        numbers = [str(heard.fileno()), str(asked.fileno())]
        with (rendered.directory / "activated.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-c", program, *numbers, "--config", rendered.agent.config],
                pass_fds=(heard.fileno(), asked.fileno()),
                stderr=log,
            )
        try:
            yield rendered
        finally:
            child.terminate()
            assert child.wait(20) == 0


def test_sockets_of_systemd(activated: Rendered, origin: Origin) -> None:
    origin.default = lambda path: Reply(path.encode())
    activated.hint("/early")  # before the agent looked
    activated.has("/early", b"/early")
    transport = httpx.HTTPTransport(uds=str(activated.purge))
    with httpx.Client(transport=transport, timeout=10) as http:
        answer = http.request(
            "PURGE", "http://www.php.example/early", headers={"X-Memfis-Site": activated.NAME}
        )
    assert (answer.status_code, answer.text) == (200, "1 page purged\n")
    assert activated.ttl("/early") is None
    assert activated.hints.exists()


def test_settings_read_again(rendered: Rendered, origin: Origin, directory: Path) -> None:
    origin.default = lambda path: Reply(path.encode())
    rendered.start()
    rendered.hint("/one")
    rendered.has("/one")
    assert rendered.hints.exists()
    rendered.hints = directory / "other.sock"
    rendered.agent.sites[0]["php"] = rendered.php | {
        "hints": str(rendered.hints),
        "render": ["/two"],
    }
    rendered.agent.reload()
    rendered.has("/two", b"/two")
    wait_for(rendered.hints.exists, "the new socket")
    assert not (directory / "hints.sock").exists()
    rendered.hint("/three")
    rendered.has("/three")
    without = {key: value for key, value in rendered.settings.items() if key != "php"}
    rendered.agent.sites[0] = without
    rendered.agent.reload()
    assert not rendered.hints.exists()
    assert not rendered.purge.exists()
    assert memfis("verify", "--config", rendered.agent.config).returncode == 0


def test_a_socket_that_is_in_use_is_told_and_tried_again(
    rendered: Rendered, origin: Origin
) -> None:
    origin.default = lambda path: Reply(path.encode())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(os.fspath(rendered.hints))
        rendered.start()
        [line] = rendered.agent.lines("hints")
        assert "another process listens there" in line
        assert "not listening, hints" in memfis("status", "-c", rendered.agent.config).stdout
    rendered.agent.hears("hints", "listening now")
    rendered.hint("/one")
    rendered.has("/one")
