"""The site's own item, which all mounts of the site share: one makes it, each learns from it."""

import errno
import logging
import secrets
import stat
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.catalog.site_item import SiteItem
from memfis.catalog.source import Source, source_of
from memfis.errors import MemfisError
from memfis.filesystem.interface import Caller
from memfis.filesystem.items import Items, failure
from memfis.layout.keys import site_key
from memfis.layout.records import Entry
from memfis.settings.values import Site
from memfis.store import Answer, Request
from memfis.store import exchange as to

log = logging.getLogger(__name__)

ATTEMPTS = 100
"""Writers that may come between before one gives up."""


def root_entry(caller: Caller, permissions: int, now: int) -> Entry:
    """Return the record of a root directory that `caller` owns, made at `now` (ns)."""
    return Entry("", stat.S_IFDIR | permissions, 0, now, caller.uid, caller.gid)


class SharedSite:
    """The site item in the store, and what was last read of it."""

    def __init__(self, catalog: Catalog, items: Items, site: Site) -> None:
        """Read and write the item of `site`, which `catalog` and `items` have."""
        self._catalog = catalog
        self._items = items
        self._site = site
        self._key = site_key(site.name)
        self._state = to.state(self._key)
        self._cas = 0
        self._seen = 0, 0
        self.links = 0
        """As the item counts them, see `SiteItem.links`."""

    def read(self) -> SiteItem | None:
        """Return the item or None; raises StoreError and UsageError."""
        item = self._catalog.site_item()
        if item is not None:
            self.links = item.links
        return item

    def settled(self, item: SiteItem) -> Site:
        """Return the site's settings, with what the pages in the store are kept by."""
        if source_of(self._site, item) is Source.ROOT:
            return replace(self._site, index=item.index or self._site.index)
        return replace(
            self._site,
            index=item.index,
            exclude=self._site.exclude or item.exclude,
        )

    def make(self, top: Entry, *, lost: float = 0.0) -> bool:
        """Make the item of a new site with the root `top`; False when somebody was faster.

        `lost`: when it was found that the store has lost the site, in seconds since the epoch.
        """
        item = SiteItem(
            source="store",
            epoch=secrets.token_hex(8),
            index=self._site.index,
            exclude=self._site.exclude,
            compression=self._site.compression,
            top=top,
            links=self.links,
            lost=lost,
        )
        [made] = self._items.exchange(to.put(self._key, msgspec.json.encode(item), new=True))
        if made.refusal:
            raise failure(errno.ENOSPC, made.refusal)
        return made.done

    def make_anew(self, top: Entry, now: int) -> bool:
        """Make the site anew in a store that has lost it; False when its item is there.

        `now`: nanoseconds since the epoch, when that was found. Raises EIO.
        """
        try:
            if self.read() is not None:
                return False
        except MemfisError as error:
            raise failure(errno.EIO, str(error)) from error
        log.warning("the store has lost site %s: it begins anew, empty", self._site.name)
        self.make(top, lost=now / 1e9)
        return True

    def state(self) -> Request:
        """Return what asks for the state of the item; see `is_as`."""
        return self._state

    def is_as(self, state: Answer) -> bool:
        """Whether the item is still in the `state` in which `read_top` has read it."""
        return state.done and (state.cas, state.size) == self._seen

    def read_top(self) -> Entry | None:
        """Return the record of the root directory; None where there is none."""
        [found] = self._items.exchange(to.fetch(self._key))
        if not found.done:
            return None
        self._seen = found.cas, len(found.value)
        return msgspec.json.decode(found.value, type=SiteItem).top

    def write_top(self, change: Callable[[Entry], Entry], otherwise: Entry) -> Entry:
        """Write the record of the root directory as `change` makes it, and return that.

        `otherwise`: of which it is made where there is none.
        """
        item = self.update(lambda item: replace(item, top=change(item.top or otherwise)))
        return item.top or otherwise

    def update(self, change: Callable[[SiteItem], SiteItem]) -> SiteItem:
        """Write the item as `change` makes it of the one that is there, and return it."""
        for _ in range(ATTEMPTS):
            [found] = self._items.exchange(to.fetch(self._key))
            if not found.done:
                raise failure(errno.EIO, "the store has lost the site")
            before = msgspec.json.decode(found.value, type=SiteItem)
            item = change(before)
            data = msgspec.json.encode(item)
            put = to.put(self._key, data, cas=found.cas)
            [written] = self._items.exchange(put)
            if written.refusal:
                raise failure(errno.ENOSPC, written.refusal)
            if written.done:
                if before.links == self.links:  # else `others_links` is still to find them
                    self._cas = written.cas
                    self.links = item.links
                if self._seen == (found.cas, len(found.value)):
                    self._seen = written.cas, len(data)
                return item
        raise failure(errno.EIO, "others write the item of the site all the time")

    def count_link(self) -> None:
        """Tell other mounts that there is a new link, or one less."""
        self.update(lambda item: replace(item, links=item.links + 1))

    def others_links(self) -> bool:
        """Whether others made or removed links since this was asked last."""
        [state] = self._items.exchange(to.state(self._key))
        if not state.done or state.cas == self._cas:
            return False
        before = self.links
        [found] = self._items.exchange(to.fetch(self._key))
        if not found.done:
            return False
        self._cas = found.cas
        self.links = msgspec.json.decode(found.value, type=SiteItem).links
        return self.links != before
