"""The lock of a site: one memfis at a time is at work on it on a host."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from memfis.keeper.journal import Journal
from memfis.keeper.times import RETRY
from memfis.sync import try_lock


@asynccontextmanager
async def locked(locks: Path, site: str, journal: Journal) -> AsyncIterator[None]:
    """Hold the lock of `site` in the directory `locks` within; wait for whoever has it."""
    while True:
        with try_lock(locks, site) as held:
            if held:
                yield
                return
        journal.once(logging.WARNING, "another memfis is at work on this site; waiting")
        await asyncio.sleep(RETRY)
