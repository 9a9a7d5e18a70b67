"""Listeners that a daemon can do without: one that cannot be opened is said, and tried again."""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from memfis.errors import UsageError

RETRY = 5.0
"""Seconds from one try to the next."""

Opener = Callable[[AsyncExitStack], Awaitable[None]]
"""Opens a listener, and leaves with the stack how to close it; raises UsageError."""


class Listeners:
    """The listeners that are wanted, by name, open or not yet."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        """Say in `log` what cannot be opened; `clock` tells seconds."""
        self._log = log
        self._clock = clock
        self._wanted: dict[str, Opener] = {}
        self._open: dict[str, AsyncExitStack] = {}
        self._closed: dict[str, str] = {}
        self._tried = 0.0

    @property
    def names(self) -> list[str]:
        """Those that are wanted."""
        return list(self._wanted)

    @property
    def trouble(self) -> list[str]:
        """A line for each that is not open: its name, and why."""
        return [f"{name}: {reason}" for name, reason in self._closed.items()]

    async def want(self, name: str, opener: Opener) -> None:
        """Open the listener `name` if it is not known yet, now or as soon as that can be done."""
        if name not in self._wanted:
            self._wanted[name] = opener
            await self._try(name)

    async def drop(self, name: str) -> None:
        """Close the listener `name`."""
        del self._wanted[name]
        self._closed.pop(name, None)
        if name in self._open:
            await self._open.pop(name).aclose()

    async def close(self) -> None:
        """Close all."""
        for name in self.names:
            await self.drop(name)

    async def try_again(self) -> None:
        """Try what is not open once more, every RETRY seconds however often this is called."""
        if self._closed and self._clock() - self._tried >= RETRY:
            for name in list(self._closed):
                await self._try(name)

    async def _try(self, name: str) -> None:
        self._tried = self._clock()
        async with AsyncExitStack() as stack:
            try:
                await self._wanted[name](stack)
            except UsageError as error:
                reason = str(error)
                if self._closed.get(name) != reason:
                    self._closed[name] = reason
                    self._log.error(
                        "%s: %s; going on without, and trying again every %g s", name, reason, RETRY
                    )
                return
            self._open[name] = stack.pop_all()
        if self._closed.pop(name, None):
            self._log.info("%s: listening now", name)
