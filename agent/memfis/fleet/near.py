"""What a host itself has of a site's pages: its gateway, its nginx, nginx's cache of a second."""

from collections.abc import Sequence

from memfis.layout.identity import may_be_spelled
from memfis.layout.keys import page_key, with_beside
from memfis.nginx.microcache import Microcache
from memfis.render.patterns import Pattern, as_kept
from memfis.settings.values import Site
from memfis.store import Store

PATIENCE = 1.0
"""Seconds to wait for the store, in which nothing else happens."""


class Near:
    """Lets go of it, for one site: another host has purged."""

    def __init__(self, site: Site) -> None:
        """Prepare it."""
        self._site = site
        self._store = Store.of(site, PATIENCE)
        self._microcache = Microcache(site.php.microcache if site.php else None, site.name)

    def forget(self, patterns: Sequence[Pattern]) -> None:
        """Show nothing more from before of what `patterns` fit; raises StoreError."""
        kept = [as_kept(pattern, self._site) for pattern in patterns]
        paths = [path for pattern in kept for path in pattern.exact]
        named = all(pattern.exact for pattern in kept) and not any(map(may_be_spelled, paths))
        keys = [page_key(self._site.name, path) for path in paths] if named else []
        self._store.forget(with_beside(keys))
        for pattern in kept:
            for _ in self._microcache.purge(pattern.exact):
                pass

    def close(self) -> None:
        """Close the connections."""
        self._store.close()
