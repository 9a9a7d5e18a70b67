"""Whether a store is there, and still the one that was filled."""

import asyncio
import itertools
import logging
from collections.abc import Callable

from memfis.errors import StoreError
from memfis.keeper.journal import Journal
from memfis.settings.addresses import StoreAddress
from memfis.store.probe import probe

PROBE = 1.0
"""Seconds between two looks at the store."""

ITEM = 5
"""One look in so many is for the site item too: it counts as a hit."""

PATIENCE = 1.0
"""Seconds that it may take to answer."""

EMPTIED = frozenset({"was started anew", "was flushed", "lost the site"})
"""What may have become of a store that means that items are gone."""


class Health:
    """Asks the store for its figures every second."""

    def __init__(self, address: StoreAddress, key: bytes, journal: Journal) -> None:
        """Ask `address`, also for the site item at `key`; tell failures in `journal`."""
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

    async def watch(self, lost: Callable[[str], None], evicted: Callable[[], None]) -> None:
        """Go on for ever; call `lost` with what became of all items, `evicted` when some went."""
        for turn in itertools.count():
            key = None if turn % ITEM else self._key
            try:
                self.figures, known = await probe(self._address, PATIENCE, key)
            except StoreError as error:
                self.figures = {}
                self.is_down = True
                self._journal.once(logging.ERROR, str(error))
            else:
                self._compare(known, lost, evicted)
            self._suspected.clear()
            try:
                async with asyncio.timeout(PROBE):
                    await self._suspected.wait()
                await asyncio.sleep(PROBE / 10)
            except TimeoutError:
                continue

    def _compare(
        self, known: bool, lost: Callable[[str], None], evicted: Callable[[], None]
    ) -> None:
        now, before = self.figures, self._before
        was_down, self.is_down, self._before = self.is_down, False, now
        if not before:
            if was_down:
                lost("is there")
            return
        younger = _number(now, "uptime") < _number(before, "uptime")
        if younger or now.get("pid") != before.get("pid"):
            lost("was started anew")
        elif now.get("cmd_flush") != before.get("cmd_flush"):
            lost("was flushed")
        elif was_down:
            lost("is back")
        elif not known and self.filled:
            lost("lost the site")
        elif _number(now, "evictions") > _number(before, "evictions"):
            evicted()


def _number(figures: dict[str, str], name: str) -> int:
    figure = figures.get(name, "")
    return int(figure) if figure.isdecimal() else 0
