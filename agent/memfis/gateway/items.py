"""Items as memcached's protocol has them, over a database and a hot cache."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from memfis.gateway.backend import Backend
from memfis.gateway.budget import Budget
from memfis.gateway.figures import Figures
from memfis.gateway.guard import Guard
from memfis.gateway.hot import HotCache
from memfis.gateway.loans import Loans
from memfis.gateway.reads import Reads
from memfis.gateway.seen import Seen
from memfis.gateway.writes import Writes
from memfis.settings.values import GatewaySettings


@dataclass(frozen=True, slots=True)
class Items:
    """What the commands work on: how items are read and written, and what all of it shares."""

    settings: GatewaySettings
    figures: Figures
    guard: Guard
    hot: HotCache
    seen: Seen
    loans: Loans
    """Of the bytes that clients may be sent."""
    incoming: Budget
    """Of the bytes that clients may send: however many hang there, pages are still answered."""
    reads: Reads
    writes: Writes
    clock: Callable[[], float]
    """Seconds by which ages are measured."""
    wall: Callable[[], float]
    """Unix seconds by which items expire."""

    @classmethod
    def over(
        cls,
        backend: Backend,
        settings: GatewaySettings,
        figures: Figures,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> "Items":
        """Return the items of `backend`; what is done to them is counted in `figures`."""
        guard = Guard(backend, settings, figures, clock)
        hot = HotCache(settings.hot_bytes, settings.hot_ttl, settings.stale_if_error, clock)
        seen = Seen()
        half = settings.buffer_bytes // 2
        loans, incoming = Loans(half), Budget(half)
        reads = Reads(guard, hot, seen, loans, figures, clock, wall)
        writes = Writes(guard, reads, seen, wall, settings.max_item)
        return cls(
            *(settings, figures, guard, hot, seen, loans, incoming, reads, writes), clock, wall
        )
