"""Two mounts whose commands to the store come in an order that is given: every order, one by one.

A command is what the store carries out as a whole; of those that are sent together, others may come
between each two.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from memfis.settings.addresses import StoreAddress
from memfis.store import Answer, Item, Request, Store, Value

T = TypeVar("T")

MOST = 4
"""Places at which a side is interrupted, unless there is more time."""

PATIENCE = 60
"""Seconds after which a side that says nothing is stuck."""


class SteppingStore(Store):
    """Waits before each command until it is let on."""

    pause: Callable[[], None] = staticmethod(lambda: None)
    apart = True
    """Whether others may come between commands that are sent together."""

    def exchange(self, *requests: Request) -> list[Answer]:
        if not self.apart:
            return self._step(lambda: self._exchange(*requests))
        return [self._step(partial(self._exchange, each))[0] for each in requests]

    def _exchange(self, *requests: Request) -> list[Answer]:
        return super().exchange(*requests)

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Value]:
        return self._step(lambda: super(SteppingStore, self).get_many(keys))

    def set_many(
        self, items: Sequence[Item], ttl: int = 0, after: Item | None = None
    ) -> list[tuple[bytes, str]]:
        return self._step(lambda: super(SteppingStore, self).set_many(items, ttl, after))

    def delete_many(self, keys: Sequence[bytes]) -> None:
        self._step(lambda: super(SteppingStore, self).delete_many(keys))

    def _step(self, ask: Callable[[], T]) -> T:
        self.pause()
        return ask()


def stepping(url: str) -> SteppingStore:
    """Return a store that waits for nobody until `Side` has it."""
    return SteppingStore(StoreAddress.parse(url))


@dataclass
class Side:
    """One of those that act: what it does, on a store of its own, one command at a time."""

    store: SteppingStore
    act: Callable[[], object]
    error: OSError | None = None
    ended: bool = False
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _stopped: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _broken: BaseException | None = None

    def start(self) -> None:
        """Let it come to its first command."""
        self.store.pause = self._pause
        threading.Thread(target=self._run, daemon=True).start()
        self._wait()

    def step(self) -> bool:
        """Let one command be carried out; False when it had ended before."""
        if self.ended:
            return False
        self._go.release()
        self._wait()
        return True

    def _wait(self) -> None:
        assert self._stopped.acquire(timeout=PATIENCE), "it neither asks the store nor ends"
        if self._broken is not None:
            raise self._broken

    def _pause(self) -> None:
        self._stopped.release()
        assert self._go.acquire(timeout=PATIENCE), "nobody lets it on"

    def _run(self) -> None:
        try:
            self.act()
        except OSError as error:
            self.error = error
        except BaseException as error:
            self._broken = error
        finally:
            self.ended = True
            del self.store.pause
            self._stopped.release()


Play = tuple[Side, Side]


def every_order(begin: Callable[[], Play]) -> Iterator[list[int]]:
    """Let the two sides of `begin` act in every order of their steps; yield each that has ended."""
    ahead: list[int] = []
    while True:
        order, choices = _run(begin(), ahead)
        yield order
        left = [place for place in choices if order[place] == 0]
        if not left:
            return
        ahead = [*order[: left[-1]], 1]  # the last choice that has another side


def _run(play: Play, ahead: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the order in which the sides acted, `ahead` first, and where both could have."""
    order: list[int] = []
    both: list[int] = []
    for side in play:
        side.start()
    while not all(side.ended for side in play):
        wanted = ahead[len(order)] if len(order) < len(ahead) else 0
        chosen = wanted if not play[wanted].ended else 1 - wanted
        if not play[1 - chosen].ended:
            both.append(len(order))
        play[chosen].step()
        order.append(chosen)
    return order, both


def interrupted_orders(
    begin: Callable[[], Play], effort: int = 1
) -> Iterator[tuple[int, int, int]]:
    """Let each side be interrupted once, at every place; yield each order that has ended.

    (first, a, b): `first` does `a` steps, the other one `b`, then the first one ends, then the
    other one. A long act is interrupted at MOST places times `effort`, those spread over it.
    """
    for first in (0, 1):
        steps = [_steps(begin(), side) for side in (first, 1 - first)]
        for a in _spread(range(steps[0]), MOST * effort):
            for b in _spread(range(1, steps[1] + 1), MOST * effort):
                play = begin()
                for side in play:
                    side.start()
                one, other = play[first], play[1 - first]
                for side, number in ((one, a), (other, b)):
                    for _ in range(number):
                        side.step()
                for side in (one, other):
                    while side.step():
                        pass
                yield first, a, b


def _steps(play: Play, number: int) -> int:
    """Return how many steps a side takes when the other one acts after it."""
    done = [0, 0]
    for side in play:
        side.start()
    for each in (number, 1 - number):
        while play[each].step():
            done[each] += 1
    return done[number]


def _spread(places: range, most: int) -> list[int]:
    if len(places) <= most:
        return list(places)
    return sorted({places[number * (len(places) - 1) // (most - 1)] for number in range(most)})
