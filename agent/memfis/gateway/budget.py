"""Bytes that all clients together may have in the gateway's buffers."""

import asyncio
from collections import deque
from collections.abc import Callable

LARGE = 256 * 1024
"""Bytes up to which something is small."""

Attempt = Callable[[], bool]
"""Takes what somebody waits for if that is possible now, and returns whether it did."""


class Budget:
    """A number of bytes to be taken and given back; who cannot have them waits in line.

    What is large leaves a quarter to what is small, which waits in a line of its own: so the large
    cannot keep the small from being answered.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        """Bytes taken. More than `limit` where a value is larger than it was thought to be."""
        self.tight = limit - LARGE
        """Bytes taken from which on something small may not fit."""
        self._for_large = limit - limit // 4
        self._small: _Line = deque()
        self._large: _Line = deque()
        self.when_short: Callable[[], None] = lambda: None
        """Called when somebody has to wait."""

    @property
    def free(self) -> int:
        """Bytes that what is small can have."""
        return self.limit - self.used

    @property
    def short(self) -> bool:
        """Whether somebody waits."""
        return bool(self._small or self._large)

    def try_take(self, number: int) -> bool:
        """Take `number` bytes if they are free and nobody waits for as many."""
        return not self._line(number) and self.take_before_others(number)

    def take_before_others(self, number: int) -> bool:
        """Take `number` bytes if they are free, whoever waits."""
        limit = self.limit if number <= LARGE else self._for_large
        if number and self.used + number > limit:
            return False
        self.used += number
        return True

    async def take(self, number: int, patience: float) -> bool:
        """Take `number` bytes within `patience` seconds; return whether that was possible."""
        return await self.wait(lambda: self.take_before_others(number), number, patience)

    async def wait(self, attempt: Attempt, number: int, patience: float) -> bool:
        """Have `attempt` tried until it takes its bytes, `number` at most; return whether it did.

        It is given up after `patience` seconds.
        """
        line = self._line(number)
        if not line and attempt():
            return True
        loop = asyncio.get_running_loop()
        granted: asyncio.Future[bool] = loop.create_future()
        line.append((attempt, granted))
        timer = loop.call_later(patience, self._give_up, granted)
        self.when_short()
        try:
            return await granted
        finally:
            timer.cancel()

    def force(self, number: int) -> None:
        """Count `number` bytes that are there already."""
        self.used += number

    def give(self, number: int) -> None:
        """Give back `number` bytes."""
        self.used -= number
        if self._small or self._large:
            self._serve()

    def _line(self, number: int) -> "_Line":
        return self._small if number <= LARGE else self._large

    def _give_up(self, granted: "asyncio.Future[bool]") -> None:
        if not granted.done():
            granted.set_result(False)
            self._serve()

    def _serve(self) -> None:
        for line in (self._small, self._large):
            while line:
                attempt, granted = line[0]
                if not granted.done():
                    if not attempt():
                        break
                    granted.set_result(True)
                line.popleft()


_Line = deque[tuple[Attempt, "asyncio.Future[bool]"]]
