"""Patterns of purges are the same in the process that a site may have of its own."""

import pickle

import pytest

from memfis.render.patterns import EVERYTHING, Pattern, below, exactly, parse, parse_target

PATHS = [b"/", b"/a", b"/a/", b"/a/b.html", b"/a/b/c", b"/ab", b"/x.y", b"/a*"]


@pytest.mark.parametrize(
    "pattern",
    [
        *(parse(text) for text in ("/a", "/a/*", "/a/**", "/*.html", "/a%2Ab", "/x?q")),
        *(parse_target(target, "") for target in (b"/a", b"/a/*", b"/a*")),
        *(parse_target(target, "regex") for target in (b"/a.*", b"/a|/x", b"/a/b?", b"/x\\.y")),
        EVERYTHING,
        below(b"/a/"),
        exactly(b"/a", b"/ab"),
    ],
)
def test_a_pattern_goes_to_another_process(pattern: Pattern) -> None:
    there = pickle.loads(pickle.dumps(pattern))
    assert there[1:3] == pattern[1:3]
    assert there.is_slow == pattern.is_slow
    assert [bool(there.fits(path)) for path in PATHS] == [bool(pattern.fits(p)) for p in PATHS]
    for directory in (b"/", b"/a/", b"/b/"):
        assert there.may_hold(directory) == pattern.may_hold(directory)
