"""What cannot be in memory is told once, as long as it lasts."""

import logging
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memfis.keeper.journal import Journal
from memfis.keeper.problems import LINES, Problems
from memfis.webroot import Problem


class Told(Journal):
    """A journal that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("a.example")
        self.lines: list[tuple[int, str]] = []

    def say(self, level: int, message: str) -> None:
        self.lines.append((level, message))

    def take(self) -> list[str]:
        lines = [message for _, message in self.lines]
        self.lines.clear()
        return lines


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def problems(told: Told) -> Problems:
    return Problems(told)


UNREADABLE = Problem(b"/a", "not readable for nginx's user www-data (-rw-------)")
LONG = Problem(b"/d/b", "key too long: 300 bytes, 250 at most")


def test_each_is_told_once_as_long_as_it_lasts(told: Told, problems: Problems) -> None:
    problems.replace([UNREADABLE, LONG])
    assert told.take() == [f"/a: {UNREADABLE.reason}", f"/d/b: {LONG.reason}"]
    problems.replace([UNREADABLE, LONG])
    problems.add([LONG])
    assert told.take() == []
    other = Problem(b"/a", "dangling symbolic link")
    problems.add([other])
    assert told.take() == ["/a: dangling symbolic link"]
    assert len(problems) == 2


def test_what_was_gone_is_news_when_it_comes_again(told: Told, problems: Problems) -> None:
    problems.replace([UNREADABLE])
    problems.replace([])
    assert len(problems) == 0
    told.take()
    problems.replace([UNREADABLE])
    assert len(told.take()) == 1


def test_a_directory_that_is_compared_again_has_its_own_anew(
    told: Told, problems: Problems
) -> None:
    deep = Problem(b"/d/e/f", "dangling symbolic link")
    problems.replace([UNREADABLE, LONG, deep])
    told.take()
    problems.forget(b"/d/")
    assert problems.kinds() == {"not readable for nginx's user www-data": 1, deep.reason: 1}
    problems.add([LONG])
    assert told.take() == []  # it never went
    assert len(problems) == 3


def test_kinds_leave_out_what_is_particular(problems: Problems) -> None:
    reasons = [LONG.reason, "key too long: 251 bytes, 250 at most", UNREADABLE.reason]
    reasons += ["symbolic link out of the web root, to /etc/passwd", "circular symbolic link"]
    problems.replace(Problem(b"/%d" % number, reason) for number, reason in enumerate(reasons))
    assert problems.kinds() == {
        "key too long": 2,
        "not readable for nginx's user www-data": 1,
        "symbolic link out of the web root": 1,
        "circular symbolic link": 1,
    }


@given(number=st.integers(0, 3 * LINES))
def test_many_at_once_get_few_lines(number: int) -> None:
    told = Told()
    Problems(told).replace(Problem(b"/%d" % n, "unreadable") for n in range(number))
    levels = Counter(level for level, _ in told.lines)
    more = number > LINES
    assert levels[logging.WARNING] == min(number, LINES) + more
    assert levels[logging.DEBUG] == max(0, number - LINES)
    assert not more or told.lines[-1][1].startswith(f"{number - LINES} more like these")


def test_a_name_cannot_forge_a_line(told: Told, problems: Problems) -> None:
    problems.replace([Problem(b"/a\nb\x1b", "dangling symbolic link")])
    assert told.take() == ["/a\\nb\\x1b: dangling symbolic link"]


PATH = st.sampled_from([b"/a", b"/b", b"/d/a", b"/d/e/a", b"/dd/a"])
FOUND = st.dictionaries(PATH, st.sampled_from(["x", "y"]), max_size=5)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from([b"", b"/", b"/d/", b"/d/e/"]), FOUND), max_size=8))
def test_they_are_what_was_found_last(looks: list[tuple[bytes, dict[bytes, str]]]) -> None:
    """Whole sites (``) and directories are compared in any order."""
    told = Told()
    problems = Problems(told)
    now: dict[bytes, str] = {}
    for directory, found in looks:
        if not directory:
            problems.replace(Problem(*each) for each in found.items())
            before, now = now, found
        else:
            held = {p: r for p, r in found.items() if p[: p.rfind(b"/") + 1] == directory}
            problems.forget(directory)
            problems.add(Problem(*each) for each in held.items())
            elsewhere = {p: r for p, r in now.items() if p[: p.rfind(b"/") + 1] != directory}
            before, now = now, elsewhere | held
        lines = set(told.take())
        assert problems.kinds() == Counter(now.values())
        # what is new is told always, and what was there before never again
        assert {f"{p.decode()}: {r}" for p, r in now.items() if before.get(p) == r}.isdisjoint(
            lines
        )
        assert lines <= {f"{p.decode()}: {r}" for p, r in now.items()}
