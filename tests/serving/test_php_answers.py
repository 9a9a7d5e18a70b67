"""What the application says of its pages is said again from memory, where the reader can."""

import time
from collections.abc import Iterator

import pytest

from memfis.layout.keys import body_of, head_of, page_key
from support.http import Answer, Connection
from support.nginx import Site, Web
from support.php import PhpFpm, kept_site
from support.ports import free_port
from support.process import wait_for

FRONT = b"""<?php
$beside = dirname($_SERVER['DOCUMENT_ROOT']);
foreach (file("$beside/headers", FILE_IGNORE_NEW_LINES) as $line) {
    header($line, false);
}
http_response_code((int) file_get_contents("$beside/status"));
echo '<p>', str_repeat('words ', 200), file_get_contents("$beside/word"), '</p>';
"""

OF_THE_MOMENT = {
    "Date",
    "Age",
    "X-Memfis",
    "Connection",
    "Server",
    "Content-Length",
    "Transfer-Encoding",
}
"""Fields that two answers may differ in. PHP's come in chunks."""


EXPIRES = {"expires": [{"type": "text/html", "expires": "1h"}]}
"""A setting for files: what the application says of caching stays as it is."""


@pytest.fixture(params=[{}, EXPIRES], ids=["plain", "expires"])
def site(request: pytest.FixtureRequest, web: Web, php: PhpFpm) -> Iterator[Site]:
    """A site that is read by Lua, with an agent that keeps it."""
    with kept_site(
        web,
        php,
        default_type="text/html",
        charset="utf-8",
        from_memory="lua",
        listen=[f"unix:{web.directory}/site.example.public", f"127.0.0.1:{free_port()}"],
        headers={"X-Content-Type-Options": "nosniff"},
        **request.param,
    ) as site:
        yield site


def say(site: Site, *lines: str, status: int = 200, word: str = "first") -> None:
    """Let the application say these header lines, with `status`."""
    beside = site.root.parent
    (beside / "headers").write_text("".join(f"{line}\n" for line in lines))
    (beside / "status").write_text(str(status))
    (beside / "word").write_text(word)
    site.write("index.php", FRONT)


def from_memory(site: Site, target: str) -> Answer:
    """Wait until the page comes from memory, and return that answer."""
    wait_for(lambda: site.get(target).source == "HIT", f"{target} in memory")
    return site.get(target)


def fields(answer: Answer) -> list[tuple[str, str]]:
    """Return what two answers with the same content have to have in common."""
    return sorted(
        (name, str(value)) for name, value in answer.headers.items() if name not in OF_THE_MOMENT
    )


def stored(web: Web, site: Site, path: str) -> list[bool]:
    """Return whether the page, its head, and a body apart are in the store."""
    page = page_key(site.name, path.encode())
    with web.store.client() as client:
        return [client.get(key) is not None for key in (page, head_of(page), body_of(page))]


def test_every_field_is_said_again(site: Site) -> None:
    say(
        site,
        *("Link: </a.css>; rel=preload", "Link: </b.css>; rel=preload", "X-App: 1"),
        *("Cache-Control: max-age=60, s-maxage=100", "Expires: Thu, 01 Jan 2037 00:00:00 GMT"),
        *('ETag: "of the application"', "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT"),
        *("Content-Language: de", "Content-Security-Policy: default-src 'self'"),
    )
    first = site.get("/page")
    assert first.source == "FALLBACK"
    found = from_memory(site, "/page")
    assert found.body == first.body
    assert fields(found) == fields(first)
    assert found.header("Link") == "</a.css>; rel=preload, </b.css>; rel=preload"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/feed/", "application/rss+xml; charset=UTF-8"),
        ("/wp-json/posts", "application/json"),
        ("/clean", "text/html; charset=ISO-8859-1"),
        ("/sitemap.xml", "application/xml"),
        ("/style.css", "text/plain"),
    ],
)
def test_its_own_content_type(web: Web, site: Site, target: str, kind: str) -> None:
    say(site, f"Content-Type: {kind}")
    first = site.get(target)
    found = from_memory(site, target)
    assert (found.header("Content-Type"), found.body) == (first.header("Content-Type"), first.body)
    assert stored(web, site, target) == [False, True, True], "memcached_pass would say another"


def test_a_page_that_memcached_pass_can_send_is_one(web: Web, site: Site) -> None:
    say(site, "Cache-Control: max-age=60")
    site.get("/page")
    from_memory(site, "/page")
    assert stored(web, site, "/page") == [True, True, False]


def test_a_header_of_the_sites_own_is_there_once(site: Site) -> None:
    say(site, "X-Content-Type-Options: nosniff")
    site.get("/page")
    assert from_memory(site, "/page").header("X-Content-Type-Options") == "nosniff"


def test_age(site: Site) -> None:
    say(site)
    assert site.get("/page").header("Age") is None
    began = time.time()
    first = int(from_memory(site, "/page").header("Age") or -1)
    assert 0 <= first <= time.time() - began + 2
    time.sleep(1.1)
    assert first < int(site.get("/page").header("Age") or -1) <= time.time() - began + 2


@pytest.mark.parametrize("own", [(), ('ETag: "own"',), ('ETag: W/"own"',)])
def test_not_modified(site: Site, own: tuple[str, ...]) -> None:
    say(site, *own)
    site.get("/page")
    etag = from_memory(site, "/page").header("ETag")
    assert etag is not None
    for accepted in ("gzip", "identity"):
        for condition in (etag, f'"x", {etag}', "*", etag.removeprefix("W/")):
            headers = {"If-None-Match": condition, "Accept-Encoding": accepted}
            answer = site.get("/page", headers=headers)
            assert (answer.status, answer.source, answer.body) == (304, "HIT", b"")
            assert (answer.header("ETag") or "").removeprefix("W/") == etag.removeprefix("W/")
        assert site.get("/page", headers={"If-None-Match": '"x"'}).status == 200


def test_what_changed_is_sent_to_who_has_an_old_one(site: Site) -> None:
    say(site)
    site.get("/page")
    etag = from_memory(site, "/page").header("ETag")
    assert etag is not None
    say(site, word="other")
    purge(site, "/page")
    answer = site.get("/page", headers={"If-None-Match": etag})
    assert (answer.status, b"other" in answer.body) == (200, True)
    from_memory(site, "/page")
    answer = site.get("/page", headers={"If-None-Match": etag})
    assert (answer.status, answer.source, b"other" in answer.body) == (200, "HIT", True)


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (301, ("Location: http://site.example/new/", "Cache-Control: max-age=60")),
        (302, ("Location: /new?a=b", "X-Accel-Expires: 60")),
        (307, ("Location: /new", "Cache-Control: s-maxage=60")),
        (404, ("Cache-Control: public, max-age=60",)),
        (410, ("Surrogate-Control: max-age=60",)),
    ],
)
def test_other_statuses_with_a_lifetime(
    web: Web, site: Site, status: int, lines: tuple[str, ...]
) -> None:
    say(site, *lines, status=status)
    first = site.get("/old")
    assert (first.status, first.source) == (status, "FALLBACK")
    found = from_memory(site, "/old")
    assert (found.status, found.body) == (status, first.body)
    # nginx compresses no other statuses, so PHP's answer does not vary.
    assert [each for each in fields(found) if each[0] != "Vary"] == [
        each for each in fields(first) if each[0] != "Vary"
    ]
    assert stored(web, site, "/old") == [False, True, True]
    purge(site, "/old")
    assert stored(web, site, "/old") == [False, False, False]
    assert site.get("/old").source == "FALLBACK"


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (301, ("Location: /new",)),
        (404, ()),
        (404, ("Cache-Control: max-age=0",)),
        (301, ("Location: /new", "Cache-Control: max-age=60", "Set-Cookie: a=b")),
        (403, ("Cache-Control: max-age=60",)),
        (200, ("Set-Cookie: a=b",)),
        (200, ("Content-Encoding: br",)),
    ],
)
def test_what_is_not_kept(web: Web, site: Site, status: int, lines: tuple[str, ...]) -> None:
    say(site, *lines, status=status)
    for _ in range(5):
        answer = site.get("/other")
        assert (answer.status, answer.source) == (status, "FALLBACK")
        time.sleep(0.1)
    assert stored(web, site, "/other") == [False, False, False]


def purge(site: Site, target: str) -> None:
    """Purge a page by HTTP, as the application does, from the host itself."""
    port = int(site.settings["listen"][1].rpartition(":")[2])
    with Connection(("127.0.0.1", port)) as connection:
        assert connection.ask(target, "PURGE").status == 200
