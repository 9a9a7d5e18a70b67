"""Bytes that all clients together may have in the gateway's buffers."""

import asyncio
from collections import deque


class Budget:
    """A number of bytes to be taken and given back; who cannot have them waits in line."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.free = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def try_take(self, number: int) -> bool:
        """Take `number` bytes if they are free and nobody waits."""
        if self._waiting or number > self.free:
            return False
        self.free -= number
        return True

    async def take(self, number: int) -> int:
        """Take `number` bytes, all there are at most, as soon as they are free; return how many."""
        number = min(number, self.limit)
        if not self.try_take(number):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((number, future))
            await future
        return number

    def give(self, number: int) -> None:
        """Give back `number` bytes."""
        self.free += number
        while self._waiting and self._waiting[0][0] <= self.free:
            wanted, future = self._waiting.popleft()
            if not future.done():
                self.free -= wanted
                future.set_result(None)
