"""A database in memory behind the gateway, that can be slow, frozen or gone."""

import asyncio
import itertools
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from memfis.gateway.backend import (
    BackendError,
    Document,
    MismatchError,
    MissingError,
    UnavailableError,
    Write,
)
from memfis.gateway.startup import run_with
from memfis.settings.values import GatewaySettings


class MemoryBackend:
    """Keeps documents as Couchbase does, expiry included."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self.many_versions = True
        self._documents: dict[bytes, tuple[Document, int]] = {}
        self._cas = itertools.count(int(time.time()) << 16)
        self.fetched: list[bytes] = []
        """Every key that was asked for."""
        self.calls = 0
        """How many times it was asked for keys."""
        self.answers = asyncio.Event()
        """Cleared: it answers nothing."""
        self.answers.set()
        self.slow: dict[bytes, asyncio.Event] = {}
        """Keys that come only when their event is set."""
        self.gone: BackendError | None = None
        """What it fails with."""
        self.delay = 0.0
        """Seconds that each answer takes."""
        self.copies = False
        """Whether each answer has bytes of its own, as those that come over a network."""

    async def _ready(self) -> None:
        await asyncio.sleep(self.delay)
        await self.answers.wait()
        if self.gone is not None:
            raise self.gone

    def _find(self, key: bytes) -> tuple[Document, int] | None:
        found = self._documents.get(key)
        if found is not None and found[1] and found[1] <= self._wall():
            del self._documents[key]
            return None
        return found

    def put(self, write: Write) -> int:
        """Write as another host would, at once."""
        cas = next(self._cas)
        self._documents[write.key] = (Document(write.value, write.flags, cas), write.expires)
        return cas

    async def fetch(
        self, keys: Sequence[bytes], limit: float
    ) -> Sequence[Document | BackendError | None]:
        self.fetched += keys
        self.calls += 1
        for key in self.slow.keys() & set(keys):
            await self.slow[key].wait()
        await self._ready()
        found = map(self._find, keys)
        documents = [None if each is None else each[0] for each in found]
        if self.copies:
            return await asyncio.to_thread(_copies, documents)  # as the SDK does
        return documents

    async def store(self, writes: Sequence[Write]) -> Sequence[int | BackendError]:
        await self._ready()
        return [self.put(write) for write in writes]

    async def remove(self, keys: Sequence[bytes]) -> Sequence[bool | BackendError]:
        await self._ready()
        there = [self._find(key) is not None for key in keys]
        for key in keys:
            self._documents.pop(key, None)
        return there

    async def versions(self, keys: Sequence[bytes]) -> Sequence[int | BackendError | None]:
        await self._ready()
        found = map(self._find, keys)
        return [None if each is None else each[0].cas for each in found]

    async def touch(self, touches: Sequence[tuple[bytes, int]]) -> Sequence[bool | BackendError]:
        await self._ready()
        there = []
        for key, expires in touches:
            found = self._find(key)
            there.append(found is not None)
            if found is not None:
                self._documents[key] = (found[0], expires)
        return there

    async def insert(self, write: Write) -> int:
        await self._ready()
        if self._find(write.key) is not None:
            raise MismatchError
        return self.put(write)

    async def replace(self, write: Write, cas: int, *, keep_expiry: bool = False) -> int:
        await self._ready()
        document, expires = self._matching(write.key, cas)
        del document
        if keep_expiry:
            write = Write(write.key, write.value, write.flags, expires)
        return self.put(write)

    async def extend(self, key: bytes, value: bytes, cas: int, *, front: bool) -> int:
        await self._ready()
        document, expires = self._matching(key, cas)
        longer = value + document.value if front else document.value + value
        return self.put(Write(key, longer, document.flags, expires))

    async def remove_only(self, key: bytes, cas: int) -> None:
        await self._ready()
        self._matching(key, cas)
        del self._documents[key]

    def _matching(self, key: bytes, cas: int) -> tuple[Document, int]:
        found = self._find(key)
        if found is None:
            raise MissingError
        if cas not in (0, found[0].cas):
            raise MismatchError
        return found

    async def keys(self) -> AsyncIterator[bytes]:
        await self._ready()
        for key in list(self._documents):
            if self._find(key) is not None:
                yield key

    async def flush(self) -> None:
        await self._ready()
        self._documents.clear()


def _copies(documents: Sequence[Document | None]) -> Sequence[Document | None]:
    """Return the same documents, their bytes elsewhere."""
    return [
        each and Document(b"".join((each.value, b"")), each.flags, each.cas) for each in documents
    ]


def away() -> UnavailableError:
    """Return what a database that is not there fails with."""
    return UnavailableError("it is gone")


def _serve(settings: GatewaySettings, slow: float, *, copies: bool) -> None:
    """Serve a database that SIGUSR1 takes away and brings back, and SIGUSR2 makes slow and fast.

    `slow`: seconds that each answer takes then.
    """
    backend = MemoryBackend()
    backend.copies = copies

    def turn(number: int, frame: object) -> None:
        if number == signal.SIGUSR1:
            backend.gone = None if backend.gone else away()
        else:
            backend.delay = 0.0 if backend.delay else slow

    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, turn)
    run_with(backend, settings)


if __name__ == "__main__":
    _serve(
        msgspec.json.decode(sys.argv[1], type=GatewaySettings),
        float(sys.argv[2]),
        copies="copies" in sys.argv[3:],
    )
