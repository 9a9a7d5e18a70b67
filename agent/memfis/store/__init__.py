"""The store: anything that speaks the ASCII memcached protocol (memcached doc/protocol.txt)."""

from memfis.store.client import Store, StoreStatistics, Value
from memfis.store.wire import Item, ItemState

__all__ = ["Item", "ItemState", "Store", "StoreStatistics", "Value"]
