"""Where a site's pages come from: its web root, or the store alone, which a mount fills.

The settings say it, and the site's own item, once there is one. They may differ: a configuration
that was changed, a name that another site has already. What follows from that is decided here.
"""

from enum import Enum

from memfis.catalog.site_item import SiteItem
from memfis.errors import UsageError
from memfis.settings.values import Site


class Source(Enum):
    """What the pages of a site are made of. The values are those of settings and site items."""

    ROOT = "root"
    """A web root, which a sync or an agent keeps in the store."""
    STORE = "store"
    """Nothing else: a mount wrote them into the store."""


def declared_source(site: Site) -> Source:
    """Return what the settings of `site` say: what to do where the store is not asked first."""
    return Source(site.source)


def source_of(site: Site, item: SiteItem | None) -> Source:
    """Return what the site's `item` says; what its settings say where there is none.

    For whoever shows what is in the store, or chooses how to mount it. Raises UsageError where the
    item names another source than this memfis has.
    """
    return declared_source(site) if item is None else _of_item(item, site.name)


def is_nowhere_else(site: Site, item: SiteItem | None) -> bool:
    """Whether settings or `item` say that the pages are in the store alone, and must stay there."""
    return Source.STORE in (declared_source(site), source_of(site, item))


def check_filled_from_root(item: SiteItem | None, site: str) -> None:
    """Raise UsageError when the store has `site` as one that a mount fills."""
    if item is not None and _of_item(item, site) is not Source.ROOT:
        raise UsageError(
            f"site {site} is filled through a mount (source {item.source!r}), not from a web root:"
            " nothing to sync"
        )


def check_filled_by_mount(item: SiteItem | None, site: str) -> None:
    """Raise UsageError when the store has `site` as one with a web root."""
    if item is not None and _of_item(item, site) is not Source.STORE:
        raise UsageError(
            f"site {site} is kept equal to the web root {item.root}, not filled through a mount:"
            " correct its 'source', or its name"
        )


def check_may_be_written(item: SiteItem, site: str) -> None:
    """Raise UsageError when a mount may only show what is in the store of `site`."""
    if _of_item(item, site) is not Source.STORE:
        raise UsageError(
            f"site {site} is kept equal to {item.root or 'a web root'} by an agent: mount it with"
            " --read-only"
        )


def check_may_be_purged(site: Site, item: SiteItem | None) -> None:
    """Raise UsageError for a site whose pages are nowhere but in the store."""
    if is_nowhere_else(site, item):
        raise UsageError(
            f"site {site.name} is filled through a mount: its pages are nowhere else, so nothing is"
            " purged; remove its files instead"
        )


def _of_item(item: SiteItem, site: str) -> Source:
    try:
        return Source(item.source)
    except ValueError:
        raise UsageError(
            f"site {site} has the source {item.source!r} in the store, which this memfis does not"
            " know: use the version that wrote it"
        ) from None
