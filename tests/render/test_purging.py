"""Pages go at once, and what was begun before does not bring them back."""

import hashlib
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memfis.layout.compression import Compression
from memfis.layout.pages import make_page
from memfis.render.patterns import parse
from memfis.render.purge import Purge
from memfis.render.records import Records
from render.conftest import Rendered
from support.command import memfis, memfis_json
from support.http import Answer, Connection
from support.origin import Origin, Reply
from support.process import wait_for


def purge(rendered: Rendered, *arguments: str) -> dict[str, object]:
    document = memfis_json("purge", "--config", str(rendered.agent.config), *arguments)
    [site] = document["sites"]
    assert isinstance(site, dict)
    return site


def ask(rendered: Rendered, target: str, method: str = "PURGE", **headers: str) -> Answer:
    told = {"X-Memfis-Site": rendered.NAME} | {k.replace("_", "-"): v for k, v in headers.items()}
    with Connection(rendered.purge) as connection:
        return connection.ask(target, method, told)


@pytest.fixture
def filled(rendered: Rendered, origin: Origin) -> Rendered:
    """Return a site with a few rendered pages, and one of a file."""
    (rendered.root / "style.css").write_text("body {}")
    origin.default = lambda path: Reply(path.encode())
    rendered.start(render=["/", "/blog", "/blog/", "/blog/one", "/blog/two/", "/shop/a/x"])
    for path in rendered.php["render"]:  # type: ignore[attr-defined]
        rendered.has(path)
    rendered.has("/style.css")
    rendered.agent.sites[0]["php"] = rendered.php | {"render": []}
    rendered.agent.reload()
    wait_for(lambda: rendered.status()["pages"] == 6, "the pages to be known again")
    return rendered


@pytest.mark.parametrize(
    ("patterns", "gone"),
    [
        (["/blog/one"], {"/blog/one"}),
        (["/blog"], {"/blog"}),
        (["/blog/"], {"/blog/"}),
        (["/blog/*"], {"/blog/", "/blog/one"}),
        (["/blog/**"], {"/blog/", "/blog/one", "/blog/two/"}),
        (["/blog**"], {"/blog", "/blog/", "/blog/one", "/blog/two/"}),
        (["/*/*/x", "/"], {"/shop/a/x", "/"}),
        (["/%62log/one?query"], {"/blog/one"}),
        (["/absent"], set()),
    ],
)
@pytest.mark.parametrize("running", [True, False])
def test_patterns(filled: Rendered, patterns: list[str], gone: set[str], running: bool) -> None:
    if not running:
        filled.agent.end()
    every = {"/", "/blog", "/blog/", "/blog/one", "/blog/two/", "/shop/a/x"}
    foreseen = purge(filled, "--dry-run", *patterns)
    assert (set(foreseen["paths"]), foreseen["rendered"]) == (gone, len(gone))  # type: ignore[call-overload]
    assert all(filled.ttl(path) is not None for path in every)
    done = purge(filled, *patterns)
    assert (done["rendered"], done["files"]) == (len(gone), 0)
    assert {path for path in every if filled.ttl(path) is None} == gone


def test_pages_of_files_are_filled_again(filled: Rendered) -> None:
    assert purge(filled, "/style.css")["files"] == 1
    filled.has("/style.css", b"body {}")


@pytest.mark.parametrize(
    ("target", "method", "gone", "said"),
    [
        ("/blog/one", "default", {"/blog/one"}, "1 page purged"),
        ("/blog/one", "", {"/blog/one"}, "1 page purged"),
        ("/blog/", "default", {"/blog/"}, "1 page purged"),
        ("/blog/*", "default", set(), "0 pages purged"),
        ("/blog/*", "", {"/blog/", "/blog/one", "/blog/two/"}, "3 pages purged"),
        ("/blog/.*", "", {"/blog/", "/blog/one", "/blog/two/"}, "3 pages purged"),
        ("/.*", "", None, "7 pages purged"),
        ("/*", "", None, "7 pages purged"),
        ("/blog*", "", set(), "0 pages purged"),
        ("/blog/.*", "regex", {"/blog/", "/blog/one", "/blog/two/"}, "3 pages purged"),
        ("/.*", "regex", None, "7 pages purged"),
        ("/blog/(one|two/)$", "regex", {"/blog/one", "/blog/two/"}, "2 pages purged"),
        ("/blog/?$", "regex", {"/blog", "/blog/"}, "2 pages purged"),
    ],
)
def test_purge_over_http(
    filled: Rendered, target: str, method: str, gone: set[str] | None, said: str
) -> None:
    every = {"/", "/blog", "/blog/", "/blog/one", "/blog/two/", "/shop/a/x"}
    answer = ask(filled, target, X_Purge_Method=method)
    assert (answer.status, answer.body.decode().strip()) == (200, said)
    assert {path for path in every if filled.ttl(path) is None} == (every if gone is None else gone)


def test_purges_over_http_that_cannot_be(rendered: Rendered) -> None:
    rendered.start()
    assert ask(rendered, "/", X_Memfis_Site="other.example").status == 404
    assert ask(rendered, "/", "GET").status == 405
    for expression in ("/(a", "/a**", "/((a{100}){100}){100}", "/[[a", "/(?=a)", "/" + "a" * 1000):
        answer = ask(rendered, expression, X_Purge_Method="regex")
        assert (answer.status, answer.body.count(b"\n")) == (400, 1), expression
    for target in ("/..", "/%00", "a"):
        assert ask(rendered, target).status == 400, target
    with Connection(rendered.purge) as connection:
        connection.send(b"nonsense\r\n\r\n")
        assert connection.receive().status == 400
    assert ask(rendered, "/").status == 200


def test_a_render_that_began_before_a_purge_does_not_bring_the_old_page_back(
    rendered: Rendered, origin: Origin
) -> None:
    origin.pages["/page"] = Reply(b"old", delay=1.0)
    rendered.start()
    rendered.hint("/page")
    wait_for(lambda: origin.count("/page") == 1, "the render to begin")
    origin.pages["/page"] = Reply(b"new")
    purge(rendered, "/page")
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        assert rendered.content("/page") is None
        time.sleep(0.02)
    rendered.hint("/page")
    rendered.has("/page", b"new")


def test_what_is_asked_for_again_while_it_is_rendered_in_vain_is_rendered_anew(
    rendered: Rendered, origin: Origin
) -> None:
    origin.pages["/page"] = Reply(b"old", delay=0.5)
    rendered.start()
    rendered.hint("/page")
    wait_for(lambda: origin.count("/page") == 1, "the render to begin")
    origin.pages["/page"] = Reply(b"new")
    purge(rendered, "/**")
    rendered.hint("/page")
    rendered.has("/page", b"new")
    assert origin.count("/page") == 2


def test_the_list_is_rendered_anew_after_a_purge(rendered: Rendered, origin: Origin) -> None:
    origin.pages["/"] = Reply(b"old")
    rendered.start(render=["/"])
    rendered.has("/", b"old")
    origin.pages["/"] = Reply(b"new")
    purge(rendered, "/")
    rendered.has("/", b"new")


def microcached(rendered: Rendered, path: str, second: float) -> Path:
    """Write the file that nginx writes for a request in that second; return it."""
    key = f"memfis://{rendered.NAME}{path} {int(second)}".encode()  # nothing is escaped
    file = rendered.microcache / hashlib.md5(key, usedforsecurity=False).hexdigest()
    file.write_bytes(b"cached")
    return file


@pytest.mark.parametrize("running", [True, False])
def test_the_microcache_is_purged_too(rendered: Rendered, running: bool) -> None:
    if running:
        rendered.start()
    else:
        rendered.agent.configure()
    moment = time.time()
    seconds = [moment + n for n in range(-1, 3)]  # a purge may take a moment to come
    old = [microcached(rendered, "/o ne", second) for second in seconds[:3]]
    other = microcached(rendered, "/other", moment)
    writing = rendered.microcache / f"{other.name}.0000000001"
    writing.write_bytes(b"being written")
    purge(rendered, "/o%20ne")
    done = time.time()
    about = [n for n, each in enumerate(seconds[:3]) if abs(int(each) - int(done)) <= 1]
    assert about
    assert not any(old[n].exists() for n in about if int(done) == int(moment))
    assert other.exists()
    if running:  # an answer that PHP began before
        late = microcached(rendered, "/o ne", done)
        wait_for(lambda: not late.exists(), "it to be removed once more")
    purge(rendered, "/o**")
    assert not other.exists()
    assert writing.exists()
    # one that may have other spellings
    spelled = microcached(rendered, "//C%2B%2B", moment - 100)
    purge(rendered, "/C++")
    assert not spelled.exists()


SPELLED = {
    "/wiki/What%3F": "/wiki/What?",
    "/100%25": "/100%",
    "/wiki/C%2B%2B": "//wiki/C%2B%2B",
    "/wiki/C%2B+": "//wiki/C%2B+",
    "/wiki/C++": "/wiki/C++",
    "/wiki/.NET": "/wiki/.NET",
    "/a%23b%22/": '/a#b"/',
    "/%C3%BC": "/ü",
    "/index.html": "/index.html",
}
"""Request targets, and the path that the page of each is kept under."""


@pytest.fixture
def spelled(rendered: Rendered, origin: Origin) -> Rendered:
    origin.default = lambda path: Reply(path.encode())
    rendered.start()
    for path in SPELLED.values():
        rendered.hint(path)
    for target, path in SPELLED.items():
        rendered.has(path, target.encode())
    return rendered


def test_each_target_has_its_own_page(spelled: Rendered, origin: Origin) -> None:
    assert sorted(origin.paths()) == sorted(SPELLED)
    done = memfis("verify", "--config", spelled.agent.config)
    assert done.returncode == 0, done.stdout + done.stderr
    memfis_json("sync", "--config", str(spelled.agent.config), "--checksum")
    memfis("doctor", "--config", spelled.agent.config)
    spelled.agent.end()
    spelled.agent.start()
    wait_for(lambda: spelled.status()["pages"] == len(SPELLED), "the pages to be known again")
    for path in SPELLED.values():
        spelled.hint(path)
    wait_for(lambda: spelled.status()["figures"]["hints"].get("queued") == len(SPELLED), "hints")
    wait_for(lambda: spelled.status()["waiting"] == 0, "them to be dealt with")
    assert sorted(origin.paths()) == sorted(SPELLED)
    assert memfis("verify", "--config", spelled.agent.config).returncode == 0


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("/wiki/What%3F", {"/wiki/What%3F"}),
        ("/100%25", {"/100%25"}),
        ("/wiki/C++", {"/wiki/C%2B%2B", "/wiki/C%2B+", "/wiki/C++"}),
        ("/wiki/C%2b%2B", {"/wiki/C%2B%2B", "/wiki/C%2B+", "/wiki/C++"}),
        ("/wiki/.NET", {"/wiki/.NET"}),
        ("/wiki/*", {target for target in SPELLED if target.startswith("/wiki/")}),
        ("/ü", {"/%C3%BC"}),
        ("/", {"/index.html"}),
        ("/**", set(SPELLED)),
    ],
)
def test_purges_of_what_is_spelled_otherwise(
    spelled: Rendered, running: bool, pattern: str, gone: set[str]
) -> None:
    if not running:
        spelled.agent.end()
    assert set(purge(spelled, "--dry-run", pattern)["paths"]) == gone  # type: ignore[call-overload]
    assert purge(spelled, pattern)["rendered"] == len(gone)
    assert {target for target, path in SPELLED.items() if spelled.ttl(path) is None} == gone


@pytest.mark.parametrize(
    ("target", "gone"),
    [
        ("/ü".encode(), "/%C3%BC"),
        (b"/%c3%bc", "/%C3%BC"),
        (b"//x/.././%c3\xbc", "/%C3%BC"),
        (b"/%77iki//.NET", "/wiki/.NET"),
        (b"/100%25?query", "/100%25"),
    ],
)
def test_purges_over_http_in_any_form(spelled: Rendered, target: bytes, gone: str) -> None:
    with Connection(spelled.purge) as connection:
        answer = connection.ask(target, "PURGE", {"X-Memfis-Site": spelled.NAME})
    assert (answer.status, answer.body) == (200, b"1 page purged\n")
    assert {target for target, path in SPELLED.items() if spelled.ttl(path) is None} == {gone}


def test_a_file_makes_way_for_none_but_its_own(spelled: Rendered) -> None:
    (spelled.root / "wiki").mkdir()
    (spelled.root / "wiki" / "C++").write_text("a file")
    (spelled.root / "wiki" / ".NET").write_text("not published")
    spelled.has("/wiki/C++", b"a file")
    for path in ("//wiki/C%2B%2B", "//wiki/C%2B+", "/wiki/.NET"):
        wait_for(lambda path=path: spelled.ttl(path) is None, f"{path} to go")  # type: ignore[misc]
    assert spelled.ttl("/wiki/What?") is not None
    assert memfis("verify", "--config", spelled.agent.config).returncode == 0


def test_a_change_of_code_purges_everything_rendered(rendered: Rendered, origin: Origin) -> None:
    origin.default = lambda path: Reply(path.encode())
    (rendered.root / "index.php").write_text("<?php")
    (rendered.root / "notes.txt").write_text("notes")
    rendered.start(purge_on_change=["*.php", "/themes/"])
    for path in ("/one", "/two/"):
        rendered.hint(path)
        rendered.has(path)
    (rendered.root / "notes.txt").write_text("other notes")
    rendered.has("/notes.txt", b"other notes")
    assert rendered.ttl("/one") is not None
    (rendered.root / "index.php").write_text("<?php phpinfo();")
    wait_for(lambda: rendered.ttl("/one") is None and rendered.ttl("/two/") is None, "a purge")
    assert rendered.content("/notes.txt") == b"other notes"
    rendered.hint("/one")
    rendered.has("/one")
    # PHP may have run the old code for two seconds
    wait_for(lambda: rendered.ttl("/one") is None, "one more purge")
    (rendered.root / "themes").mkdir()
    rendered.hint("/one")
    rendered.has("/one")
    (rendered.root / "themes" / "page.tpl").write_text("template")
    wait_for(lambda: rendered.ttl("/one") is None, "a purge")


@pytest.mark.parametrize("pattern", ["*.php", "/plugin/", "/plugin/**"])
def test_code_that_comes_and_goes_with_its_directory(
    rendered: Rendered, origin: Origin, pattern: str
) -> None:
    origin.default = lambda path: Reply(path.encode())
    plugin = rendered.directory / "plugin"
    (plugin / "inc").mkdir(parents=True)
    (plugin / "inc" / "plugin.php").write_text("<?php")
    rendered.start(purge_on_change=[pattern])
    rendered.hint("/one")
    rendered.has("/one")
    plugin.rename(rendered.root / "plugin")
    wait_for(lambda: rendered.ttl("/one") is None, "a purge")
    wait_for(lambda: len(rendered.agent.lines("purged")) == 2, "one more")
    rendered.hint("/one")
    rendered.has("/one")
    (rendered.root / "other").mkdir()
    (rendered.root / "other" / "page.html").write_text("no code")
    rendered.has("/other/page.html")
    assert rendered.ttl("/one") is not None
    if pattern != "*.php":  # what was in it nobody can say
        (rendered.root / "plugin").rename(plugin)
        wait_for(lambda: rendered.ttl("/one") is None, "a purge")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("blog", "begins with '/'"),
        ("/../x", "leads above the root"),
        ("/" + "a*" * 500, "longer than 1000 bytes"),
    ],
)
def test_what_is_no_pattern(rendered: Rendered, pattern: str, said: str) -> None:
    rendered.agent.configure()
    done = memfis("purge", "--config", rendered.agent.config, pattern)
    assert done.returncode == 2
    assert said in done.stderr


def fill(rendered: Rendered, paths: Iterable[bytes]) -> None:
    """Write pages as an earlier agent has rendered them."""
    records = Records(rendered.site, rendered.store)
    for path in paths:
        page = make_page(b"page.html", path * 20, Compression())
        entry = records.entry(path, page.flags, len(path) * 20, now=time.time(), stale=True)
        records.record(path, entry)
        records.write(path, page, 3600)


def test_ten_thousand_pages_go_within_a_second(rendered: Rendered, origin: Origin) -> None:
    number = 10_000
    fill(rendered, (f"/p{n % 50}/{n}/".encode() for n in range(number)))
    rendered.start()
    wait_for(lambda: rendered.status()["pages"] == number, "all to be known", 60)
    began = time.monotonic()
    answer = ask(rendered, "/p1/1/")
    one = time.monotonic() - began
    assert (answer.status, rendered.ttl("/p1/1/")) == (200, None)
    began = time.monotonic()
    answer = ask(rendered, "/p.*", X_Purge_Method="regex")
    many = time.monotonic() - began
    assert answer.body.strip() == b"9999 pages purged"
    assert not [key for key in rendered.store.all_keys() if key.startswith(b"memfis://")]
    print(f"one URL: {one * 1000:.1f} ms; 10,000 pages: {many * 1000:.0f} ms")
    assert one < 0.05
    assert many < 1


HOSTILE = [
    "/" + ".?" * 60 + "Z",
    "/(a%2B)%2B$",
    "/((a{100}){100}){100}",
    "/" + ".*a" * 333,
    "/" + "(.*a.{200}b|.*b.{200}a)" * 5,
    "/" + "(.?){1000}" * 90 + "Z",
]


def test_the_agent_answers_whatever_it_is_asked_to_purge(rendered: Rendered) -> None:
    number = 20_000
    fill(rendered, (b"/" + b"ab" * 90 + b"%d" % n for n in range(number)))
    rendered.start()
    wait_for(lambda: rendered.status()["pages"] == number, "all to be known", 60)
    longest = 0.0
    with ThreadPoolExecutor(1) as pool:
        asked = [pool.submit(ask, rendered, each, X_Purge_Method="regex") for each in HOSTILE]
        config = ("--config", str(rendered.agent.config))
        stars = pool.submit(memfis, "purge", *config, "/" + "a*" * 499)
        while not stars.done():
            began = time.monotonic()
            rendered.status()
            longest = max(longest, time.monotonic() - began)
            assert ask(rendered, "/absent").status == 200
    print(f"status within {longest:.2f} s at worst")
    assert longest < 5
    assert [each.result().status for each in asked] == [200, 200, 400, 200, 200, 400]
    assert stars.result().returncode == 0


def test_what_was_rendered_before_a_long_purge_goes_and_what_comes_meanwhile_stays(
    rendered: Rendered, origin: Origin
) -> None:
    number = 2_000
    fill(rendered, (b"/" + b"ab" * 90 + b"%d" % n for n in range(number)))
    origin.pages["/slow"] = Reply(b"old", delay=1)
    origin.pages["/new"] = Reply(b"new")
    rendered.start()
    wait_for(lambda: rendered.status()["pages"] == number, "all to be known", 60)
    rendered.hint("/slow")
    wait_for(lambda: origin.count("/slow") == 1, "the render to begin")
    with ThreadPoolExecutor() as pool:
        pattern = "/(.?){600}$"  # it takes long and fits all
        asked = pool.submit(ask, rendered, pattern, X_Purge_Method="regex")
        time.sleep(0.3)
        assert not asked.done()
        rendered.hint("/new")
        answer = asked.result()
    assert answer.body == b"2000 pages purged\n"
    rendered.has("/new", b"new")
    assert rendered.ttl("/slow") is None
    assert rendered.status()["pages"] == 1


def test_code_that_changed_while_the_agent_was_away(rendered: Rendered, origin: Origin) -> None:
    origin.default = lambda path: Reply(path.encode())
    code = rendered.root / "page.tpl"
    code.write_text("old")
    rendered.start(purge_on_change=["*.tpl"])
    time.sleep(3)  # until what is rendered is taken to be made with it
    rendered.hint("/page")
    rendered.has("/page")
    rendered.agent.end()
    rendered.agent.start()
    wait_for(lambda: rendered.status()["pages"] == 1, "the page to be known")
    rendered.agent.end()
    code.write_text("new")
    rendered.agent.start()
    wait_for(lambda: rendered.ttl("/page") is None, "the page to go")


def test_files_are_written_again_when_a_purge_is_over(filled: Rendered) -> None:
    """Before, that would hold it up, and an application waits for its answer."""
    filled.agent.end()
    rewritten: list[bytes] = []
    one = Purge(
        filled.site,
        filled.store,
        [parse("/**")],
        dry_run=False,
        rewrite_files=rewritten.append,
    )
    steps = one.steps()
    next(steps)
    for _ in steps:
        assert rewritten == []
    assert one.done.files > 0
    assert b"/" in rewritten
