"""A run of deletions: gone at once, held, carried out, come back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memfis.sync.deletions import LONGEST, Deletions, marks
from memfis.sync.limits import SMALL

GRACE = 15.0


class Site:
    """A site whose directories are looked at, and its clock."""

    def __init__(self, grace: float = GRACE) -> None:
        self.now = 1000.0
        self.files = {f"/d{number % 4}/{number}".encode() for number in range(400)}
        self.memory = set(self.files)
        self.deletions = Deletions(grace, lambda: self.now)

    def remove(self, number: int, *, after: float = 0.0) -> bool:
        """Remove so many files, and look; return whether the pages were kept."""
        self.files -= set(sorted(self.files)[:number])
        self.now += after
        return self.look()

    def look(self, *directories: bytes) -> bool:
        """Compare `directories`, or all, as an agent does."""
        compared = directories or (b"/d0/", b"/d1/", b"/d2/", b"/d3/")
        missing: dict[bytes, list[bytes]] = {}
        for page in sorted(self.memory - self.files):
            directory = page[: page.rindex(b"/") + 1]
            if directory in compared:
                missing.setdefault(directory, []).append(page)
        keep = self.deletions.keep({d: marks(found) for d, found in missing.items()}, compared)
        if not keep:
            self.memory -= {page for found in missing.values() for page in found}
        return keep

    @property
    def strays(self) -> int:
        return len(self.memory - self.files)


def test_twenty_go_at_once_and_twenty_one_are_held() -> None:
    site = Site()
    assert not site.remove(SMALL)
    assert (site.strays, site.deletions.due) == (0, math.inf)
    site = Site()
    assert site.remove(SMALL + 1)
    assert (site.strays, site.deletions.pages) == (SMALL + 1, SMALL + 1)
    assert site.deletions.due == site.now + GRACE


def test_what_is_held_goes_whatever_its_share() -> None:
    site = Site()
    assert site.remove(400)
    site.now = site.deletions.due - 0.01
    assert site.look()
    site.now += 0.01
    assert not site.look()
    assert site.memory == set()
    assert (site.deletions.pages, site.deletions.due) == (0, math.inf)
    assert site.deletions.carried_out == 400


def test_each_deletion_puts_it_off_for_a_minute_at_most() -> None:
    site = Site()
    site.remove(30)
    began = site.now
    while site.now + 10 < began + LONGEST:
        assert site.remove(1, after=10)
        assert site.deletions.due == min(site.now + GRACE, began + LONGEST)
    site.now = began + LONGEST
    assert not site.remove(1)
    assert site.strays == 0


def test_a_slow_removal_loses_no_more_than_the_first_twenty() -> None:
    site = Site()
    for _ in range(100):
        site.remove(1, after=0.1)
    assert len(site.memory) == 400 - SMALL
    assert site.deletions.pages == 100 - SMALL


def test_few_deletions_after_a_grace_are_another_run() -> None:
    site = Site()
    for _ in range(20):
        assert not site.remove(SMALL, after=GRACE + 1)
    assert site.memory == set()


def test_what_comes_back_is_not_deleted() -> None:
    site = Site()
    before = set(site.files)
    assert site.remove(400)
    site.now += 5
    site.files = before - {b"/d0/0"}
    assert site.look()
    assert site.deletions.pages == 1
    site.files = before
    assert not site.look()
    assert (site.memory, site.deletions.pages, site.deletions.due) == (before, 0, math.inf)
    assert site.deletions.carried_out == 0
    site.now += GRACE + 1
    assert site.remove(SMALL + 1)  # another run, with a grace of its own
    assert site.deletions.due == site.now + GRACE


def test_another_file_that_goes_puts_it_off_though_as_many_are_missing() -> None:
    site = Site()
    before = set(site.files)
    site.files = before - {page for page in before if page.startswith(b"/d0/")}
    assert site.look()
    site.now += 10
    site.files = site.files - {b"/d0/4", b"/d1/1"} | {b"/d0/0"}
    assert site.look()
    assert site.deletions.due == site.now + GRACE
    site.now += 10
    site.files |= {b"/d0/4"}  # that is no deletion
    assert site.look()
    assert site.deletions.due == site.now - 10 + GRACE


def test_a_look_at_a_part_leaves_the_others_held() -> None:
    site = Site()
    site.remove(400)
    assert site.look(b"/d0/")
    assert site.deletions.pages == 400
    site.now = site.deletions.due
    assert not site.look(b"/d1/")
    assert (site.strays, site.deletions.pages) == (300, 300)
    assert site.deletions.due <= site.now
    assert not site.look()
    assert (site.strays, site.deletions.carried_out) == (0, 400)


def test_without_a_grace_nothing_is_held() -> None:
    site = Site(grace=0)
    assert not site.remove(400)
    assert site.memory == set()


def test_what_is_hastened_goes_now() -> None:
    site = Site()
    site.remove(30)
    site.deletions.hasten()
    assert site.deletions.due == site.now
    assert not site.remove(1)
    assert site.strays == 0


def test_what_is_forgotten_is_held_no_more() -> None:
    site = Site()
    site.remove(400)
    site.deletions.forget([b"/d0/"])
    assert site.deletions.pages == 300
    site.deletions.forget()
    assert (site.deletions.pages, site.deletions.paths, site.deletions.due) == (0, [], math.inf)
    site.deletions.hasten()
    assert site.deletions.due == math.inf


def test_directories_without_pages_are_held_with_the_others_and_go_with_them() -> None:
    site = Site()
    gone = marks([b"/a/%d" % number for number in range(30)])
    assert site.deletions.keep({b"/": gone, b"/b/": marks([])}, [b"/", b"/b/"])
    assert not site.deletions.keep({}, [b"/"])  # all pages are back
    assert site.deletions.due <= site.now
    assert not site.deletions.keep({b"/b/": marks([])}, [b"/b/"])
    assert (site.deletions.paths, site.deletions.due) == ([], math.inf)


@pytest.mark.parametrize("grace", [0.0, 1.0, GRACE])
@given(
    steps=st.lists(
        st.tuples(
            st.floats(0, 20),
            st.sets(st.integers(0, 59)),
            st.sets(st.integers(0, 59)),
            st.sets(st.sampled_from([b"/d0/", b"/d1/", b"/d2/", b"/d3/"])),
        ),
        max_size=20,
    )
)
def test_nothing_is_kept_for_ever(
    grace: float, steps: list[tuple[float, set[int], set[int], set[bytes]]]
) -> None:
    """Whatever goes and comes back: what is missing is gone a minute later at the latest."""
    site = Site(grace)
    every = sorted(site.files)[:60]
    site.files, site.memory = set(every), set(every)
    for gap, going, coming, looked_at in steps:
        site.now += gap
        site.files = site.files - {every[i] for i in going} | {every[i] for i in coming}
        site.look(*looked_at)
        assert site.deletions.pages <= len(site.memory)
        assert (site.deletions.due == math.inf) is (site.deletions.paths == [])
        if site.deletions.paths:
            assert site.deletions.due <= site.now + grace
    site.look()
    end = site.now + LONGEST
    while site.strays:
        assert site.deletions.due <= end
        site.now = max(site.now, site.deletions.due)
        site.look()
    assert site.deletions.pages == 0
