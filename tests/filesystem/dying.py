"""A store that a mount can ask only so many times more, as one that is killed."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from memfis.errors import StoreError
from memfis.settings.addresses import StoreAddress
from memfis.store import Answer, Item, Request, Store, Value

T = TypeVar("T")


class DyingStore(Store):
    """Answers `left` times; what comes then never reaches the store.

    Commands that are sent together are carried out together, since they are one write to the
    socket; unless `apart`, for those of which a part was read when the store ended.
    """

    left = 1 << 60
    apart = False

    def exchange(self, *requests: Request) -> list[Answer]:
        if self.apart:
            return [self._alive(partial(self._exchange, each))[0] for each in requests]
        return self._alive(lambda: self._exchange(*requests))

    def _exchange(self, *requests: Request) -> list[Answer]:
        return super().exchange(*requests)

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Value]:
        return self._alive(lambda: super(DyingStore, self).get_many(keys))

    def set_many(
        self, items: Sequence[Item], ttl: int = 0, after: Item | None = None
    ) -> list[tuple[bytes, str]]:
        return self._alive(lambda: super(DyingStore, self).set_many(items, ttl, after))

    def delete_many(self, keys: Sequence[bytes]) -> None:
        self._alive(lambda: super(DyingStore, self).delete_many(keys))

    def _alive(self, ask: Callable[[], T]) -> T:
        if self.left == 0:
            raise StoreError(f"store {self.address} is not asked any more")
        self.left -= 1
        return ask()


def dying(url: str) -> DyingStore:
    """Return a store that lives until its `left` is set."""
    return DyingStore(StoreAddress.parse(url))
