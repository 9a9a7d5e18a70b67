"""What may be lost of a store, or overwritten: only a look at everything finds it."""

import os
import zlib
from contextlib import suppress

from histories import model
from support.memcached import Memcached


class Losses:
    """A store that loses things. Every public method is an event."""

    def __init__(self, store: Memcached) -> None:
        self._store = store

    def flush(self) -> None:
        with suppress(OSError), self._store.client() as client:
            client.flush_all()

    def lose(self, kind: str, number: int) -> None:
        """Delete one item: a `page`, a `head`, a `directory`, or the `site`'s own."""
        with suppress(OSError), self._store.client() as client:
            for key in self._pick(kind, number):
                client.delete(key, noreply=False)

    def deface(self, number: int, size: int, flags: str) -> None:
        """Overwrite a page by foreign bytes: flags `none`, or `own`, as if it were a page."""
        value = os.urandom(size)
        number_of = {"none": 0, "own": zlib.crc32(value) & 0xFFFFFFFC}
        with suppress(OSError), self._store.client() as client:
            for key in self._pick("page", number):
                client.replace(key, value, flags=number_of[flags], noreply=False)

    def _pick(self, kind: str, number: int) -> list[bytes]:
        kinds = {"page": "", "head": "-head", "directory": "-dir", "site": "-site"}
        scheme = f"memfis{kinds[kind]}://".encode()
        found = [key for key in model.keys(self._store) if key.startswith(scheme)]
        return found[number % len(found) :][:1] if found else []
