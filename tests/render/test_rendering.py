"""What the agent renders, when, and what becomes of it."""

import time
from functools import partial

from memfis.layout.keys import body_of, page_key
from render.conftest import Rendered
from support.command import memfis
from support.origin import Origin, Reply
from support.process import wait_for


def test_what_visitors_miss_is_rendered(rendered: Rendered, origin: Origin) -> None:
    origin.pages["/blog/hello/"] = Reply(b"<p>hello</p>" * 100)
    rendered.start()
    rendered.hint("/blog/hello/")
    rendered.has("/blog/hello/", b"<p>hello</p>" * 100)
    assert 290 <= (rendered.ttl("/blog/hello/") or 0) <= 300
    [asked] = [each for each in origin.asked if each.path == "/blog/hello/"]
    assert asked.headers["host"] == "www.php.example"
    assert not asked.headers.keys() & {"cookie", "authorization"}


def test_the_list_is_rendered_without_a_visitor(rendered: Rendered, origin: Origin) -> None:
    origin.default = lambda path: Reply(path.encode())
    rendered.start(render=["/", "/about", "/blog/"])
    for path in ("/", "/about", "/blog/"):
        rendered.has(path, path.encode())
    assert rendered.status()["pages"] == 3


def test_the_list_is_escaped_and_what_has_no_page_is_said(
    rendered: Rendered, origin: Origin
) -> None:
    origin.default = lambda path: Reply(path.encode())
    kept = {"/ü": "/%C3%BC", "//C%2B%2B": "/C%2B%2B", "/index.html": "/index.html"}
    rendered.start(render=["/ü", "/C%2B%2B", "/index.html", "/%61", "/a//b"])
    for path, target in kept.items():
        rendered.has(path, target.encode())
    assert rendered.status()["figures"]["refusals"] == {"a URL that is not canonical": 2}
    told = memfis("status", "--config", rendered.agent.config).stdout
    line = "not rendered: 2 a URL that is not canonical: /%61 (in 'render'), /a//b (in 'render')"
    assert line in told


def test_what_an_application_says_is_shown_as_plain_text(
    rendered: Rendered, origin: Origin
) -> None:
    origin.pages["/one"] = Reply(headers=[("Link", "</>; rel=\x9b31m")])
    rendered.start()
    rendered.hint("/one")
    wait_for(lambda: rendered.status()["figures"]["refusals"], "a refusal")
    assert rendered.status()["figures"]["examples"]["header link"] == {"/one": "</>; rel=\\x9b31m"}


def test_a_page_that_is_asked_for_is_rendered_again_before_it_expires(
    rendered: Rendered, origin: Origin
) -> None:
    cached = [("Cache-Control", "max-age=4")]
    origin.pages["/asked"] = Reply(b"one", cached)
    origin.pages["/forgotten"] = Reply(b"one", cached)
    rendered.start()
    rendered.hint("/asked")
    rendered.hint("/forgotten")
    rendered.has("/asked")
    rendered.has("/forgotten")
    origin.pages["/asked"] = Reply(b"two", cached)
    end = time.monotonic() + 8
    while time.monotonic() < end:
        assert rendered.content("/asked") in (b"one", b"two")
        time.sleep(0.1)
    assert rendered.content("/asked") == b"two"
    assert rendered.ttl("/forgotten") is None
    assert origin.count("/forgotten") == 1
    assert rendered.status()["figures"]["found_asked_for"] >= 1


def test_one_render_a_page_at_a_time(rendered: Rendered, origin: Origin) -> None:
    origin.pages["/slow"] = Reply(b"slow", delay=0.5)
    rendered.start()
    for _ in range(50):
        rendered.hint("/slow")
    rendered.has("/slow")
    for _ in range(50):
        rendered.hint("/slow")
    time.sleep(0.3)
    assert origin.count("/slow") == 1


def test_what_cannot_be_stored_is_named_and_not_asked_for_again_at_once(
    rendered: Rendered, origin: Origin
) -> None:
    origin.pages["/private"] = Reply(headers=[("Set-Cookie", "a=b")])
    origin.pages["/linked"] = Reply(headers=[("Link", "</wp-json/>; rel=api")])
    origin.pages["/text.txt"] = Reply()
    rendered.start()
    for path in ("/private", "/linked", "/text.txt", "/absent"):
        rendered.hint(path)
    wait_for(lambda: len(rendered.status()["figures"]["refusals"]) == 4, "refusals")
    for _ in range(5):
        rendered.hint("/private")
    time.sleep(0.3)
    figures = rendered.status()["figures"]
    assert figures["refusals"] == {
        "Set-Cookie": 1,
        "header link": 1,
        "Content-Type": 1,
        "status 404": 1,
    }
    assert list(figures["examples"]["header link"]) == ["/linked"]
    assert figures["hints"] == {"queued": 4, "refused before": 5}
    assert rendered.status()["pages"] == 0


def test_an_old_page_stays_while_php_is_in_trouble(rendered: Rendered, origin: Origin) -> None:
    cached = [("Cache-Control", "max-age=3")]
    origin.pages["/page"] = Reply(b"old", cached)
    rendered.start()
    rendered.hint("/page")
    rendered.has("/page", b"old")
    origin.pages["/page"] = Reply(status=503)
    before = len(origin.asked)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        assert rendered.content("/page") == b"old"
        time.sleep(0.1)
    assert len(origin.asked) - before < 8, "a backend in trouble is asked less"
    assert rendered.status()["trouble"]
    origin.pages["/page"] = Reply(b"new", cached)
    rendered.has("/page", b"new")
    assert not rendered.status()["trouble"]
    assert rendered.agent.lines("origin is in trouble")
    assert rendered.agent.lines("origin answers again")


def test_an_old_page_does_not_stay_longer_than_it_may(rendered: Rendered, origin: Origin) -> None:
    origin.pages["/strict"] = Reply(b"old", [("Cache-Control", "max-age=3, must-revalidate")])
    origin.pages["/short"] = Reply(b"old", [("Cache-Control", "max-age=3")])
    rendered.start(stale_if_error=6)
    rendered.hint("/strict")
    rendered.hint("/short")
    rendered.has("/strict")
    rendered.has("/short")
    began = time.monotonic()
    origin.end()
    ended: dict[str, float] = {}
    while len(ended) < 2:
        for path in ("/strict", "/short"):
            if path not in ended and rendered.content(path) is None:
                ended[path] = time.monotonic() - began
        time.sleep(0.05)
        assert time.monotonic() < began + 20
    assert ended["/strict"] < 4.5
    assert 5.5 < ended["/short"] < 9.5


LATER = [("Cache-Control", "max-age=50, stale-while-revalidate=100")]


def body_ttl(rendered: Rendered, path: str) -> int | None:
    """Return how long a page lives of which only the reader in Lua knows; None: there is none."""
    [state] = rendered.store.states([body_of(page_key(rendered.NAME, path.encode()))])
    return state.ttl if state else None


def is_apart(rendered: Rendered, path: str) -> bool:
    """Whether there is such a page."""
    return body_ttl(rendered, path) is not None


def test_who_cannot_tell_what_is_stale_never_gets_it(rendered: Rendered, origin: Origin) -> None:
    origin.default = lambda path: Reply(path.encode(), LATER)
    rendered.settings["from_memory"] = "memcached_pass"
    rendered.start(stale_while_revalidate=100)
    rendered.hint("/one")
    rendered.has("/one")
    assert 45 <= (rendered.ttl("/one") or 0) <= 50
    assert not is_apart(rendered, "/one")
    rendered.agent.end()
    rendered.settings["from_memory"] = "lua"
    rendered.start()
    rendered.hint("/two")
    wait_for(partial(is_apart, rendered, "/two"), "the page to be rendered")
    assert 145 <= (body_ttl(rendered, "/two") or 0) <= 150
    assert rendered.ttl("/two") is None


def test_a_later_agent_knows_what_is_stale(rendered: Rendered, origin: Origin) -> None:
    """It leaves it where it is, and renders it again when somebody asks, but not what is fresh."""
    rendered.settings["from_memory"] = "lua"
    origin.default = lambda path: Reply(path.encode(), LATER)
    origin.pages["/stale"] = Reply(
        b"x", [("Cache-Control", "max-age=2, stale-while-revalidate=99")]
    )
    rendered.start()
    for path in ("/stale", "/fresh"):
        rendered.hint(path)
        wait_for(partial(is_apart, rendered, path), f"{path} to be rendered")
    rendered.agent.end()
    time.sleep(3)
    rendered.start()
    wait_for(lambda: rendered.status()["pages"] == 2, "the agent to find them")
    time.sleep(1.5)  # it looks at a stale page at once
    assert is_apart(rendered, "/stale")
    assert (origin.count("/stale"), origin.count("/fresh")) == (1, 1)
    rendered.hint("/fresh")
    rendered.hint("/stale")
    wait_for(lambda: origin.count("/stale") == 2, "the stale page to be rendered again")
    assert origin.count("/fresh") == 1


def test_a_store_that_hangs_and_comes_back(rendered: Rendered, origin: Origin) -> None:
    origin.default = lambda path: Reply(path.encode())
    rendered.start(render=["/"])
    rendered.has("/")
    rendered.memcached.freeze()
    for number in range(20):
        rendered.hint(f"/{number}")
    time.sleep(3)
    rendered.memcached.thaw()
    rendered.store.close()
    end = time.monotonic() + 20
    while missing := [n for n in range(20) if rendered.ttl(f"/{n}") is None]:
        assert time.monotonic() < end, missing
        for number in missing:  # what was lost comes again with the next visitor
            rendered.hint(f"/{number}")
        time.sleep(0.2)
    assert rendered.content("/") == b"/"
