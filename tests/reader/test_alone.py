"""Pages that are nowhere but in the store: validators, parts, and a store that is away."""

import gzip
import os
import re
import shutil
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from memfis.layout import keys
from support.http import Answer, Connection
from support.nginx import LUA, Site, Web
from support.process import wait_for

from .test_first_level import FRESH, figures

slowly = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = b"<!doctype html><p>hello</p>" * 40
GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def site(web: Web) -> Site:
    return web.site(source="store", from_memory="lua")


def etag_of(answer: Answer) -> str:
    etag = answer.header("ETag")
    assert etag is not None
    return etag


def test_a_page_is_told_from_another_by_its_content(web: Web, site: Site) -> None:
    """Also from one of the same size, and with the same client flags."""
    web.start()
    etags: set[str] = set()
    for content in (b"one", b"two", b"one "):
        site.put("/a", content)
        etag = etag_of(site.get("/a"))
        assert re.fullmatch('"[^"]+"', etag)
        assert site.get("/a", headers={"If-None-Match": etag}).status == 304
        assert all(site.get("/a", headers={"If-None-Match": each}).status == 200 for each in etags)
        etags.add(etag)
    assert len(etags) == 3
    site.put("/a", b"one")
    assert etag_of(site.get("/a")) in etags, "as before"
    site.put("/b.html", gzip.compress(TEXT), 2)
    plain, packed = (etag_of(site.get("/b.html", headers=headers)) for headers in ({}, GZIP))
    assert packed == f"W/{plain}"
    for asked in (plain, packed, f'"other", {plain}', f"{packed}, W/x", "*"):
        for headers in ({}, GZIP):
            answer = site.get("/b.html", headers={**headers, "If-None-Match": asked})
            assert (answer.status, answer.source, answer.body) == (304, "HIT", b"")
            assert answer.header("ETag") == (packed if headers else plain)
    assert site.get("/b.html").header("Last-Modified") is None


def test_preconditions(web: Web, site: Site) -> None:
    web.start()
    site.put("/a", b"memory")
    etag = etag_of(site.get("/a"))
    date = "Thu, 01 Jan 2099 00:00:00 GMT"
    for headers, status in (
        ({"If-Match": etag}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": '"other"', "Range": "bytes=0-1"}, 412),
        ({"If-Unmodified-Since": date}, 200),
        ({"If-Modified-Since": date}, 200),
        ({"If-None-Match": etag, "Range": "bytes=0-1"}, 304),
        ({"If-None-Match": '"other"', "Range": "bytes=0-1"}, 200),
    ):
        answer = site.get("/a", headers=headers)
        assert answer.status == status, headers
        assert (answer.body == b"memory") == (status == 200)


_SPACES = st.sampled_from(["", "", "", " ", "  "])
_NUMBERS = st.sampled_from(
    ["", "0", "00", "1", "5", "9", "10", "11", "12", "x", "-1", "9" * 18, "9" * 30]
) | st.integers(0, 20).map(str)
_RANGES = st.builds(
    "{}{}{}{}-{}{}{}".format,
    st.sampled_from(["bytes=", "bytes=", "Bytes=", "bytes", "items=", "bytes =", ""]),
    *(_SPACES, _NUMBERS, _SPACES, _SPACES, _NUMBERS, _SPACES),
)


def test_a_part_is_as_nginx_cuts_it(web: Web, site: Site) -> None:
    plain = web.site("plain.example", from_memory="off", index=[])
    web.start()
    for path, content in (("/some.bin", b"0123456789a"), ("/none.bin", b"")):
        plain.write(path[1:], content)
        site.put(path, content)

    @slowly
    @given(_RANGES, st.sampled_from(["/some.bin", "/some.bin", "/none.bin"]))
    @example("bytes=-0", "/some.bin")
    @example("bytes=", "/some.bin")
    @example("bytes=0-", "/none.bin")
    @example("bytes=1-", "/none.bin")
    def same(asked: str, path: str) -> None:
        expected, answer = (each.get(path, headers={"Range": asked}) for each in (plain, site))
        names = ("Content-Range", "Content-Length", "Accept-Ranges", "Content-Type")
        for name in names if expected.status != 416 else names[:1]:
            assert answer.header(name) == expected.header(name), name
        assert (answer.status, answer.body) == (expected.status, expected.body)

    same()
    whole = site.get("/some.bin", headers={"Range": "bytes=0-1,3-4"})
    assert (whole.status, whole.body) == (200, b"0123456789a"), "several at once"


def test_parts_of_what_was_had_before(web: Web, site: Site) -> None:
    web.start()
    site.put("/a.bin", b"0123456789")
    site.put("/b.html", gzip.compress(TEXT), 2)
    etag = etag_of(site.get("/a.bin"))
    for asked, status in (
        (etag, 206),
        (f"W/{etag}", 200),
        ('"other"', 200),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 200),
        ("x", 200),
    ):
        answer = site.get("/a.bin", headers={"Range": "bytes=4-", "If-Range": asked})
        assert (answer.status, answer.source) == (status, "HIT")
        assert answer.body == b"0123456789"[4 if status == 206 else 0 :]
        assert answer.header("ETag") == etag
    head = site.get("/a.bin", "HEAD", headers={"Range": "bytes=4-"})
    assert (head.status, head.header("Content-Range")) == (206, "bytes 4-9/10")
    # A compressed page has no parts; unpacked for who takes no gzip it has.
    packed = site.get("/b.html", headers=GZIP)
    assert packed.header("Accept-Ranges") is None
    for condition in ({}, {"If-Range": etag_of(packed)}):
        answer = site.get("/b.html", headers={**GZIP, "Range": "bytes=4-", **condition})
        assert (answer.status, answer.body) == (200, packed.body)
    plain = site.get("/b.html")
    assert plain.header("Accept-Ranges") == "bytes"
    answer = site.get("/b.html", headers={"Range": "bytes=4-", "If-Range": etag_of(plain)})
    assert (answer.status, answer.body) == (206, TEXT[4:])
    assert etag_of(answer) == etag_of(plain)


def test_an_error_page_has_no_parts(web: Web) -> None:
    site = web.site(
        source="store", from_memory="lua", error_pages=[{"codes": [404], "uri": "/lost.txt"}]
    )
    web.start()
    site.put("/lost.txt", b"lost")
    site.put("/docs/", b"docs")
    for headers in ({"Range": "bytes=1-2"}, {"If-None-Match": "*"}):
        answer = site.get("/missing", headers=headers)
        assert (answer.status, answer.body, answer.source) == (404, b"lost", "FALLBACK")
        answer = site.get("/docs", headers=headers)
        assert (answer.status, answer.header("Location")) == (301, "/docs/")


def test_each_request_is_counted_once(web: Web) -> None:
    site = web.site(
        source="store", from_memory="lua", error_pages=[{"codes": [404, 405], "uri": "/lost.txt"}]
    )
    web.start(patient=False)
    site.put("/lost.txt", b"lost")
    site.put("/docs/", b"docs")
    etag = etag_of(site.get("/docs/"))
    site.get("/docs/", headers={"Range": "bytes=1-2"})
    site.get("/docs/", headers={"If-None-Match": etag})
    for target in ("/missing", "/missing/", "/docs"):
        site.get(target)
    site.get("/docs/", "POST")
    site.get("/" + "long" * 70)
    web.store.end()
    site.tell()
    assert site.get("/docs/").status == 503
    counted = {"hit": 2, "not_modified": 1, "absent": 3, "method": 1, "target": 1, "away": 1}
    wait_for(lambda: figures(web, "site", site.name) == counted, "the figures")


# -- a store that is away ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_old_pages_are_shown_while_the_store_is_away(web: Web, site: Site, how: str) -> None:
    """But none of which a change was told, whenever that was, and none not asked for before."""
    web.start(workers=2, patient=False)
    content = {f"/{number}": os.urandom(500) for number in range(4)}
    for path, page in content.items():
        site.put(path, page)
    site.put("/unseen", b"unseen")
    site.put("/told", b"told")
    for path in [*content, "/told"] * 4:
        assert site.get(path).status == 200
    wrong: list[Answer] = []
    away = threading.Event()
    ended = threading.Event()
    seen = 0

    def visit() -> None:
        nonlocal seen
        while not ended.is_set():
            for path, page in content.items():
                answer = site.get(path)
                if (answer.status, answer.source, answer.body) != (200, "HIT", page):
                    wrong.append(answer)
                seen += away.is_set()

    visitors = [threading.Thread(target=visit) for _ in range(3)]
    try:
        for visitor in visitors:
            visitor.start()
        (web.store.end if how == "killed" else web.store.freeze)()
        away.set()
        began = time.monotonic()
        wait_for(lambda: seen > 200 and time.monotonic() > began + 3 * FRESH, "visitors")
        assert site.get("/told").body == b"told"
        site.tell(keys.page_key(site.name, b"/told"))
        for _ in range(4):
            for path in ("/told", "/unseen"):
                answer = site.get(path)
                assert (answer.status, answer.header("Retry-After")) == (503, "5")
    finally:
        ended.set()
        for visitor in visitors:
            visitor.join()
        if how == "frozen":
            web.store.thaw()
    assert not wrong, wrong[0]
    [line] = [line for line in web.nginx.log.read_text().splitlines() if "memfis:" in line]
    assert "what nginx itself has of its pages is shown for 600 s" in line
    if how == "killed":
        web.store.start()
        wait_for(lambda: site.get("/0").status == 404, "what was lost to be gone")
    else:
        wait_for(lambda: site.get("/told").body == b"told", "the store")


def test_a_change_is_told_while_somebody_waits_for_the_store(web: Web, site: Site) -> None:
    web.start(patient=False)
    site.put("/a", b"old")
    assert site.get("/a").body == b"old"
    web.store.freeze()
    try:
        time.sleep(FRESH)
        with Connection(site.public) as connection:
            connection.send(b"GET /a HTTP/1.1\r\nHost: site.example\r\n\r\n")
            time.sleep(FRESH / 5)
            site.tell(keys.page_key(site.name, b"/a"))
            assert connection.receive().status == 503
    finally:
        web.store.thaw()


def test_what_was_seen_to_be_gone_is_not_shown_again(web: Web, site: Site) -> None:
    """Nobody told of it: another host changed it. One worker saw it, the other has the old page."""
    web.start(workers=2, patient=False)
    for path in ("/gone", "/changed"):
        site.put(path, b"old")
        assert {site.get(path).body for _ in range(20)} == {b"old"}
    with web.store.client() as client:
        client.delete(keys.page_key(site.name, b"/gone"), noreply=False)
        client.set(keys.page_key(site.name, b"/changed"), b"new", noreply=False)
    wait_for(lambda: site.get("/gone").status == 404, "the page to be gone")
    wait_for(lambda: site.get("/changed").body == b"new", "the page to be new")
    web.store.end()
    time.sleep(FRESH)
    for _ in range(40):
        assert site.get("/gone").status in (404, 503)
        assert site.get("/changed").body == b"new"


def test_grace_has_an_end(web: Web, site: Site, directory: Path) -> None:
    lua = shutil.copytree(LUA, directory / "lua")
    file = lua / "memfis/first_level.lua"
    text, changed = re.subn(r"local GRACE = 600 ", "local GRACE = 3 ", file.read_text())
    assert changed == 1
    file.write_text(text)
    web.start(patient=False, lua=lua)
    site.put("/a", b"memory")
    assert site.get("/a").status == 200
    web.store.end()
    time.sleep(1.5 * FRESH)
    assert site.get("/a").body == b"memory"
    wait_for(lambda: site.get("/a").status == 503, "the end of the grace")
    web.store.start()
    site.put("/a", b"memory")
    wait_for(lambda: site.get("/a").status == 200, "the store")


def test_what_is_damaged_is_an_error(web: Web, site: Site, directory: Path) -> None:
    web.start()
    packed = gzip.compress(TEXT)
    site.put("/a.html", packed[:-5] + bytes([packed[-5] ^ 1]) + packed[-4:], 2)
    for _ in range(3):
        assert site.get("/a.html").status == 500
    [line] = [each for each in web.nginx.log.read_text().splitlines() if "[error]" in each]
    assert "the page memfis://site.example/a.html is damaged in the store" in line
    web.end()
    web.start(lua=directory / "nothing")
    assert site.get("/a.html").status == 503
