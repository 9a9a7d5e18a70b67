"""How items are read: from the hot cache, or by one question a key at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf

from memfis.gateway.backend import BackendError, Document
from memfis.gateway.batches import Batches
from memfis.gateway.budget import LARGE
from memfis.gateway.figures import Figures
from memfis.gateway.guard import Guard
from memfis.gateway.hot import GRACE, HotCache, HotItem
from memfis.gateway.loans import Loans
from memfis.gateway.seen import UNKNOWN, Brief, Seen

ALONE = 16 * 1024
"""Bytes of a value that is more to fetch than a question of its own is to ask."""

AT_ONCE = 4
"""Questions to the database at once, each of many keys."""

LARGE_AT_ONCE = 2
"""The same of large values: two fill a network, and more delay small ones."""

LOOK = 64
"""Bytes of an answer without a value, about."""


class _Asked:
    """A question to the database that is underway."""

    __slots__ = ("answer", "keep")

    def __init__(self, answer: "asyncio.Future[Document | None]") -> None:
        self.answer = answer
        self.keep = False
        """Whether a visitor wants it, so that it goes into the hot cache."""


class Reads:
    """Answers from the hot cache as far as it may, and asks the database for the rest.

    What is returned as a Future raises BackendError when the database cannot be asked.
    """

    def __init__(
        self,
        guard: Guard,
        hot: HotCache,
        seen: Seen,
        loans: Loans,
        figures: Figures,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """Ask by `guard`, keep pages in `hot` and note in `seen` what was read.

        A large value is the very one in `loans` where somebody is sent that version already.
        `clock` measures ages, `wall` is the time that items expire by, both in seconds.
        """
        self._guard, self._hot, self._seen, self._figures = guard, hot, seen, figures
        self._loans = loans
        self._clock, self._wall = clock, wall
        self._asked: dict[bytes, _Asked] = {}
        self._asked_patiently: dict[bytes, _Asked] = {}
        self._fetches = {
            (patient, large): Batches[bytes, Document | None](
                partial(self._fetch, patient=patient),
                lambda key: key,
                self._seen.size,
                at_once=LARGE_AT_ONCE if large else AT_ONCE,
            )
            for patient in (False, True)
            for large in (False, True)
        }
        """By whether one can wait, and whether it is large: nothing small waits for large ones."""
        self._versions: Batches[bytes, int | None] = Batches(
            guard.versions, lambda key: key, lambda _: 64
        )

    def size_of_look(self, key: bytes) -> int:
        """Return how many bytes an answer without a value may take."""
        known = self._hot.get(key) is not None or self._seen.find(key) is not None
        return LOOK if known else self._seen.size(key)

    def quick(self, key: bytes, most: float = inf) -> HotItem | None:
        """Return a visitor's page if it is in the hot cache and fresh, else None.

        Not if it has over `most` bytes.
        """
        entry = self._hot.get(key)
        if entry is None or entry.size > most or (now := self._clock()) >= entry.fresh:
            return None
        self._figures.hits_hot += 1
        entry.accessed = now
        self._hot.used(key)
        return entry

    def get(self, key: bytes) -> "HotItem | asyncio.Future[Document | None]":
        """Return a visitor's page: from the hot cache, or what the database will say."""
        entry = self.quick(key)
        if entry is not None:
            return entry
        entry = self._hot.get(key)
        if entry is not None:
            now = self._clock()
            if now < min(entry.fresh + GRACE, entry.ends):
                self._figures.hits_revalidated += 1
                entry.accessed = now
                self._hot.used(key)
                self.ask(key, keep=True).add_done_callback(_heard)
                return entry
        return self.ask(key, keep=True)

    def rescue(self, key: bytes) -> HotItem | None:
        """Return an old page for a visitor when the database cannot be asked, if it may be."""
        entry = self._hot.get(key)
        if entry is None or not self._hot.usable(entry):
            return None
        self._figures.hits_stale += 1
        return entry

    def peek(self, key: bytes) -> "HotItem | asyncio.Future[Document | None]":
        """Return what is at `key`, at most `hot_ttl` seconds old; it counts as nobody's hit."""
        entry = self._hot.get(key)
        if entry is not None and self._clock() < entry.fresh:
            return entry
        return self.ask(key)

    def brief(
        self, key: bytes, *, now: bool = False
    ) -> "HotItem | asyncio.Future[Brief | Document | None]":
        """Return what is at `key` without its value, as far as that is possible.

        At most `hot_ttl` seconds old; `now`: not at all. Where this gateway has seen the item, the
        database is only asked whether it is still that version.
        """
        entry = self._hot.get(key)
        if not now and entry is not None and self._clock() < entry.fresh:
            return entry
        seen = self._seen.find(key)
        answer: asyncio.Future[Brief | Document | None]
        if seen is None or not seen.cas:
            answer = self.ask(key)  # type: ignore[assignment]
            return answer
        if seen.size < ALONE and not self._guard.backend.many_versions:
            answer = self.ask(key)  # type: ignore[assignment]
            return answer
        answer = asyncio.get_running_loop().create_future()
        self._versions.submit(key).add_done_callback(partial(self._compare, key, seen, answer))
        return answer

    def _compare(
        self,
        key: bytes,
        seen: Brief,
        answer: "asyncio.Future[Brief | Document | None]",
        version: "asyncio.Future[int | None]",
    ) -> None:
        if answer.done():
            return
        error = version.exception()
        if error is not None:
            answer.set_exception(error)
        elif version.result() == seen.cas:
            self._figures.briefs += 1
            answer.set_result(seen)
        elif version.result() is None:
            self.forget(key)
            self._seen.forget(key)
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
            large = self._seen.size(key) > LARGE
            asked = _Asked(self._fetches[not keep, large].submit(key))
            underway[key] = asked
            question = asked

            def answered(future: "asyncio.Future[Document | None]") -> None:
                if underway.get(key) is question:  # else it was written to meanwhile
                    del underway[key]
                    self._learn(key, future, question.keep)

            asked.answer.add_done_callback(answered)
        asked.keep = asked.keep or keep
        return asked.answer

    async def keys(self) -> AsyncIterator[bytes]:
        """Yield every key; raises RefusedError where the database cannot list them."""
        async for key in self._guard.backend.keys():
            yield key

    def forget_all(self) -> None:
        """Answer nothing from now on that was read before."""
        self._hot.clear()
        self._asked.clear()
        self._asked_patiently.clear()
        self._seen.clear()

    def forget(self, key: bytes) -> None:
        """Answer nothing for `key` from now on that was read before."""
        self._hot.drop(key)
        self._asked.pop(key, None)
        self._asked_patiently.pop(key, None)

    def _learn(self, key: bytes, future: "asyncio.Future[Document | None]", keep: bool) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        found = future.result()
        if found is None:
            self._hot.drop(key)
            self._seen.forget(key)
            return
        expires = self._seen.expires(key)
        self._seen.learn(key, Brief(len(found.value), found.flags, found.cas, expires))
        if keep or self._hot.get(key) is not None:
            ends = self._clock() + expires - self._wall() if expires else inf
            entry = self._hot.put(key, found, ends if expires != UNKNOWN else inf)
            if keep:
                entry.accessed = self._clock()

    async def _fetch(
        self, keys: Sequence[bytes], *, patient: bool
    ) -> Sequence[Document | BackendError | None]:
        size = sum(map(self._seen.last_size_or_zero, keys))
        found = list(await self._guard.fetch(keys, size, patient=patient))
        for number, (key, document) in enumerate(zip(keys, found, strict=True)):
            if isinstance(document, Document) and len(document.value) > LARGE:
                found[number] = self._known(key, document)
        return found

    def _known(self, key: bytes, document: Document) -> Document:
        """Return `document`, or the same version of it that is in memory already."""
        entry = self._hot.get(key)
        if entry is not None and entry.large is not None and entry.cas == document.cas:
            return entry.large
        return self._loans.like(key, document)


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
