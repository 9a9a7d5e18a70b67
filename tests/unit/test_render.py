"""What rendering is made of: patterns, the queue, and how a backend in trouble is asked."""

import time
from pathlib import Path

import pytest

from memfis.errors import UsageError
from memfis.render.paths import as_target, obstacle
from memfis.render.patterns import EVERYTHING, as_kept, exactly, parse, parse_regex, parse_target
from memfis.render.queue import LONGEST, Priority, Queue
from memfis.render.trouble import FIRST, Trouble
from memfis.render.trouble import LONGEST as LONGEST_PAUSE
from memfis.settings.values import Site

PATHS = [b"/", b"/a", b"/a/", b"/a/b", b"/a/b/c", b"/ab", b"/a*b", b"/\xc3\xa9/x", b"/a\nb"]


def fitting(pattern: object) -> list[bytes]:
    return [path for path in PATHS if pattern.fits(path)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/", [b"/"]),
        ("/a", [b"/a"]),
        ("/a/", [b"/a/"]),
        ("/a/.", [b"/a/"]),
        ("//a//b", [b"/a/b"]),
        ("/a/x/../b?query#fragment", [b"/a/b"]),
        ("/a%2Ab", [b"/a*b"]),
        ("/a*b", [b"/ab", b"/a*b", b"/a\nb"]),
        ("/a**b", [b"/a/b", b"/ab", b"/a*b", b"/a\nb"]),
        ("/*", [b"/", b"/a", b"/ab", b"/a*b", b"/a\nb"]),
        ("/**", PATHS),
        ("/a/**", [b"/a/", b"/a/b", b"/a/b/c"]),
        ("/*/b*", [b"/a/b"]),
        ("/**/c", [b"/a/b/c"]),
        ("/%C3%A9/*", [b"/\xc3\xa9/x"]),
        ("/é/**", [b"/\xc3\xa9/x"]),
    ],
)
def test_patterns(text: str, paths: list[bytes]) -> None:
    pattern = parse(text)
    assert fitting(pattern) == paths
    for path in paths:
        assert pattern.may_hold(path[: path.rfind(b"/") + 1])


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/.*", PATHS),
        ("/a/.*", [b"/a/", b"/a/b", b"/a/b/c"]),
        ("/a/?$", [b"/a", b"/a/"]),
        ("/a/b", [b"/a/b", b"/a/b/c"]),
        ("/(a|ab)$", [b"/a", b"/ab"]),
        ("/[^/]+/b$", [b"/a/b"]),
        ("/%C3%A9/.*", [b"/\xc3\xa9/x"]),
        ("/a\\*b", [b"/a*b"]),
    ],
)
def test_regular_expressions(text: str, paths: list[bytes]) -> None:
    pattern = parse_regex(text)
    assert fitting(pattern) == paths
    for path in paths:
        assert pattern.may_hold(path[: path.rfind(b"/") + 1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((text, "begins with '/'") for text in ("a", "", "^/a")),
        ("/(a", "missing ): /(a"),
        ("/[a", "missing ]: [a"),
        ("/a\\", "trailing"),
        ("/a**", "bad repetition operator: **"),
        ("/(?=a)", "invalid perl operator: (?="),
        ("/(a)\\1", "invalid escape sequence: \\1"),
        ("/a{1001}", "invalid repetition size: {1001}"),
        ("/((a{100}){100}){100}", "invalid repetition size: {100}"),
        ("/" + "(.?){1000}" * 99, "pattern too large - compile failed"),
        ("/" + "a" * 1000, "longer than 1000 bytes"),
        ("/(\n\x1b%0A", "does not parse: missing ): /(\\n\\x1b\\n"),
    ],
)
def test_expressions_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_regex(text)
    assert said in str(raised.value)
    assert str(raised.value).isprintable()


HARD = [
    "/" + ".?" * 60 + "Z",
    "/(a+)+$",
    "/(a|a)*(a|aa)*b",
    "/((a{30}){30})",
    "/" + ".*a" * 333,
    "/" + "(.*a.{200}b|.*b.{200}a)" * 5,
    "/" + "(.?.?){100}" * 6 + "Z",
]


@pytest.mark.parametrize("text", HARD)
def test_no_expression_takes_long(text: str) -> None:
    path = b"/" + b"ab" * 120
    fits = parse_regex(text).fits
    began = time.process_time()
    for _ in range(100):
        fits(path)
    assert time.process_time() - began < 3


def test_no_stars_take_long() -> None:
    pattern = parse("/" + "a*" * 499)
    began = time.process_time()
    for _ in range(100):
        assert not pattern.fits(b"/" + b"a" * 240 + b"b/")
    assert time.process_time() - began < 3
    with pytest.raises(UsageError, match="longer than 1000 bytes"):
        parse("/" + "a*" * 500)


def test_other_things_may_happen_while_pages_are_looked_at() -> None:
    paths = [b"/" + b"ab" * 120 + b"%d" % n for n in range(5000)]
    longest = 0.0
    began = time.process_time()
    number = 0
    for found in parse_regex("/(.*a.{20}b|.*b.{20}a|.*)" + "(.*a.{200}b)?" * 5).slices(paths):
        longest = max(longest, time.process_time() - began)
        number += len(found)
        began = time.process_time()
    assert number == 5000
    assert longest < 0.5


@pytest.mark.parametrize(
    ("target", "method", "fits", "others"),
    [
        (b"/a", "", [b"/a"], [b"/a/", b"/ab"]),
        (b"/\xc3\xa9//x/./../y?z=/*", "", ["/é/y".encode()], [b"/\xc3\x83\xc2\xa9/y"]),
        (b"/%c3%A9/%79#z", "", ["/é/y".encode()], []),
        (b"/C++", "", [b"/C++", b"//C%2B%2B", b"//C+%2B"], [b"/C%2B%2B", b"//C%2B"]),
        (b"/C%2b%2B", "", [b"/C++", b"//C%2B%2B"], []),
        (b"/.*", "", PATHS, []),
        (b"/*", "", PATHS, []),
        (b"/a/*", "", [b"/a/", b"/a/b/c"], [b"/a", b"/b/a/"]),
        (b"/a/.*", " ", [b"/a/", b"/a/b/c"], [b"/a"]),
        (b"/a*b/*", "", [b"/a*b/", b"/a*b/c"], [b"/ab/c"]),
        (b"/a*", "", [b"/a*"], [b"/ab"]),
        (b"/*/a", "", [b"/*/a"], [b"/b/a"]),
        (b"/a/*", "default", [b"/a/*"], [b"/a/", b"/a/b"]),
        (b"/C%5C%2B.*", "regex", [b"/C+", b"//C%2Bx"], [b"/C"]),
        (b"/\xc3\xa9.?$", "ReGeX", ["/é".encode(), "/éa".encode()], ["/éab".encode()]),
    ],
)
def test_targets_of_purges(
    target: bytes, method: str, fits: list[bytes], others: list[bytes]
) -> None:
    pattern = parse_target(target, method)
    assert [path for path in [*fits, *others] if pattern.fits(path)] == fits


@pytest.mark.parametrize("target", [b"a", b"/..", b"/a/../../*", b"/%00", b"*", b""])
def test_targets_that_are_nothing(target: bytes) -> None:
    with pytest.raises(UsageError):
        parse_target(target, "")


def test_the_page_of_an_index_file_may_be_its_directorys() -> None:
    site = Site(name="a", root="/a", index=("index.html", "index.htm"))
    both = {b"/a/", b"/a/index.html"}
    assert as_kept(parse("/a/index.html"), site).exact == both
    assert as_kept(parse("/a/"), site).exact == both | {b"/a/index.htm"}
    assert as_kept(parse("/a/other.html"), site).exact == {b"/a/other.html"}
    assert as_kept(EVERYTHING, site) is EVERYTHING


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/", b"/"),
        ("/ü b\u202e", b"/%C3%BC%20b%E2%80%AE"),
        ("/a%20b%2b%", b"/a%20b%2b%25"),
        ("/100%/x%zz", b"/100%25/x%25zz"),
        ("/a?b=ü&c#d", b"/a?b=%C3%BC&c"),
        ("/~a!$&'()*+,;=:@-._", b"/~a!$&'()*+,;=:@-._"),
        ('/"<>[]^`{|}\\\x00', b"/%22%3C%3E%5B%5D%5E%60%7B%7C%7D%5C%00"),
    ],
)
def test_what_people_write_is_escaped(text: str, target: bytes) -> None:
    assert as_target(text) == target


OBSTACLES = {
    b"/wiki/.NET": None,
    b"/.well-known/x": None,
    b"/.well-known/.x": None,
    b"/.git/config": "a file on disk",
    b"/.env": "a file on disk",
    b"/docs/.secret/x": "a file on disk",
    b"//docs/.%2Bsecret": "a file on disk",
    b"/docs/.hidden/x": None,
    b"/.git": "a file on disk",
    b"/dir.php/x": "a name that is never served from memory",
    b"/a/.php": "a name that is never served from memory",
    b"/.notes.inc~": "a name that is never served from memory",
    b"//a.php%2B": None,
    b"/C++/x": "below a file on disk",
    b"/C++": "a file on disk",
    b"//C%2B%2B": "a file on disk",
    b"/what?": None,
}


def test_what_no_page_can_be_for(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "docs" / ".secret").mkdir(parents=True)
    (tmp_path / ".well-known").mkdir()
    for name in (".env", "C++", "docs/.+secret"):
        (tmp_path / name).write_text("a file")
    site = Site(name="a", root=str(tmp_path))
    assert {path: obstacle(site, path) for path in OBSTACLES} == OBSTACLES


def test_the_queue_gives_the_most_urgent_and_each_once() -> None:
    queue = Queue()
    for path, priority in (
        (b"/map", Priority.SITEMAP),
        (b"/hint", Priority.HINT),
        (b"/late", Priority.REFRESH),
        (b"/map", Priority.LISTED),
        (b"/hint", Priority.SITEMAP),
    ):
        assert queue.add(path, priority)
    taken = []
    while job := queue.take():
        taken.append((job.path, job.priority))
    assert taken == [
        (b"/late", Priority.REFRESH),
        (b"/map", Priority.LISTED),
        (b"/hint", Priority.HINT),
    ]
    assert len(queue) == 0
    assert b"/map" in queue


def test_what_is_purged_while_it_is_rendered() -> None:
    queue = Queue()
    queue.add(b"/a", Priority.HINT)
    queue.add(b"/b", Priority.HINT)
    first, second = queue.take(), queue.take()
    assert first
    assert second
    queue.add(b"/a", Priority.HINT)  # says nothing new
    queue.purge(exactly(b"/a"))
    assert (first.purged, second.purged) == (True, False)
    assert queue.is_purged(b"/a")
    queue.done(second)
    assert len(queue) == 0
    queue.add(b"/a", Priority.HINT)
    queue.done(first)
    again = queue.take()
    assert again
    assert (again.path, again.purged) == (b"/a", False)


def test_hints_are_limited_and_leave_room_for_others() -> None:
    queue = Queue()
    for number in range(2 * LONGEST):
        queue.add(b"/map/%d" % number, Priority.SITEMAP)
    heard = sum(queue.add(b"/%d" % number, Priority.HINT) for number in range(LONGEST + 100))
    assert heard == LONGEST
    assert queue.add(b"/list", Priority.LISTED)
    assert queue.take()
    assert not queue.add(b"/more", Priority.HINT)
    assert queue.take()
    assert queue.add(b"/more", Priority.HINT)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_backend_in_trouble_is_asked_less() -> None:
    clock = Clock()
    trouble = Trouble(clock)
    assert trouble.failed(surely=True)
    pauses = []
    for _ in range(9):
        assert trouble.is_there
        pauses.append(trouble.pause())
        assert not trouble.failed(surely=True)  # one that was on its way
        assert trouble.pause() == pauses[-1]
        clock.now += trouble.pause()
        assert trouble.pause() == 0
        assert not trouble.failed(surely=False)
    assert pauses == [min(LONGEST_PAUSE, FIRST * 2**n) for n in range(9)]
    assert trouble.answered()
    assert not trouble.is_there
    assert trouble.pause() == 0
    assert not trouble.answered()


def test_one_broken_page_is_no_trouble() -> None:
    trouble = Trouble(Clock())
    for _ in range(10):
        assert not trouble.failed(surely=False)
        assert not trouble.failed(surely=False)
        assert not trouble.answered()
    assert not trouble.is_there
    assert [trouble.failed(surely=False) for _ in range(3)] == [False, False, True]
