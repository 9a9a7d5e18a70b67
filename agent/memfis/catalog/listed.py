"""Keys found by listing the store, as many at a time as fit into little memory."""

from collections.abc import Callable

from memfis.store import Store

AT_ONCE = 20_000
"""Keys that are held at a time; the store is listed once more for as many more."""


def listed(store: Store, wanted: Callable[[bytes], bool]) -> list[bytes]:
    """Return the keys of `store` that are `wanted`, or AT_ONCE of them where there are more.

    A million keys take about five seconds of processor time to list. Raises StoreRefusedError where
    the store cannot list its keys.
    """
    found: list[bytes] = []
    for key in store.all_keys():  # to the end: what is left unread would be the next answer
        if len(found) < AT_ONCE and wanted(key):
            found.append(key)
    return found
