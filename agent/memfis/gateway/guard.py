"""Between the gateway and the database: limits of time, the breaker, and what is counted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
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
from memfis.gateway_settings import GatewaySettings

Job = TypeVar("Job")
T = TypeVar("T")

RATE = 20 * 1024 * 1024
"""Bytes a second that a large value may take longer: a fifth of what 1 Gbit/s carries."""

PROBE = b"memfis-gateway://probe"
"""The key that is looked for to see whether the database answers."""

log = logging.getLogger("memfis.gateway")


class Guard:
    """A Backend that gives up in time, and does not try while the breaker is open.

    A read is given up after `timeout`. A write is given up when the database has answered nothing
    at all for `timeout`, and in any case after `write_timeout`: one of many writes may well take
    longer than a visitor would wait.
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
        self._timeout, self._write_timeout = settings.timeout, settings.write_timeout
        self._figures, self._clock = figures, clock
        self._answered = 0.0

    async def fetch(
        self, keys: Sequence[bytes], size: int
    ) -> Sequence[Document | BackendError | None]:
        """Return documents as Backend.fetch; `size` is how many bytes they are thought to take."""
        return await self._many(
            "fetch", self.backend.fetch, keys, self._timeout + size / RATE, patient=False
        )

    async def store(self, writes: Sequence[Write]) -> Sequence[int | BackendError]:
        """Write as Backend.store."""
        size = sum(len(write.value) for write in writes)
        return await self._many("store", self.backend.store, writes, self._timeout + size / RATE)

    async def remove(self, keys: Sequence[bytes]) -> Sequence[bool | BackendError]:
        """Remove as Backend.remove."""
        return await self._many("remove", self.backend.remove, keys, self._timeout)

    async def touch(self, touches: Sequence[tuple[bytes, int]]) -> Sequence[bool | BackendError]:
        """Touch as Backend.touch."""
        return await self._many("touch", self.backend.touch, touches, self._timeout)

    async def one(
        self, operation: str, call: Callable[[], Awaitable[T]], size: int = 0, *, limit: float = 0
    ) -> T:
        """Return what `call` does, which concerns `size` bytes; raises what Backend says.

        `limit`: seconds that it may take at least.
        """
        self._check()
        started = self._clock()
        try:
            done = await self._limited(call(), max(limit, self._timeout) + size / RATE)
        except (MissingError, MismatchError):
            self._succeeded(operation, started, 1)
            raise
        except BackendError as error:
            self._failed(error)
            raise
        self._succeeded(operation, started, 1)
        return done

    async def probe(self) -> None:
        """Ask the database once, although the breaker is open."""
        [found] = await self._ask("probe", self.backend.fetch, [PROBE], self._timeout, False)
        if not self.breaker.is_open:
            log.info("Couchbase answers again")
        elif isinstance(found, Exception):
            log.debug("Couchbase is still away: %s", found)

    def _check(self) -> None:
        if self.breaker.is_open:
            self._figures.rejected_by_breaker += 1
            raise UnavailableError(f"Couchbase is away: {self.breaker.reason}")

    async def _many(
        self,
        operation: str,
        call: Callable[[Sequence[Job]], Awaitable[Sequence[T | BackendError]]],
        jobs: Sequence[Job],
        limit: float,
        patient: bool = True,
    ) -> Sequence[T | BackendError]:
        try:
            self._check()
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
            self._failed(error)
            return [error] * len(jobs)
        answered = [each for each in results if not isinstance(each, UnavailableError)]
        answered = [each for each in answered if not isinstance(each, ForbiddenError)]
        if answered:
            self._succeeded(operation, started, len(answered))
        else:
            self._failed(next(each for each in results if isinstance(each, BackendError)))
        return results

    def _succeeded(self, operation: str, started: float, number: int) -> None:
        now = self._answered = self._clock()
        self._figures.took(operation, now - started, number)
        self.breaker.succeeded()

    def _failed(self, error: BackendError) -> None:
        if not isinstance(error, UnavailableError | ForbiddenError):
            self.breaker.succeeded()  # it said no, so it is there
            return
        was_open = self.breaker.is_open
        self.breaker.failed(str(error))
        if self.breaker.is_open and not was_open:
            log.warning("Couchbase is away, nobody waits for it until it is back: %s", error)

    async def _limited(self, job: Awaitable[T], limit: float, *, patient: bool = True) -> T:
        task = asyncio.ensure_future(job)
        started = self._clock()
        last = started + limit + (self._write_timeout if patient else 0.0)
        try:
            while True:
                until = max(started, self._answered if patient else 0.0) + limit
                left = min(until, last) - self._clock()
                if left <= 0:
                    raise TimedOutError(f"no answer within {self._clock() - started:.2f} s")
                done, _ = await asyncio.wait((task,), timeout=left)
                if done:
                    return task.result()
        finally:
            if not task.done():
                task.cancel()
