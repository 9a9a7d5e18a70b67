"""One site that a mount fills: the store is its only source, so nothing is done to it here."""

import logging

from memfis.keeper.health import Health, StoreEvent
from memfis.keeper.journal import Journal
from memfis.layout.keys import site_key
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site


class StoredSite:
    """Watches the store of a site without ever writing to it, and tells what its owner must know.

    What such a store loses is nowhere else.
    """

    def __init__(self, site: Site) -> None:
        """Prepare to watch the store of `site`."""
        self.site = site
        self.journal = Journal(site.name)
        self.health = Health(StoreAddress.parse(site.store), site_key(site.name), self.journal)

    async def keep(self) -> None:
        """Watch until cancelled."""
        await self.health.watch(self._happened, self._evicted)

    def _happened(self, event: StoreEvent) -> None:
        if not event.is_loss:
            self.journal.well()
            self.journal.say(logging.INFO, f"the store {event.value}")
            return
        self.journal.say(
            logging.ERROR,
            f"the store {event.value}: unless it keeps its items on disk, the site is empty until"
            " it is filled through its mount again",
        )

    def _evicted(self) -> None:
        self.journal.once(
            logging.ERROR,
            "the store evicts items, and this site has no other source: give it more memory, and"
            " memcached's -M",
        )
