"""The site's own item: what a site in the store was filled with, and how it is now."""

import time

import msgspec
import msgspec.structs

from memfis.layout.compression import Compression
from memfis.layout.records import Entry

LAYOUT = 1
"""Version of keys and items (docs/architecture/reference.md)."""


class SiteItem(msgspec.Struct, frozen=True, kw_only=True):
    """The site's own item, as JSON. Times are seconds since the epoch."""

    layout: int = LAYOUT
    source: str = "root"
    epoch: str
    """Random; a site item with another epoch, or none, means a store that began anew."""
    root: str = ""
    installation: str | None = None
    """The mark of the host and the configuration that it was synced for (service/installation.py);
    empty: it was synced by flags, None: not recorded, as by version 0.1.0."""
    reader: str = ""
    """Whom the pages are for, by numbers: nginx's user and its groups; empty: not recorded."""
    index: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_page: int = 0
    compression: Compression | None = None
    pages: int = 0
    bytes: int = 0
    last_sync: float = 0.0
    whole: bool = True
    """False: pages may be in the store that no record names; to be looked for."""
    top: Entry | None = None
    """Attributes of the root directory, where the store is the only source."""
    heads: bool = False
    """Whether pages of files have heads."""
    links: int = 0
    """Grows with every symbolic link that a mount makes or removes, so that others notice."""
    lost: float = 0.0
    """When a mount found that the store had lost the site, and made it anew, empty; 0: never, or it
    was mounted again since."""

    def with_pages(self, pages: int) -> "SiteItem":
        """Return the item as it is when the site has `pages` pages, now."""
        return msgspec.structs.replace(self, pages=pages, last_sync=time.time())
