"""What lets nginx ask the store for a site's pages, where the store keeps them over a restart.

nginx is told a path of the site's own (`gates`), at which the agent makes a link to the socket of
the store's present run. A later run listens elsewhere, so at its start nginx finds no store, and
what answers is the fallback, until the agent has looked at the site.
"""

import logging
from pathlib import Path

from memfis.keeper.journal import Journal
from memfis.service import instance
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site


class Gate:
    """The way of nginx's to one site's pages."""

    def __init__(self, site: Site, journal: Journal) -> None:
        """Keep that of `site`; without `gates` there is none to open."""
        self._journal = journal
        path = StoreAddress.parse(site.store).path
        self._store = Path(path) if path else None
        self._link = Path(site.gates, f"{site.name}.sock") if site.gates else None
        self._opened: Path | None = None

    def store(self) -> Path | None:
        """Return which run of the store is there; None: it is not known, or makes no difference."""
        return instance.listening(self._store) if self._link and self._store else None

    @property
    def is_warm(self) -> bool:
        """Whether the store that is there began with what an earlier one had."""
        store = self.store()
        return store is not None and instance.is_warm(store)

    def is_open(self, store: Path) -> bool:
        """Whether nginx asks `store`."""
        if self._link is None:
            return True
        if self._opened != store and instance.listening(self._link) == store:
            self._opened = store
        return self._opened == store

    def open(self, store: Path) -> None:
        """Let nginx ask `store` from now on."""
        if self._link is None or self.is_open(store):
            return
        try:
            instance.point(self._link, store)
        except OSError as error:
            self._journal.once(
                logging.ERROR, f"nginx does without memory: {self._link}: {error.strerror}"
            )
            return
        self._opened = store

    def open_fresh(self) -> Path | None:
        """Return what `store` does, and open to it at once if it has nothing of an earlier run."""
        store = self.store()
        if store is not None and not instance.is_warm(store):
            self.open(store)
        return store
