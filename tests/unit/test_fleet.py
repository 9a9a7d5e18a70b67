"""What hosts say to each other through the store: nothing is missed, whatever gets lost."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memfis.errors import UsageError
from memfis.fleet.sayings import Sayings
from memfis.layout import boxes
from memfis.layout.boxes import HINTS, LONGEST, PURGES, Box, Hint
from memfis.render.patterns import (
    EVERYTHING,
    as_text,
    below,
    exactly,
    from_text,
    parse,
    parse_regex,
)

PATHS = st.binary(max_size=20).map(lambda raw: b"/" + raw.replace(b"\0", b""))


@given(st.lists(PATHS, min_size=1, max_size=3), PATHS, st.lists(PATHS, max_size=5))
def test_patterns_mean_the_same_at_another_host(
    exact: Sequence[bytes], prefix: bytes, asked: Sequence[bytes]
) -> None:
    written = [exactly(*exact), below(prefix), EVERYTHING, parse("/*/feed"), parse("/a%2A/**/c")]
    written += [parse_regex("/blog/(a|b)"), parse_regex("/%C3%A4.*"), parse("/ä*")]
    for pattern in written:
        read = from_text(as_text(pattern))
        assert read.exact == pattern.exact
        for path in (*asked, *exact, prefix, b"/x/feed", b"/blog/b", "/äa".encode(), b"/a*/b/c"):
            assert read.fits(path) == pattern.fits(path)


@pytest.mark.parametrize("text", ["", "x", "=x", "=", "<", "<x", "*x", "~(", "~/(", "=/a\0b", "=Ā"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        from_text(text)


class Hearer:
    """Another host, which looks into the box now and then."""

    def __init__(self, box: Box) -> None:
        self.purges: set[str] = set()
        self.missed = 0
        """Purges up to this number may not have been heard, and everything was purged."""
        self.hints: list[str] = []
        self._run, self._purged, self._hinted = box.run, box.purged, 0

    def hear(self, box: Box, number: int) -> None:
        """Hear what is in `box`; so many purges were said in all."""
        purges = box.purges_after(self._purged) if box.run == self._run else None
        if purges is None:
            self.missed = number
        for purge in purges or ():
            self.purges.update(purge.patterns)
        self.hints += [hint.path for hint in box.hints_after(self._hinted)]
        self._run, self._purged, self._hinted = box.run, box.purged, box.hinted


def sent(box: Box) -> Box:
    """Return `box` as it comes out of the store."""
    item = boxes.written(box)
    assert len(item) < LONGEST
    return boxes.read(item, box.host)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("purge"), st.integers(1, PURGES + 20)),
        st.tuples(st.just("hint"), st.integers(1, 50)),
        st.tuples(st.sampled_from(["hear", "take", "restart", "restart after"]), st.just(1)),
    ),
    max_size=30,
)


@given(STEPS)
def test_every_purge_is_heard_and_every_hint_taken(steps: Sequence[tuple[str, int]]) -> None:
    sayings = Sayings("web2")
    box = sent(sayings.box(publishes=False, sites=["a"], pages=0))
    hearer = Hearer(box)
    number = hinted = 0
    for step, count in steps:
        if step == "purge":
            for _ in range(count):
                number += 1
                sayings.purge("a", [f"=/{number}"])
        elif step == "hint":
            for _ in range(count):
                hinted += 1
                sayings.hint("a", b"/%d" % hinted)
        elif step == "restart":
            # What was said lies in the store; what happens before that is read comes after it.
            box = sent(sayings.box(publishes=False, sites=["a"], pages=0))
            sayings = Sayings("web2")
            number, hinted = number + 1, hinted + 1
            sayings.purge("a", [f"=/{number}"])
            sayings.hint("a", b"/%d" % hinted)
            sayings.go_on_from(box)
        elif step == "restart after":
            # The store was emptied: who looks next takes everything for purged.
            sayings = Sayings("web2")
            hearer.hear(sent(sayings.box(publishes=False, sites=["a"], pages=0)), number)
            assert hearer.missed == number
            hearer.hints += [f"/{each}" for each in range(1, hinted + 1)]
        else:
            box = sent(sayings.box(publishes=False, sites=["a"], pages=0))
            hearer.hear(box, number)
            if step == "take":
                publisher = Sayings("web1")
                assert publisher.taken_from(box)
                assert not publisher.taken_from(box)
                sayings.heard_by(sent(publisher.box(publishes=True, sites=["a"], pages=1)))
                assert sayings.waiting == 0
    hearer.hear(sent(sayings.box(publishes=False, sites=["a"], pages=0)), number)
    heard = {int(each[2:]) for each in hearer.purges}
    missing = set(range(1, number + 1)) - heard
    assert max(missing, default=0) <= hearer.missed
    assert {f"/{each}" for each in range(1, hinted + 1)} <= set(hearer.hints)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=4000), max_size=30), st.integers(0, 10_000))
def test_a_box_is_bounded_and_can_be_read(paths: Sequence[bytes], more: int) -> None:
    sayings = Sayings("web2")
    for path in paths:
        sayings.hint("a", b"/" + path)
        sayings.purge("a", ["=/" + path.decode("latin-1"), "~" + "\x01" * 4000] * 10)
    for number in range(more):
        sayings.hint("a", b"/%d" % number)
    box = sent(sayings.box(publishes=False, sites=["a"], pages=0))
    assert len(box.hints) <= HINTS


@given(st.binary(max_size=200))
def test_what_is_no_box_is_told(item: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        boxes.read(item, "web2")


def test_paths_that_are_no_pages_are_left_out() -> None:
    for path in ("", "x", "/../a", "/a\0", "Ā/", "//"):
        assert Hint("a", path).raw is None
    assert Hint("a", "/a/\xe4").raw == b"/a/\xe4"
