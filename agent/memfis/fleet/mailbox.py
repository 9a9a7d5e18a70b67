"""The boxes in a store (`layout.boxes`), and the item that says whose turn it is to publish.

All here waits for the store: it is called in a thread.
"""

from collections.abc import Iterable
from enum import Enum

from memfis.errors import StoreError
from memfis.layout import boxes
from memfis.layout.boxes import Box
from memfis.layout.keys import box_key, turn_key
from memfis.store import Store
from memfis.store.exchange import fetch, put, remove

TURN = 15
"""Seconds that a host publishes for without saying so again."""


class Whose(Enum):
    """Whose turn it is to publish."""

    OURS = "ours"
    ANOTHERS = "another's"
    NOBODYS = "nobody's"


class Mailbox:
    """What one store holds of what its hosts say to each other."""

    def __init__(self, store: Store) -> None:
        """Use `store`, which nobody else does at the same time."""
        self._store = store

    def read(self, hosts: Iterable[str]) -> dict[str, Box | ValueError]:
        """Return the box of each of `hosts` that has one, or what is wrong with it.

        Raises StoreError.
        """
        named = list(hosts)
        answers = self._store.exchange(*(fetch(box_key(host)) for host in named))
        found: dict[str, Box | ValueError] = {}
        for host, answer in zip(named, answers, strict=True):
            if answer.status == b"VA":
                found[host] = _read(answer.value, host)
            elif answer.refusal:
                raise StoreError(f"store {self._store.address}: {answer.refusal}")
        return found

    def post(self, box: Box) -> None:
        """Write the box of our host; raises StoreError."""
        self._store.set(box_key(box.host), boxes.written(box), ttl=boxes.TTL)

    def turn(self, host: str, *, take: bool) -> Whose:
        """Return whose turn it is; if it is that of `host` it is from now on for TURN seconds.

        `take`: take it for `host` where it is nobody's. Raises StoreError.
        """
        key, name = turn_key(), host.encode("ascii")
        [found] = self._store.exchange(fetch(key))
        if found.status == b"VA" and found.value != name:
            return Whose.ANOTHERS
        if found.status == b"VA":
            [done] = self._store.exchange(put(key, name, cas=found.cas, ttl=TURN))
        elif found.refusal:
            raise StoreError(f"store {self._store.address}: {found.refusal}")
        elif take:
            [done] = self._store.exchange(put(key, name, new=True, ttl=TURN))
        else:
            return Whose.NOBODYS
        if done.refusal:
            raise StoreError(f"store {self._store.address}: {done.refusal}")
        return Whose.OURS if done.done else Whose.ANOTHERS

    def leave(self, host: str) -> None:
        """Give the turn up, if it is that of `host`; raises StoreError."""
        [found] = self._store.exchange(fetch(turn_key()))
        if found.status == b"VA" and found.value == host.encode("ascii"):
            self._store.exchange(remove(turn_key(), found.cas))

    def close(self) -> None:
        """Close the connections."""
        self._store.close()


def _read(item: bytes, host: str) -> Box | ValueError:
    try:
        return boxes.read(item, host)
    except ValueError as error:
        return error
