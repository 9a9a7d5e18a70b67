"""Whose turn it is to do something large: so small answers are sent in between."""

import asyncio
from collections import deque

ROUND = 2
"""Pieces of large answers in one round of the event loop: a fraction of a millisecond."""

APART = 0.001
"""Seconds after which another round has certainly begun."""


class Turns:
    """Gives out turns, so many a round of the event loop; who came first is first."""

    def __init__(self) -> None:
        self._left = ROUND
        self._since = 0.0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def wanted(self) -> bool:
        """Whether others wait for theirs."""
        return bool(self._waiting)

    async def next(self, cost: int = 1) -> None:
        """Return when it is one's turn; `cost`: how much of a round it takes."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            now = loop.time()
            if now - self._since >= APART:  # some round later: nobody had to wait meanwhile
                self._since = now
                self._left = ROUND
            if self._left > 0:
                self._left -= cost
                return
            loop.call_soon(self._begin)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((cost, turn))
        await turn

    def _begin(self) -> None:
        """Begin a round for those who wait."""
        self._left = ROUND
        while self._left > 0 and self._waiting:
            cost, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= cost
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._begin)
