"""What rendering is made of: patterns, the queue, and how a backend in trouble is asked."""

import time

import pytest

from memfis.errors import UsageError
from memfis.render.patterns import EVERYTHING, as_kept, exactly, parse, parse_regex
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
    "text",
    [
        *("a", "", "^/a", "/(a+)+", "/(a|b)*", "/(a){9}", "/a{2,}", "/a.*.*.*.*", "/a**", "/a+*"),
        *("/(a", "/[a", "/a\\", "/(?i)a", "/(?=a)", "/(a)\\1", "/" + "a" * 1000, "/[[a]]"),
        *("/(a%2B)%2B", "/(?P<a>b)", "/a\\Z", "/a\\z"),
    ],
)
def test_expressions_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_regex(text)


def test_no_expression_takes_long() -> None:
    path = b"/" + b"a" * 240
    for text in ("/.*a.*a.*b", "/a*a*a*b", "/[^b]*[^b]*[^b]*b", "/a*b", "/(a|a|a)a+a+a+c"):
        began = time.monotonic()
        for _ in range(3):
            assert not parse_regex(text).fits(path)
        assert time.monotonic() - began < 3
    began = time.monotonic()
    assert not parse("/a*a*a*b").fits(path)
    assert time.monotonic() - began < 3


def test_the_page_of_an_index_file_is_its_directorys() -> None:
    site = Site(name="a", root="/a", index=("index.html",))
    assert as_kept(parse("/a/index.html"), site).exact == b"/a/"
    assert as_kept(parse("/a/other.html"), site).exact == b"/a/other.html"
    assert as_kept(EVERYTHING, site) is EVERYTHING


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
