"""Jobs of many clients, done many at a time."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

BATCH = 200
"""Jobs in one batch: from there on the SDK is no faster (docs/performance.md)."""

BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of values in one batch."""


class Batches(Generic[Job, Result]):
    """Collects jobs while others are underway, and hands them on together.

    Jobs of one batch have different keys: a second one for a key waits for a later batch.
    """

    def __init__(
        self,
        run: Callable[[list[Job]], Awaitable[Sequence[Result | Exception]]],
        key: Callable[[Job], bytes],
        weight: Callable[[Job], int],
        *,
        at_once: int = 4,
    ) -> None:
        """Have the jobs done by `run`: it returns a result or an error for each, in order.

        `weight` is what a job takes in bytes; at most `at_once` batches are underway.
        """
        self._run, self._key, self._weight = run, key, weight
        self._waiting: deque[tuple[Job, asyncio.Future[Result]]] = deque()
        self._free = at_once
        self._planned = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return how many jobs wait for a batch."""
        return len(self._waiting)

    def submit(self, job: Job) -> "asyncio.Future[Result]":
        """Return what will be the result of `job`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((job, future))
        if not self._planned and self._free:
            self._planned = True
            loop.call_soon(self._start)  # after all that was read just now was seen
        return future

    def _start(self) -> None:
        self._planned = False
        while self._free and self._waiting:
            batch = self._take()
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._do(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[tuple[Job, "asyncio.Future[Result]"]]:
        batch: list[tuple[Job, asyncio.Future[Result]]] = []
        later: list[tuple[Job, asyncio.Future[Result]]] = []
        seen: set[bytes] = set()
        held = 0
        while self._waiting and len(batch) < BATCH and held < BATCH_BYTES:
            job, future = self._waiting.popleft()
            key = self._key(job)
            if key in seen:
                later.append((job, future))
                continue
            seen.add(key)
            held += self._weight(job)
            batch.append((job, future))
        self._waiting.extendleft(reversed(later))
        return batch

    async def _do(self, batch: list[tuple[Job, "asyncio.Future[Result]"]]) -> None:
        try:
            results: Sequence[Result | Exception] = await self._run([job for job, _ in batch])
        except Exception as error:  # each of those who wait must hear of it
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
        self._free += 1
        self._start()
