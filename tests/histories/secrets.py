"""Contents that were closed to nginx's user: visitors ask for them all the time, and must not get
them any more once they went.

A secret must be gone at a point where the agent has had enough time. What the agent was about to
write then may still come for a moment; later it is gone for ever, unless what happens next opens it
again.
"""

import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pymemcache.exceptions import MemcacheError

from histories import model
from support.memcached import Memcached

PAUSE = 0.003
"""Seconds between two rounds of asking for all pages that had a secret."""

LATE = 2.0
"""Seconds for which a secret that went may come again: twenty times the bound, for a machine with
much to do."""

_SECRET = re.compile(rb"secret \d+!")


def secret_in(content: bytes) -> bytes | None:
    """Return the secret that `content` begins with."""
    found = _SECRET.match(content)
    return found[0] if found else None


class Secrets:
    """The secrets of a history, and who asks for them."""

    def __init__(self, store: Memcached) -> None:
        self.late: list[str] = []
        """What came although it was gone, a line each."""
        self.all: set[bytes] = set()
        self._store = store
        self._keys: frozenset[bytes] = frozenset()
        self._gone: dict[bytes, float] = {}  # replaced as a whole: another thread reads it
        self._ended = threading.Event()
        self._visitor = threading.Thread(target=self._ask, daemon=True)

    def new(self) -> bytes:
        """Return a content that no other file has."""
        secret = b"secret %d!" % len(self.all)
        self.all.add(secret)
        return secret

    def watch(self, keys: Iterable[bytes]) -> None:
        """Ask for the pages `keys` too, from now on."""
        self._keys |= frozenset(keys)
        if not self._visitor.is_alive():
            self._visitor.start()

    def close(self, secrets: Iterable[bytes], *, late: float = LATE) -> None:
        """Expect that `secrets` do not come any more, from `late` seconds on."""
        moment = time.monotonic() + late
        self._gone = dict.fromkeys(secrets, moment) | self._gone

    def forget(self) -> None:
        """Expect nothing any more."""
        self._gone = {}

    @contextmanager
    def changing(self, still_closed: Callable[[set[bytes]], set[bytes]]) -> Iterator[None]:
        """Expect nothing while something happens; afterwards what is `still_closed` as before."""
        before, self._gone = self._gone, {}
        yield
        if before:
            closed = still_closed(set(before))
            self._gone = {secret: before[secret] for secret in closed} | self._gone

    def seen(self) -> set[bytes]:
        """Return the secrets that are in the store, under whatever key."""
        return {secret for _, secret in self._in(model.keys(self._store))}

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()
        if self._visitor.is_alive():
            self._visitor.join()

    def _ask(self) -> None:
        while not self._ended.wait(PAUSE):
            before, asked = self._gone, time.monotonic()
            try:
                found = self._in(self._keys)
            except (OSError, MemcacheError):
                continue  # the store was killed
            after = self._gone
            for key, secret in found:
                if secret in after and asked > before.get(secret, asked):
                    self.late.append(f"{secret!r} came after it was gone, as {key!r}")

    def _in(self, keys: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        with self._store.client() as client:
            client.serde = model.Plain()
            items = client.get_many(keys)
        found = []
        for key, (value, flags) in items.items():
            zipped = flags & 2 and not key.startswith(b"memfis-head://")  # that has a page's flags
            content = zlib.decompressobj(31).decompress(value, 64) if zipped else value
            secret = secret_in(content)
            if secret:
                found.append((key, secret))
        return found
