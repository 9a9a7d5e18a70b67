"""How items are written: many together, or one under a condition."""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum

from memfis.gateway.backend import (
    BackendError,
    MismatchError,
    MissingError,
    RefusedError,
    Write,
)
from memfis.gateway.batches import Batches
from memfis.gateway.guard import Guard
from memfis.gateway.reads import Reads
from memfis.gateway.seen import UNKNOWN, Brief, Seen

TRIES = 50
"""How often a change is tried that others keep coming between."""

FLUSHING = 600.0
"""Seconds that a flush may take."""


class Outcome(Enum):
    """What became of a conditional write or removal."""

    DONE = "done"
    NOT_STORED = "not stored"
    EXISTS = "exists"
    NOT_FOUND = "not found"


class Writes:
    """Writes through to the database, and sees to it that nothing older is answered afterwards.

    Calls raise BackendError when the database cannot do it.
    """

    def __init__(
        self, guard: Guard, reads: Reads, seen: Seen, wall: Callable[[], float], max_item: int
    ) -> None:
        """Write by `guard`, and let `reads` and `seen` forget what is overtaken.

        `wall` is the time that items expire by, in Unix seconds; `max_item` the largest value, in
        bytes.
        """
        self._guard, self._reads, self._seen = guard, reads, seen
        self._wall, self._max_item = wall, max_item
        self._stores: Batches[Write, int] = Batches(
            self._store, lambda write: write.key, lambda write: len(write.value)
        )
        self._removals: Batches[bytes, bool] = Batches(self._remove, lambda key: key, lambda _: 64)
        self._touches: Batches[tuple[bytes, int], bool] = Batches(
            self._touch, lambda job: job[0], lambda _: 64
        )

    def set(self, write: Write) -> "asyncio.Future[int]":
        """Write whatever was there; return what will be the item's CAS."""
        self._reads.forget(write.key)
        return self._stores.submit(write)

    def delete(self, key: bytes) -> "asyncio.Future[bool]":
        """Remove the item; return whether it was there."""
        self._reads.forget(key)
        return self._removals.submit(key)

    def touch(self, key: bytes, expires: int) -> "asyncio.Future[bool]":
        """Give the item its expiry `expires` (Unix seconds, 0: never; the past: now)."""
        if self._is_past(expires):
            return self.delete(key)
        self._reads.forget(key)
        return self._touches.submit((key, expires))

    async def add(self, write: Write) -> tuple[Outcome, int]:
        """Write where nothing is; return what became of it, and its CAS."""
        if self._is_past(write.expires):
            found = await self._reads.ask(write.key)
            return (Outcome.DONE, 0) if found is None else (Outcome.NOT_STORED, 0)
        try:
            with self._writing(write.key):
                cas = await self._guard.one("insert", lambda: self._guard.backend.insert(write))
        except MismatchError:
            return Outcome.NOT_STORED, 0
        self._seen.note(write.key, _brief(write, cas))
        return Outcome.DONE, cas

    async def replace(
        self, write: Write, cas: int | None = None, *, keep_expiry: bool = False
    ) -> tuple[Outcome, int]:
        """Write where something is, with `cas` only over that very one."""
        if cas == 0:
            return await self._other_than_none(write.key), 0
        if self._is_past(write.expires):
            return await self.remove_only(write.key, cas), 0
        try:
            with self._writing(write.key):
                new = await self._guard.one(
                    "replace",
                    lambda: self._guard.backend.replace(write, cas or 0, keep_expiry=keep_expiry),
                )
        except MissingError:
            self._seen.forget(write.key)
            return Outcome.NOT_FOUND, 0
        except MismatchError:
            return Outcome.EXISTS, 0
        expires = self._seen.expires(write.key) if keep_expiry else write.expires
        self._seen.note(write.key, _brief(write, new)._replace(expires=expires))
        return Outcome.DONE, new

    async def extend(
        self, key: bytes, value: bytes, cas: int | None = None, *, front: bool = False
    ) -> tuple[Outcome, int]:
        """Append to the item, or prepend; NOT_STORED where none is, or it would grow too large.

        A `cas` of 0 is none here, as in memcached.
        """
        size = self._seen.last_size(key)
        if size is None or size + len(value) > self._max_item // 2:
            found = await self._reads.ask(key)
            size = None if found is None else len(found.value)
        if size is None or size + len(value) > self._max_item:
            return Outcome.NOT_STORED, 0
        try:
            with self._writing(key):
                new = await self._guard.one(
                    "extend",
                    lambda: self._guard.backend.extend(key, value, cas or 0, front=front),
                )
        except MissingError:
            self._seen.forget(key)
            return Outcome.NOT_STORED, 0
        except MismatchError:
            return Outcome.EXISTS, 0
        before = self._seen.find(key)
        if before is not None:
            # Only what was this very version before is certain to be as long as that now.
            version = new if cas and cas == before.cas else 0
            self._seen.note(key, before._replace(size=size + len(value), cas=version))
        return Outcome.DONE, new

    async def remove_only(self, key: bytes, cas: int | None = None) -> Outcome:
        """Remove the item, with `cas` only that very one."""
        if cas == 0:
            return await self._other_than_none(key)
        if cas is None:
            return Outcome.DONE if await self.delete(key) else Outcome.NOT_FOUND
        try:
            with self._writing(key):
                await self._guard.one("remove", lambda: self._guard.backend.remove_only(key, cas))
        except MissingError:
            return Outcome.NOT_FOUND
        except MismatchError:
            return Outcome.EXISTS
        self._seen.forget(key)
        return Outcome.DONE

    async def count(
        self,
        key: bytes,
        change: Callable[[bytes], bytes],
        cas: int = 0,
        expires: int | None = None,
    ) -> tuple[Outcome, bytes, int]:
        """Replace the value by what `change` makes of it; return what became of it, value and CAS.

        With a `cas` that is not 0 only that very one's; `expires` is its new expiry, if any.
        Raises what `change` raises.
        """
        for _ in range(TRIES):
            found = await self._reads.ask(key)
            if found is None:
                return Outcome.NOT_FOUND, b"", 0
            if cas not in (0, found.cas):
                return Outcome.EXISTS, b"", 0
            value = change(found.value)
            until = self._seen.expires(key) if expires is None else expires
            keep = until == UNKNOWN  # which Couchbase can since 7.0, and no mock
            write = Write(key, value, found.flags, 0 if keep else until)
            outcome, new = await self.replace(write, found.cas, keep_expiry=keep)
            if outcome is not Outcome.EXISTS or cas:
                return outcome, value, new
        raise RefusedError("too many others change this item")

    async def flush(self) -> None:
        """Remove everything."""
        await self._guard.one("flush", self._guard.backend.flush, limit=FLUSHING)
        self._reads.forget_all()

    async def _other_than_none(self, key: bytes) -> Outcome:
        """Return what becomes of a change to the item with CAS 0, which no item has.

        Couchbase takes it for no condition at all.
        """
        return Outcome.NOT_FOUND if await self._reads.ask(key) is None else Outcome.EXISTS

    def _is_past(self, expires: int) -> bool:
        """Whether what expires at `expires` is already gone."""
        return expires != 0 and expires <= self._wall()

    def _writing(self, key: bytes) -> "_Writing":
        return _Writing(self._reads, key)

    async def _store(self, writes: Sequence[Write]) -> Sequence[int | BackendError]:
        gone = [write for write in writes if self._is_past(write.expires)]
        if gone:  # stored and expired at once
            return await self._store_some(writes)
        results = await self._guard.store(writes)
        for write, result in zip(writes, results, strict=True):
            self._reads.forget(write.key)
            if not isinstance(result, BackendError):
                self._seen.note(write.key, _brief(write, result))
        return results

    async def _store_some(self, writes: Sequence[Write]) -> Sequence[int | BackendError]:
        keep = [write for write in writes if not self._is_past(write.expires)]
        gone = [write.key for write in writes if self._is_past(write.expires)]
        results: dict[bytes, int | BackendError] = {}
        if keep:
            stored = await self._store(keep)
            results = {write.key: result for write, result in zip(keep, stored, strict=True)}
        for key, removed in zip(gone, await self._remove(gone), strict=True):
            results[key] = removed if isinstance(removed, BackendError) else 0
        return [results[write.key] for write in writes]

    async def _remove(self, keys: Sequence[bytes]) -> Sequence[bool | BackendError]:
        results = await self._guard.remove(keys)
        for key in keys:
            self._reads.forget(key)
            self._seen.forget(key)
        return results

    async def _touch(self, touches: Sequence[tuple[bytes, int]]) -> Sequence[bool | BackendError]:
        results = await self._guard.touch(touches)
        for (key, expires), result in zip(touches, results, strict=True):
            self._reads.forget(key)
            if result is True:
                self._seen.expire(key, expires)
        return results


def _brief(write: Write, cas: int) -> Brief:
    return Brief(len(write.value), write.flags, cas, write.expires)


class _Writing:
    """Around a write to one key: nothing read before its end is answered after it."""

    def __init__(self, reads: Reads, key: bytes) -> None:
        self._reads, self._key = reads, key

    def __enter__(self) -> None:
        self._reads.forget(self._key)

    def __exit__(self, *_: object) -> None:
        self._reads.forget(self._key)
