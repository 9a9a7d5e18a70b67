"""A site has one source: its web root, or the store alone, which a mount fills."""

from memfis.catalog.site_item import SiteItem
from memfis.errors import UsageError


def check_filled_from_root(item: SiteItem | None, site: str) -> None:
    """Raise UsageError when the store has `site` as one that a mount fills."""
    if item is not None and item.source != "root":
        raise UsageError(
            f"site {site} is filled through a mount (source {item.source!r}), not from a web root:"
            " nothing to sync"
        )


def check_filled_by_mount(item: SiteItem | None, site: str) -> None:
    """Raise UsageError when the store has `site` as one with a web root."""
    if item is not None and item.source != "store":
        raise UsageError(
            f"site {site} is kept equal to the web root {item.root}, not filled through a mount:"
            " correct its 'source', or its name"
        )
