"""The store: anything that speaks the ASCII memcached protocol (memcached doc/protocol.txt)."""

from memfis.store.client import Store, StoreStatistics, Value
from memfis.store.exchange import Answer, Request
from memfis.store.visits import Visit
from memfis.store.wire import Expected, Item, ItemState

__all__ = [
    "Answer",
    "Expected",
    "Item",
    "ItemState",
    "Request",
    "Store",
    "StoreStatistics",
    "Value",
    "Visit",
]
