"""The store as a filesystem meets it: what goes wrong with it is an OSError."""

import errno
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from memfis.errors import StoreError
from memfis.store import Answer, Item, Request, Store, StoreStatistics

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds after an answer that did not come in which nobody waits for another one."""

P = ParamSpec("P")
T = TypeVar("T")


def failure(number: int, detail: str = "") -> OSError:
    """Return the OSError of the errno `number`."""
    return OSError(number, f"{os.strerror(number)}: {detail}" if detail else os.strerror(number))


class Items:
    """Reads and writes items; raises OSError: EIO when the store cannot be asked."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask `store`; `clock` gives seconds."""
        self._store = store
        self._clock = clock
        self._away_until = 0.0
        self._away = False

    @property
    def away(self) -> bool:
        """Whether the store did not answer the last time."""
        return self._away

    def exchange(self, *requests: Request) -> list[Answer]:
        """Return the answers to `requests`, in one round trip."""
        return self._ask(self._store.exchange, *requests)

    def set_many(self, items: Sequence[Item]) -> None:
        """Write `items`; raises ENOSPC when the store has no room for one."""
        refused = self._ask(self._store.set_many, items)
        if refused:
            raise failure(errno.ENOSPC, refused[0][1])

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Remove `keys`."""
        self._ask(self._store.delete_many, keys)

    def all_keys(self) -> list[bytes]:
        """Return every key in the store."""
        return self._ask(lambda: list(self._store.all_keys()))

    def statistics(self) -> StoreStatistics:
        """Return the store's own figures."""
        return self._ask(self._store.statistics)

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def _ask(self, call: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        # A frozen store would make every caller wait in turn.
        if self._away_until and self._clock() < self._away_until:
            raise failure(errno.EIO, f"store {self._store.address} does not answer")
        try:
            answer = call(*given, **named)
        except StoreError as error:
            if isinstance(error.__cause__, TimeoutError):
                self._away_until = self._clock() + PAUSE
            if not self._away:
                log.error("%s", error)  # noqa: TRY400 - the line is clear enough
            self._away = True
            self._store.close()
            raise failure(errno.EIO, str(error)) from error
        if self._away:
            log.info("store %s answers again", self._store.address)
            self._away = False
            self._away_until = 0.0
        return answer
