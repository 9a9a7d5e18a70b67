"""How items are read: from the hot cache, or by one question a key at a time."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf

from memfis.gateway.backend import BackendError, Document
from memfis.gateway.batches import Batches
from memfis.gateway.figures import Figures
from memfis.gateway.guard import Guard
from memfis.gateway.hot import GRACE, Entry, HotCache
from memfis.gateway.seen import UNKNOWN, Brief, Seen
from memfis.settings.values import GatewaySettings

LARGE = 16 * 1024
"""Bytes of a value that is more to fetch than a question of its own is to ask."""


class _Asked:
    """A question to the database that is underway."""

    __slots__ = ("answer", "keep")

    def __init__(self, answer: "asyncio.Future[Document | None]") -> None:
        self.answer = answer
        self.keep = False
        """Whether a visitor wants it, so that it goes into the hot cache."""


class Reads:
    """The reading half of `Items`."""

    def __init__(
        self,
        guard: Guard,
        settings: GatewaySettings,
        figures: Figures,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.guard, self.settings, self.figures = guard, settings, figures
        self.clock, self.wall = clock, wall
        self.hot = HotCache(settings.hot_bytes, settings.hot_ttl, settings.stale_if_error, clock)
        self.seen = Seen()
        self._asked: dict[bytes, _Asked] = {}
        self._fetches: Batches[bytes, Document | None] = Batches(
            partial(self._fetch, patient=False), lambda key: key, self.seen.size
        )
        self._asked_patiently: dict[bytes, _Asked] = {}
        self._patient_fetches: Batches[bytes, Document | None] = Batches(
            partial(self._fetch, patient=True), lambda key: key, self.seen.size
        )
        self._versions: Batches[bytes, int | None] = Batches(
            guard.versions, lambda key: key, lambda _: 64
        )

    def quick(self, key: bytes) -> Entry | None:
        """Return a visitor's page if it is in the hot cache and fresh, else None."""
        entry = self.hot.get(key)
        if entry is None or (now := self.clock()) >= entry.fresh:
            return None
        self.figures.hits_hot += 1
        entry.accessed = now
        self.hot.used(key)
        return entry

    def get(self, key: bytes) -> "Entry | asyncio.Future[Document | None]":
        """Return a visitor's page: from the hot cache, or what the database will say."""
        entry = self.quick(key)
        if entry is not None:
            return entry
        entry = self.hot.get(key)
        if entry is not None:
            now = self.clock()
            if now < min(entry.fresh + GRACE, entry.ends):
                self.figures.hits_revalidated += 1
                entry.accessed = now
                self.hot.used(key)
                self.ask(key, keep=True).add_done_callback(_heard)
                return entry
        return self.ask(key, keep=True)

    def rescue(self, key: bytes) -> Entry | None:
        """Return an old page for a visitor when the database cannot be asked, if it may be."""
        entry = self.hot.get(key)
        if entry is None or not self.hot.usable(entry):
            return None
        self.figures.hits_stale += 1
        return entry

    def look(self, key: bytes) -> "Entry | asyncio.Future[Document | None]":
        """Return what is at `key`, at most `hot_ttl` seconds old."""
        entry = self.hot.get(key)
        if entry is not None and self.clock() < entry.fresh:
            return entry
        return self.ask(key)

    def glance(
        self, key: bytes, *, now: bool = False
    ) -> "Entry | asyncio.Future[Brief | Document | None]":
        """Return what is at `key` without its value, as far as that is possible.

        At most `hot_ttl` seconds old; `now`: not at all. Where this gateway has seen the item, the
        database is only asked whether it is still that version.
        """
        entry = self.hot.get(key)
        if not now and entry is not None and self.clock() < entry.fresh:
            return entry
        known = self.seen.find(key)
        answer: asyncio.Future[Brief | Document | None]
        if known is None or not known.cas:
            answer = self.ask(key)  # type: ignore[assignment]
            return answer
        if known.size < LARGE and not self.guard.backend.many_versions:
            answer = self.ask(key)  # type: ignore[assignment]
            return answer
        answer = asyncio.get_running_loop().create_future()
        self._versions.submit(key).add_done_callback(partial(self._compare, key, known, answer))
        return answer

    def _compare(
        self,
        key: bytes,
        known: Brief,
        answer: "asyncio.Future[Brief | Document | None]",
        version: "asyncio.Future[int | None]",
    ) -> None:
        if answer.done():
            return
        error = version.exception()
        if error is not None:
            answer.set_exception(error)
        elif version.result() == known.cas:
            self.figures.glances += 1
            answer.set_result(known)
        elif version.result() is None:
            self.forget(key)
            self.seen.forget(key)
            answer.set_result(None)
        else:
            self.forget(key)
            self.ask(key).add_done_callback(partial(_pass_on, answer))

    def ask(self, key: bytes, *, keep: bool = False) -> "asyncio.Future[Document | None]":
        """Return what the database will say; one question a key at a time.

        `keep`: a visitor asks, who does not wait for long; else it may be something large.
        """
        underway = self._asked if keep else self._asked_patiently
        asked = underway.get(key)
        if asked is None:
            asked = _Asked((self._fetches if keep else self._patient_fetches).submit(key))
            underway[key] = asked
            question = asked

            def answered(future: "asyncio.Future[Document | None]") -> None:
                if underway.get(key) is question:  # else it was written to meanwhile
                    del underway[key]
                    self._learn(key, future, question.keep)

            asked.answer.add_done_callback(answered)
        asked.keep = asked.keep or keep
        return asked.answer

    def forget_all(self) -> None:
        """Let nothing that was read before now be answered from now on."""
        self.hot.clear()
        self._asked.clear()
        self._asked_patiently.clear()
        self.seen.clear()

    def forget(self, key: bytes) -> None:
        """Let nothing that was read before now be answered for `key` from now on."""
        self.hot.drop(key)
        self._asked.pop(key, None)
        self._asked_patiently.pop(key, None)

    def _learn(self, key: bytes, future: "asyncio.Future[Document | None]", keep: bool) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        found = future.result()
        if found is None:
            self.hot.drop(key)
            self.seen.forget(key)
            return
        expires = self.seen.expires(key)
        self.seen.note(key, Brief(len(found.value), found.flags, found.cas, expires))
        if keep or self.hot.get(key) is not None:
            ends = self.clock() + expires - self.wall() if expires else inf
            entry = self.hot.put(key, found, ends if expires != UNKNOWN else inf)
            if keep:
                entry.accessed = self.clock()

    async def _fetch(
        self, keys: Sequence[bytes], *, patient: bool
    ) -> Sequence[Document | BackendError | None]:
        size = sum(map(self.seen.known_or_zero, keys))
        return await self.guard.fetch(keys, size, patient=patient)


def _pass_on(
    answer: "asyncio.Future[Brief | Document | None]", found: "asyncio.Future[Document | None]"
) -> None:
    if answer.done():
        return
    error = found.exception()
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(found.result())


def _heard(future: "asyncio.Future[Document | None]") -> None:
    """Take note of an error that nobody else waits for."""
    with suppress(asyncio.CancelledError):
        future.exception()
