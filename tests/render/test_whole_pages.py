"""Memory keeps whole pages only: not empty ones, none that was cut off, none that ends too soon."""

import time

import pytest

from memfis.render.rules import Refusal
from memfis.render.whole import EMPTY, Wholeness
from render.conftest import Rendered
from support.origin import Origin, Reply
from support.process import wait_for

HTML = "text/html; charset=utf-8"
XHTML = "application/xhtml+xml"
UNFINISHED = Refusal("a page that does not end with </html>")
SIZE = 16 * 1024 * 1024

CASES: list[tuple[str, str | None, str, bytes, Refusal | None]] = [
    ("whole", None, HTML, b"<html><p>x</p></html>", None),
    ("half", None, HTML, b"<html><p>x</p>", UNFINISHED),
    ("half a tag", None, HTML, b"<html><p>x</p></htm", UNFINISHED),
    ("a fatal error", None, HTML, b"<!DOCTYPE html>\n<html>\n<p>x\nFatal error: x", UNFINISHED),
    ("text after the end", None, HTML, b"<html></html>\nFatal error: x", UNFINISHED),
    ("in any case", None, HTML, b"<HTML><P>x</HtMl>", None),
    ("in any case, half", None, HTML, b"<!doctype HTML><HTML LANG=de><P>x", UNFINISHED),
    ("white space", None, HTML, b"\r\n\t <html\n>x</html>\r\n\t \f\n", None),
    ("a byte order mark", None, HTML, b"\xef\xbb\xbf<html>x", UNFINISHED),
    ("a comment in front", None, HTML, b"<!-- <p> -- > --> <!----><html>x", UNFINISHED),
    ("XML's declaration", None, XHTML, b'<?xml version="1.0"?><html xmlns="x">', UNFINISHED),
    ("XHTML, whole", None, XHTML, b'<?xml version="1.0"?><html xmlns="x"></html>', None),
    ("a comment at the end", None, HTML, b"<html>x</html><!-- 0.1 s -->", None),
    ("comments", None, HTML, b"<html>x</html> <!-- a\n-- b --> \n<!----><!-- <p> -->\n", None),
    ("a comment's begin in a comment", None, HTML, b"<html></html><!-- a <!-- b -->", None),
    ("an open comment", None, HTML, b"<html>x</html><!-- 0.1 s", UNFINISHED),
    ("an end in a comment", None, HTML, b"<html>x<!-- </html> -->", UNFINISHED),
    ("a comment's end alone", None, HTML, b"<html>x</html> -->", UNFINISHED),
    ("a part of a page", None, HTML, b"<p>x</p>", None),
    ("another element", None, HTML, b"<htmlx>", None),
    ("html later", None, HTML, b"<p>a</p><html>", None),
    ("a comment that is open in front", None, HTML, b"<!-- <html>", None),
    ("text", None, "text/plain", b"<html>x", None),
    ("a type in upper case", None, "TEXT/HTML ;charset=x", b"<html>x", UNFINISHED),
    ("empty", None, HTML, b"", EMPTY),
    ("empty text", None, "text/plain", b"", EMPTY),
    ("empty where nothing is asked", "", HTML, b"", EMPTY),
    ("half where nothing is asked", "", HTML, b"<html>x", None),
    ("nothing but white space is asked", "  ", HTML, b"<html>x", None),
    ("the site's end", "</body>", HTML, b"<p>x</BODY>\n", None),
    (
        "the site's end, of a part",
        "</body>",
        HTML,
        b"<p>x",
        Refusal("a page that does not end with </body>"),
    ),
    (
        "the usual end is not the site's",
        "</body>",
        HTML,
        b"<html></body></html>",
        Refusal("a page that does not end with </body>"),
    ),
    ("the site's end is of HTML alone", "</body>", "text/css", b"p {}", None),
    ("the site's end is a comment", "<!-- end -->", HTML, b"x<!-- end --><!-- 1 s -->\n", None),
    (
        "the site's end is no expression",
        "(.*)",
        HTML,
        b"x",
        Refusal("a page that does not end with (.*)"),
    ),
    ("the site's end in letters", "</p>é", HTML, "<p>x</p>é".encode(), None),
]


@pytest.mark.parametrize(
    ("page_end", "media_type", "body", "lack"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_what_is_whole(
    page_end: str | None, media_type: str, body: bytes, lack: Refusal | None
) -> None:
    assert Wholeness(page_end).check(media_type, body) == lack


@pytest.mark.parametrize(
    "body",
    [
        b"<!--" * (SIZE // 4),
        b"<html>" + b"<!--" * (SIZE // 4) + b"-->",
        b"<html>" + b"</html><!--" * (SIZE // 11) + b"-->x-->",
        b"<html></html>" + b"<!---->" * (SIZE // 7) + b"-",
        b"<html></html" + b" " * SIZE,
        b"<html></html><!--" + b"-" * SIZE + b">",
        b"<!-- -->" * (SIZE // 8),
        b"<!doctype" * (SIZE // 9),
    ],
    ids=lambda body: body[:30].decode(),
)
def test_no_page_takes_long(body: bytes) -> None:
    """What is not linear would take hours."""
    began = time.process_time()
    Wholeness(None).check(HTML, body)
    Wholeness("--").check(HTML, body)
    assert time.process_time() - began < 5


def refusals(rendered: Rendered) -> dict[str, int]:
    found: dict[str, int] = rendered.status()["figures"]["refusals"]
    return found


def failures(rendered: Rendered) -> int:
    found: int = rendered.status()["figures"]["failures"]
    return found


def test_what_is_not_whole_is_not_kept_and_named(rendered: Rendered, origin: Origin) -> None:
    origin.pages |= {
        "/empty": Reply(b""),
        "/half": Reply(b"<!DOCTYPE html><html><p>x"),
        "/whole": Reply(b"<!DOCTYPE html><html><p>x</html><!-- 1 s -->"),
        "/part": Reply(b"<p>x"),
        "/moved": Reply(b"", [("Location", "/")], status=302),
        "/private": Reply(b"", [("Cache-Control", "private")]),
    }
    rendered.start()
    for path in origin.pages:
        rendered.hint(path)
    rendered.has("/whole")
    rendered.has("/part")
    wait_for(lambda: sum(refusals(rendered).values()) == 4, "refusals")
    assert refusals(rendered) == {
        "an empty page": 1,
        "a page that does not end with </html>": 1,
        "status 302": 1,
        "Cache-Control: private": 1,
    }
    assert [rendered.ttl(path) for path in ("/empty", "/half")] == [None, None]
    figures = rendered.status()["figures"]
    assert list(figures["examples"]["an empty page"]) == ["/empty"]
    assert figures["failures"] == 2
    assert not rendered.status()["trouble"]


@pytest.mark.parametrize(
    ("page_end", "kept"), [("</body>", ["/body"]), ("", ["/body", "/html", "/neither"])]
)
def test_a_site_says_how_its_pages_end(
    rendered: Rendered, origin: Origin, page_end: str, kept: list[str]
) -> None:
    origin.pages |= {
        "/body": Reply(b"<html><p>x</body>"),
        "/html": Reply(b"<html><p>x</body></html>"),
        "/neither": Reply(b"<p>x"),
    }
    rendered.start(page_end=page_end)
    for path in origin.pages:
        rendered.hint(path)
    done = len(kept) + len(refused := origin.pages.keys() - kept)
    wait_for(lambda: len(origin.paths()) == done, "all to be asked for")
    for path in kept:
        rendered.has(path)
    wait_for(lambda: sum(refusals(rendered).values()) == len(refused), "refusals")
    assert [path for path in refused if rendered.ttl(path) is not None] == []


@pytest.mark.parametrize("chunked", [False, True], ids=["less than its length", "chunks"])
def test_what_is_cut_off_is_a_failure(rendered: Rendered, origin: Origin, chunked: bool) -> None:
    cached = [("Cache-Control", "max-age=3")]
    origin.pages["/old"] = Reply(b"<p>whole</p>", cached)
    rendered.start()
    rendered.hint("/old")
    rendered.has("/old")
    cut = Reply(b"<p>whole</p>", cached, cut=True, chunked=chunked)
    origin.pages |= {"/old": cut, "/new": cut}
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert rendered.content("/old") == b"<p>whole</p>"
        time.sleep(0.1)
    assert origin.count("/old") > 1
    rendered.hint("/new")
    wait_for(lambda: origin.count("/new") > 0, "/new to be asked for")
    wait_for(lambda: failures(rendered) == len(origin.paths()) - 1, "all of them to fail")
    assert rendered.ttl("/new") is None
    assert refusals(rendered) == {}


def test_chunks_that_end_are_a_page(rendered: Rendered, origin: Origin) -> None:
    origin.pages["/chunks"] = Reply(b"<html>x</html>", chunked=True)
    rendered.start()
    rendered.hint("/chunks")
    rendered.has("/chunks", b"<html>x</html>")


def test_an_old_page_stays_while_the_new_one_is_not_whole(
    rendered: Rendered, origin: Origin
) -> None:
    cached = [("Cache-Control", "max-age=3")]
    whole = Reply(b"<html>old</html>", cached)
    origin.pages |= {"/empty": whole, "/half": whole}
    rendered.start()
    for path in ("/empty", "/half"):
        rendered.hint(path)
        rendered.has(path)
    origin.pages |= {"/empty": Reply(b"", cached), "/half": Reply(b"<html>ne", cached)}
    end = time.monotonic() + 8
    while time.monotonic() < end:
        assert rendered.content("/empty") == b"<html>old</html>"
        assert rendered.content("/half") == b"<html>old</html>"
        time.sleep(0.1)
    assert refusals(rendered).keys() == {"an empty page", UNFINISHED.reason}
    assert not rendered.status()["trouble"], "it answers, and other pages may be whole"
    new = Reply(b"<html>new</html>", cached)
    origin.pages |= {"/empty": new, "/half": new}
    rendered.has("/empty", b"<html>new</html>")
    rendered.has("/half", b"<html>new</html>")


def test_an_old_page_stays_no_longer_than_it_may(rendered: Rendered, origin: Origin) -> None:
    origin.pages["/page"] = Reply(b"<p>old", [("Cache-Control", "max-age=3, must-revalidate")])
    rendered.start()
    rendered.hint("/page")
    rendered.has("/page")
    origin.pages["/page"] = Reply(b"")
    wait_for(lambda: rendered.content("/page") is None, "the page to end", 6)


def test_what_never_ends_is_not_asked_for_again_and_again(
    rendered: Rendered, origin: Origin
) -> None:
    """With visitors, on the list, and while an old page is still there: less and less often."""
    origin.pages["/old"] = Reply(b"<html>x</html>", [("Cache-Control", "max-age=3")])
    half = origin.pages["/listed"] = origin.pages["/new"] = Reply(b"<html>x")
    rendered.start(render=["/listed"])
    rendered.hint("/old")
    rendered.has("/old")
    origin.pages["/old"] = half
    end = time.monotonic() + 9
    while time.monotonic() < end:
        rendered.hint("/new")
        assert rendered.content("/old") == b"<html>x</html>"
        time.sleep(0.02)
    assert origin.count("/new") == 1
    assert origin.count("/listed") == 1
    assert 3 <= origin.count("/old") <= 6
    [said] = rendered.agent.lines("/old could not be rendered")
    assert UNFINISHED.reason in said
    assert not rendered.agent.lines("/new could not be rendered")


def test_a_good_page_is_not_kept_waiting_by_others(rendered: Rendered, origin: Origin) -> None:
    origin.default = lambda path: Reply(b"<html>x")
    origin.pages["/good"] = Reply(b"<html>x</html>")
    rendered.start()
    for number in range(100):
        rendered.hint(f"/{number}")
    rendered.hint("/good")
    rendered.has("/good")
    wait_for(lambda: failures(rendered) == 100, "all to be rendered", 10)
