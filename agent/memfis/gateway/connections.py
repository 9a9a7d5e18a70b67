"""All clients, what they share, and who of them has to go so that others are served."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection

from memfis.gateway.connection import Connection, Shared
from memfis.gateway.items import Items

PRESSING = 0.1
"""Seconds between two searches for clients that keep others waiting."""

LOOKED_AT = 1000
"""Clients that are looked at without a pause: a millisecond or two."""


class Connections:
    """All clients, and what they share."""

    def __init__(self, items: Items) -> None:
        self._items, self._shared = items, Shared(items)
        self._pressing: asyncio.Task[None] | None = None
        for budget in (items.loans.budget, items.incoming):
            budget.when_short = self._press

    @property
    def open(self) -> Collection[Connection]:
        """Those that are open."""
        return self._shared.open

    def new(self) -> Connection:
        """Return what serves one more client."""
        return Connection(self._shared)

    async def close_hung(self) -> None:
        """Close connections whose clients did not go on for `client_timeout`."""
        limit = self._items.clock() - self._items.settings.client_timeout
        async for connection in self._all_in_turns():
            if connection.hung_since() < limit:
                connection.cut_off()

    def drain(self) -> None:
        """Close each connection as soon as its commands are answered."""
        self._shared.draining = True
        for connection in list(self.open):
            connection.leave()

    def _press(self) -> None:
        if self._pressing is None or self._pressing.done():
            self._pressing = asyncio.get_running_loop().create_task(self._make_room())

    async def _make_room(self) -> None:
        """Close clients that hold what others wait for, and do not go on."""
        while self._short:
            stalled = [
                connection
                async for connection in self._all_in_turns()
                if connection.holds and connection.keeps_others_waiting()
            ]
            loans = [connection.loan for connection in stalled if connection.loan is not None]
            values = Counter(value for loan in loans for value in loan.values)
            for connection in [each for each in stalled if each.frees(values)]:
                if self._short:
                    connection.cut_off()
            await asyncio.sleep(PRESSING)

    @property
    def _short(self) -> bool:
        return self._items.loans.budget.short or self._items.incoming.short

    async def _all_in_turns(self) -> AsyncIterator[Connection]:
        """Yield each connection; others have their turn in between."""
        for number, connection in enumerate(list(self.open), start=1):
            if number % LOOKED_AT == 0:
                await asyncio.sleep(0)
            yield connection
