"""One site that a mount fills: the store is its only source, so nothing is done to it here."""

import logging

from memfis.keeper.health import EMPTIED, Health
from memfis.keeper.journal import Journal
from memfis.layout.keys import site_key
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site


class StoredSite:
    """Looks at the store of a site without ever writing to it, and tells what its owner must know.

    What such a store loses is nowhere else.
    """

    def __init__(self, site: Site) -> None:
        """Prepare to look at the store of `site`."""
        self.site = site
        self.journal = Journal(site.name)
        self.health = Health(StoreAddress.parse(site.store), site_key(site.name), self.journal)

    async def keep(self) -> None:
        """Look until cancelled."""
        await self.health.watch(self._changed, self._evicted)

    def _changed(self, what: str) -> None:
        if what not in EMPTIED:
            self.journal.well()
            self.journal.say(logging.INFO, f"the store {what}")
            return
        self.journal.say(
            logging.ERROR,
            f"the store {what}: unless it keeps its items on disk, the site is empty until it is"
            " filled through its mount again",
        )

    def _evicted(self) -> None:
        self.journal.once(
            logging.ERROR,
            "the store evicts items, and this site has no other source: give it more memory, and"
            " memcached's -M",
        )
