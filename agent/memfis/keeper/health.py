"""Whether a store is there, and still the one that was filled."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from memfis.errors import StoreError
from memfis.keeper.journal import Journal
from memfis.keeper.times import now
from memfis.settings.addresses import StoreAddress
from memfis.store.probe import probe

PROBE = 1.0
"""Seconds between two questions to the store."""

PROBE_DOWN = 0.2
"""The same while it does not answer."""

ITEM = 5
"""One question in so many is for the site item too: it counts as a hit."""

PATIENCE = 1.0
"""Seconds that it may take to answer."""


class StoreEvent(Enum):
    """What became of a store, after which it may not have what it had; in words of the log."""

    FIRST_ANSWER = "is there"
    """It answers, and did not when it was asked for the first time."""
    BACK = "is back"
    """It did not answer for a while; it is the same, and may have missed changes."""
    RESTARTED = "was started anew"
    FLUSHED = "was flushed"
    LOST_SITE = "lost the site"
    """The site item is gone."""

    @property
    def is_loss(self) -> bool:
        """Whether items are gone for sure."""
        return self in (StoreEvent.RESTARTED, StoreEvent.FLUSHED, StoreEvent.LOST_SITE)


class Health:
    """Asks the store for its figures every second."""

    def __init__(
        self,
        address: StoreAddress,
        key: bytes,
        journal: Journal,
        run: Callable[[], Path | None] = lambda: None,
    ) -> None:
        """Ask `address`, also for the site item at `key`; tell failures in `journal`.

        `run` says without asking which run of the store is there, where that can be told: another
        one is asked at once.
        """
        self._run = run
        self.figures: dict[str, str] = {}
        """What it answered to `stats` last; nothing while it is down."""
        self.is_down = False
        self.filled = False
        """The site item was written, so it should be there."""
        self._address, self._key = address, key
        self._journal = journal
        self._before: dict[str, str] = {}
        self._suspected = asyncio.Event()

    def suspect(self) -> None:
        """Note that somebody could not ask the store: until it answers here, it is down."""
        self.is_down = True
        self._suspected.set()

    async def watch(
        self, happened: Callable[[StoreEvent], None], evicted: Callable[[], None]
    ) -> None:
        """Go on for ever; call `happened` with each event, `evicted` when some items went."""
        for turn in itertools.count():
            key = None if turn % ITEM else self._key
            try:
                self.figures, has_item = await probe(self._address, PATIENCE, key)
            except StoreError as error:
                self.figures = {}
                self.is_down = True
                self._journal.once(logging.ERROR, str(error))
            else:
                self._compare(happened, evicted, has_item=has_item)
            self._suspected.clear()
            await self._pause()

    async def _pause(self) -> None:
        """Wait until the store is to be asked again."""
        run, end = self._run(), now() + PROBE
        while True:
            try:
                async with asyncio.timeout(PROBE_DOWN):
                    await self._suspected.wait()
                await asyncio.sleep(PROBE / 10)
            except TimeoutError:
                if self.is_down or now() >= end or self._run() != run:
                    return
            else:
                return

    def _compare(
        self, happened: Callable[[StoreEvent], None], evicted: Callable[[], None], *, has_item: bool
    ) -> None:
        figures, before = self.figures, self._before
        was_down, self.is_down, self._before = self.is_down, False, figures
        if not before:
            if was_down:
                happened(StoreEvent.FIRST_ANSWER)
            return
        younger = _number(figures, "uptime") < _number(before, "uptime")
        if younger or figures.get("pid") != before.get("pid"):
            happened(StoreEvent.RESTARTED)
        elif figures.get("cmd_flush") != before.get("cmd_flush"):
            happened(StoreEvent.FLUSHED)
        elif was_down:
            happened(StoreEvent.BACK)
        elif not has_item and self.filled:
            happened(StoreEvent.LOST_SITE)
        elif _number(figures, "evictions") > _number(before, "evictions"):
            evicted()


def _number(figures: dict[str, str], name: str) -> int:
    figure = figures.get(name, "")
    return int(figure) if figure.isdecimal() else 0
