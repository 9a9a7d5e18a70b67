"""Between the gateway and the database: limits of time, the breaker, and what is counted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from memfis.gateway.backend import (
    Backend,
    BackendError,
    Document,
    ForbiddenError,
    MismatchError,
    MissingError,
    TimedOutError,
    UnavailableError,
    Write,
)
from memfis.gateway.breaker import Breaker
from memfis.gateway.figures import Figures
from memfis.settings.values import GatewaySettings

Job = TypeVar("Job")
T = TypeVar("T")

SILENCE = 5
"""Times `timeout` that those who can wait do so without any answer of the database."""

RATE = 20 * 1024 * 1024
"""Bytes a second that a large value may take longer: a fifth of what 1 Gbit/s carries."""

MARGIN = 0.03
"""Seconds that the SDK has to say which of many answers did not come in time."""

PROBE = b"memfis-gateway://probe"
"""The key that is looked for to see whether the database answers."""

log = logging.getLogger("memfis.gateway")


class Guard:
    """A Backend that gives up in time, and does not try while a breaker is open.

    A visitor's read is given up after `timeout`. What the agent and the mount read and write is
    given up when the database has answered nothing at all for five times that, and in any case
    after `write_timeout`: what is large, or one of many, may well take longer than a visitor would
    wait. A breaker each judges what visitors and what the patient wait for: a database that is too
    slow for the former is not away for the latter.
    """

    def __init__(
        self,
        backend: Backend,
        settings: GatewaySettings,
        figures: Figures,
        clock: Callable[[], float],
    ) -> None:
        self.backend = backend
        self.breaker = Breaker(settings.breaker_failures, settings.breaker_retry, clock)
        """For visitors."""
        self.patient_breaker = Breaker(settings.breaker_failures, settings.breaker_retry, clock)
        """For those who can wait."""
        self._timeout, self._write_timeout = settings.timeout, settings.write_timeout
        self._silence = max(self._timeout, min(SILENCE * self._timeout, self._write_timeout))
        self._figures, self._clock = figures, clock
        self._answered = 0.0

    async def fetch(
        self, keys: Sequence[bytes], size: int, *, patient: bool
    ) -> Sequence[Document | BackendError | None]:
        """Return documents as Backend.fetch; `size`: bytes that they took when seen last."""
        limit = (self._silence if patient else self._timeout) + size / RATE
        most = self._write_timeout + limit if patient else limit

        def fetch(some: Sequence[bytes]) -> Awaitable[Sequence[Document | BackendError | None]]:
            return self.backend.fetch(some, most)

        return await self._many("fetch", fetch, keys, limit, patient)

    async def store(self, writes: Sequence[Write]) -> Sequence[int | BackendError]:
        """Write as Backend.store."""
        return await self._many("store", self.backend.store, writes, self._silence)

    async def remove(self, keys: Sequence[bytes]) -> Sequence[bool | BackendError]:
        """Remove as Backend.remove."""
        return await self._many("remove", self.backend.remove, keys, self._silence)

    async def versions(self, keys: Sequence[bytes]) -> Sequence[int | BackendError | None]:
        """Return versions as Backend.versions."""
        return await self._many("look", self.backend.versions, keys, self._silence)

    async def touch(self, touches: Sequence[tuple[bytes, int]]) -> Sequence[bool | BackendError]:
        """Touch as Backend.touch."""
        return await self._many("touch", self.backend.touch, touches, self._silence)

    async def one(self, operation: str, call: Callable[[], Awaitable[T]], *, limit: float = 0) -> T:
        """Return what `call` does; raises what Backend says.

        `limit`: seconds that it may take at least.
        """
        self._check(patient=True)
        started = self._clock()
        try:
            done = await self._limited(call(), max(limit, self._silence))
        except (MissingError, MismatchError):
            self._succeeded(operation, started, 1)
            raise
        except BackendError as error:
            self._failed(error, patient=True)
            raise
        self._succeeded(operation, started, 1)
        return done

    async def probe(self) -> None:
        """Ask the database once where a breaker is open and was left alone for long enough."""
        for breaker in (self.breaker, self.patient_breaker):
            if breaker.probe_due:
                await self._try(breaker)

    async def _try(self, breaker: Breaker) -> None:
        patient = breaker is self.patient_breaker
        limit = self._silence if patient else self._timeout

        def fetch(keys: Sequence[bytes]) -> Awaitable[Sequence[Document | BackendError | None]]:
            return self.backend.fetch(keys, limit)

        [found] = await self._ask("probe", fetch, [PROBE], limit, patient)
        if not breaker.is_open:
            log.info("Couchbase answers %s again", "those who can wait" if patient else "visitors")
        elif isinstance(found, Exception):
            log.debug("Couchbase is still away: %s", found)

    async def _listen(self) -> None:
        """Find out whether the database answers anything, for those who wait for much."""
        with suppress(BackendError):
            [found] = await self.backend.fetch([PROBE], self._silence)
            if not isinstance(found, BackendError):
                self._answered = self._clock()

    def _check(self, *, patient: bool) -> None:
        breaker = self.patient_breaker if patient else self.breaker
        if breaker.is_open:
            self._figures.rejected_by_breaker += 1
            raise UnavailableError(f"Couchbase is away: {breaker.reason}")

    async def _many(
        self,
        operation: str,
        call: Callable[[Sequence[Job]], Awaitable[Sequence[T | BackendError]]],
        jobs: Sequence[Job],
        limit: float,
        patient: bool = True,
    ) -> Sequence[T | BackendError]:
        try:
            self._check(patient=patient)
        except UnavailableError as error:
            return [error] * len(jobs)
        return await self._ask(operation, call, jobs, limit, patient)

    async def _ask(
        self,
        operation: str,
        call: Callable[[Sequence[Job]], Awaitable[Sequence[T | BackendError]]],
        jobs: Sequence[Job],
        limit: float,
        patient: bool,
    ) -> Sequence[T | BackendError]:
        started = self._clock()
        try:
            results = await self._limited(call(jobs), limit, patient=patient)
        except BackendError as error:
            self._failed(error, patient=patient)
            return [error] * len(jobs)
        answered = [each for each in results if not isinstance(each, UnavailableError)]
        answered = [each for each in answered if not isinstance(each, ForbiddenError)]
        if answered:
            self._succeeded(operation, started, len(answered), soon=not patient)
        else:
            first = next(each for each in results if isinstance(each, BackendError))
            self._failed(first, patient=patient)
        return results

    def _succeeded(
        self, operation: str, started: float, number: int, *, soon: bool = False
    ) -> None:
        """Note an answer; `soon`: as a visitor wants it, however long that was."""
        now = self._answered = self._clock()
        self._figures.took(operation, now - started, number)
        self.patient_breaker.succeeded()
        if soon or now - started <= self._timeout:
            self.breaker.succeeded()

    def _failed(self, error: BackendError, *, patient: bool) -> None:
        if not isinstance(error, UnavailableError | ForbiddenError):
            self.patient_breaker.succeeded()  # it said no, so it is there
            self.breaker.succeeded()
            return
        before = self.breaker.is_open, self.patient_breaker.is_open
        self.breaker.failed(str(error))
        if patient or not isinstance(error, TimedOutError):
            self.patient_breaker.failed(str(error))
        if self.patient_breaker.is_open and not before[1]:
            log.warning("Couchbase is away, nobody waits for it until it is back: %s", error)
        elif self.breaker.is_open and not any(before):
            log.warning("Couchbase is too slow, no visitor waits for it until it is not: %s", error)

    async def _limited(self, job: Awaitable[T], limit: float, *, patient: bool = True) -> T:
        """Return what `job` returns; raises TimedOutError as the class says."""
        task = asyncio.ensure_future(job)
        listening: asyncio.Task[None] | None = None
        started = self._clock()
        last = started + limit + (self._write_timeout if patient else MARGIN)
        try:
            while True:
                heard = max(started, self._answered) if patient else started + MARGIN
                silence = self._clock() - heard
                left = min(heard + limit, last) - self._clock()
                if left <= 0:
                    raise TimedOutError(f"no answer within {self._clock() - started:.2f} s")
                if patient and silence < limit / 2:
                    left = min(left, limit / 2 - silence)
                elif patient and (listening is None or listening.done()):
                    listening = asyncio.create_task(self._listen())
                done, _ = await asyncio.wait((task,), timeout=left)
                if done:
                    return task.result()
        finally:
            for each in (task, listening):
                if each is not None and not each.done():
                    each.cancel()
