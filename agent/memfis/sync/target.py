"""What a sync makes equal to what."""

from dataclasses import dataclass, replace

from memfis.catalog.catalog import Catalog
from memfis.layout.compression import Compression
from memfis.settings.values import Site
from memfis.store import Store
from memfis.webroot import WebRoot


@dataclass(frozen=True)
class Target:
    """A site, its web root as it is now, and the store that is to hold the same."""

    site: Site
    webroot: WebRoot
    store: Store
    catalog: Catalog
    """What `store` says it holds of the site."""
    compression: Compression
    """How pages of the site are stored: worked out once, as it is needed for every file."""

    @classmethod
    def of(cls, site: Site, webroot: WebRoot, store: Store) -> "Target":
        """Return `store` as what `webroot` of `site` is copied to."""
        return cls(site, webroot, store, Catalog(store, site.name), site.compression)

    def through(self, store: Store) -> "Target":
        """Return the same one, reached over the connections of `store`."""
        return replace(self, store=store, catalog=Catalog(store, self.site.name))
