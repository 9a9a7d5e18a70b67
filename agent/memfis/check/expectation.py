"""What visitors should get: which URLs are asked, and whether memory has their pages."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.catalog.source import Source, declared_source
from memfis.check.absence import LOST, UNREAD, why_absent
from memfis.layout.keys import page_key, page_path
from memfis.layout.pages import NO_PAGE, Page, content_of
from memfis.settings.values import Site
from memfis.store import Store

_UNESCAPED = "/!$&'()*+,;=:@"
"""What a path of a URL has as it is (RFC 3986, pchar), besides letters, digits and `-._~`."""


class Target(NamedTuple):
    """A URL to ask for, and what the store has of it."""

    path: str
    """Percent-encoded."""
    content: bytes | None
    """The page in memory, unpacked; None: there is none."""
    why: str = ""
    """Why there is none."""
    is_due: bool = False
    """There is none, and nothing but the agent's work stands in the way of one."""


class Stored(NamedTuple):
    """What the store says of a site."""

    pages: int
    is_synced: bool
    """The agent, or a mount, has been through with it once."""
    targets: list[Target]
    """The first page, and a page that is in memory where that is not."""


def stored(site: Site, store: Store) -> Stored:
    """Return what `store` says of `site`; raises StoreError."""
    catalog = Catalog(store, site.name)
    item = catalog.site_item()
    index = (replace(site, index=item.index) if item else site).index_name
    first = _target(site, store, b"/")
    if first.content is None and declared_source(site) is Source.ROOT:
        [log] = catalog.logs([b"/"])
        entry = log.entries.get(index.decode("latin-1")) if log and index else None
        why = why_absent(site, b"/", entry, index)
        first = first._replace(why=why.reason, is_due=why.reason in (UNREAD, LOST))
    targets = [first]
    if first.content is None:
        paths = (path for path in _pages(catalog, index) if path != b"/")
        targets += [_target(site, store, path) for path in islice(paths, 1)]
    return Stored(item.pages if item else 0, bool(item and item.last_sync), targets)


def _target(site: Site, store: Store, path: bytes) -> Target:
    found = store.get(page_key(site.name, path))
    return Target(
        quote_from_bytes(path, safe=_UNESCAPED), content_of(Page(*found)) if found else None
    )


def _pages(catalog: Catalog, index: bytes | None) -> Iterator[bytes]:
    """Yield the URL paths of files that are recorded with a page."""
    for directory, log in catalog.tree(b"/"):
        for entry in log.entries.values() if log else ():
            if not (entry.is_directory or entry.is_rendered or entry.flags & NO_PAGE):
                yield page_path(directory, entry.raw, index)
