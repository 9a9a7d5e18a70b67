"""Two trees to which the same happens: whatever is asked, both give the same answer."""

import os
import pprint
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from conformance.operations import Actor, Operation
from conformance.strategies import There, Within, beginnings, chosen_names, operations
from conformance.systems import System

Scene = Callable[[], tuple[System, System]]
"""Makes two empty trees: the one under test, and the one that is right."""

End = Callable[[Actor, Actor], None]
"""What else is checked in the end, when no file is open any more; raises AssertionError."""

DEPTH = 6
"""Names in a path, at most: of 20 bytes each, escaped, they have room in a key."""

ATTEMPTS = 300
"""Histories that are tried, at most, to find a shorter one."""


RANDOM = settings(
    deadline=None,
    database=None,
    verbosity=Verbosity.quiet,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


class Difference(AssertionError):
    """An answer that is not the right one."""


class Pair:
    """The tree under test and the one that is right."""

    def __init__(self, scene: Scene) -> None:
        tested, right = scene()
        self.tested, self.right = Actor(tested), Actor(right)
        self.history: list[Operation] = []
        self.do(("make_directory", b"top", 0o755))

    def happen(self, operation: Operation) -> None:
        """Do `operation` in the places that it means now."""
        resolved = self.resolved(operation)
        if resolved[0] != "rename" or self._shallow(*resolved[1:3]):
            self.do(resolved)

    def resolved(self, operation: Operation) -> Operation:
        """Return `operation` with paths for the places that it means now."""
        found: list[bytes] = []
        if any(isinstance(each, There | Within) for each in operation):
            found = self.right.paths(b"top")
        return tuple(self._place(each, found) for each in operation)

    def _place(self, place: object, found: list[bytes]) -> object:
        if isinstance(place, There):
            names = found[1:] or [b"top/nothing"]
            return names[place.number % len(names)]
        if isinstance(place, Within):
            places = [each for each in found if self.right.is_directory(each)]
            shallow = [each for each in places if each.count(b"/") < 3]
            return shallow[place.number % len(shallow)] + b"/" + place.name
        return place

    def _shallow(self, old: bytes, new: bytes) -> bool:
        """Whether keys have room for what is below `old` when it is below `new`."""
        below = [each.count(b"/") for each in self.right.paths(old)]
        return max(below, default=0) - old.count(b"/") + new.count(b"/") < DEPTH

    def do(self, operation: Operation) -> None:
        """Do `operation` on both; raises Difference."""
        self.history.append(operation)
        expected, got = self.right.do(operation), self.tested.do(operation)
        if expected != got:
            raise Difference(f"{operation!r}\n{difference(expected, got)}")

    def conclude(self, end: End) -> None:
        """Compare everything, at first with the files open that are; raises AssertionError."""
        self.do(("tree",))
        self.do(("close_all",))
        self.do(("tree",))
        end(self.tested, self.right)


def difference(expected: object, got: object) -> str:
    """Return what differs, a line each."""
    if not isinstance(expected, dict) or not isinstance(got, dict):
        return f"expected: {_short(expected)}\n     got: {_short(got)}"
    keys = sorted(expected.keys() | got.keys())
    return "\n".join(
        f"{key!r}:\n{difference(expected.get(key), got.get(key))}"
        for key in keys
        if expected.get(key) != got.get(key)
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 400 else f"{text[:200]} … {text[-200:]} ({len(text)} characters)"


@contextmanager
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def compare(
    scene: Scene, end: End, *, runs: int, steps: int, number: int, open_files: bool = True
) -> int:
    """Let `runs` random histories of `steps` operations happen; return how many there were.

    `number`: where they come from. `open_files`: also operations on files that stay open.
    Raises the AssertionError of the shortest history found that shows what is wrong.
    """
    done = 0
    failed: list[list[Operation]] = []

    class Machine(RuleBasedStateMachine):
        pair: Pair
        operations: st.SearchStrategy[Operation]
        whole = False

        @initialize(names=chosen_names, data=st.data())
        def begin(self, names: list[bytes], data: st.DataObject) -> None:
            self.operations = operations(names, open_files=open_files)
            beginning = data.draw(beginnings(names))
            self.pair = Pair(scene)
            self.whole = True
            with self.watched():
                for operation in beginning:
                    self.pair.happen(operation)

        @rule(data=st.data())
        def happen(self, data: st.DataObject) -> None:
            nonlocal done
            operation = data.draw(self.operations)
            done += 1
            with self.watched():
                self.pair.happen(operation)

        def teardown(self) -> None:
            if self.whole:
                with self.watched():
                    self.pair.conclude(end)

        @contextmanager
        def watched(self) -> Iterator[None]:
            try:
                yield
            except Exception:
                self.whole = False
                failed.append(self.pair.history)
                raise

    chosen = settings(RANDOM, max_examples=runs, stateful_step_count=steps)
    with no_umask():
        try:
            run_state_machine_as_test(seed(number)(Machine), settings=chosen)
        except Exception:
            if failed:
                repeat(shortest(failed[0], scene, end), scene, end)
            raise
    return done


def repeat(history: list[Operation], scene: Scene, end: End) -> None:
    """Let `history` happen once more; raises AssertionError, with `history` in it."""
    pair = Pair(scene)
    try:
        for operation in history:
            pair.do(operation)
        pair.conclude(end)
    except Exception as error:
        raise AssertionError(f"{error}\nafter:\n{pprint.pformat(history, width=100)}") from error


def shortest(history: list[Operation], scene: Scene, end: End) -> list[Operation]:
    """Return as little of `history` as still shows that something is wrong."""
    attempts, size = 0, len(history) // 2
    while size and attempts < ATTEMPTS:
        start = len(history) - size
        while start > -size and attempts < ATTEMPTS:
            shorter = history[: max(start, 0)] + history[start + size :]
            attempts += 1
            start -= size
            try:
                repeat(shorter, scene, end)
            except AssertionError:
                history = shorter
        size //= 2
    return history
