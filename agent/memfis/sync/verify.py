"""Compare every page in the store with the file it was made from, byte by byte."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from memfis.catalog import Catalog
from memfis.config import Site
from memfis.errors import MemfisError
from memfis.keys import page_key
from memfis.pages import Page, content_of, make_page, may_fit
from memfis.store import Store
from memfis.sync.orphans import orphans
from memfis.webroot import Listing, WebRoot

BATCH = 200


class Discrepancy(NamedTuple):
    """One thing that is not in the store as on the disk; `kind` says how."""

    kind: str
    """`missing`, `different`, `damaged`, `stray` (a key that no file stands for) or `records`."""
    path: bytes


class Verified(NamedTuple):
    """One file that was compared, and what is wrong with it, if anything."""

    path: bytes
    discrepancy: Discrepancy | None


def verify(site: Site, store: Store) -> Iterator[Verified]:
    """Yield every file of the web root of `site` that should be in memory, and what is wrong.

    Files that change while they are compared, or are left to the disk, are not compared.
    """
    webroot = WebRoot(site)
    catalog = Catalog(store, site.name)
    for listing in webroot.walk():
        [log] = catalog.logs([listing.path])
        if log is None and listing.entries:
            yield Verified(listing.path, Discrepancy("records", listing.path))
        yield from _verify_directory(site, store, webroot, listing)
    for key in orphans(store, catalog, site.name, site.index_name):
        yield Verified(key, Discrepancy("stray", key))


def _verify_directory(
    site: Site, store: Store, webroot: WebRoot, listing: Listing
) -> Iterator[Verified]:
    compression = site.compression
    files = (
        entry
        for entry in listing.entries.values()
        if not entry.is_directory and may_fit(entry.raw, entry.size, site.max_page, compression)
    )
    while batch := list(islice(files, BATCH)):
        keys = [page_key(site.name, webroot.url(listing.path, entry.raw)) for entry in batch]
        pages = store.get_many(keys)
        for entry, key in zip(batch, keys, strict=True):
            path = listing.path + entry.raw
            found = pages.get(key)
            page = Page(*found) if found else None
            yield Verified(path, _discrepancy(site, webroot, path, page))


def _discrepancy(
    site: Site, webroot: WebRoot, path: bytes, page: Page | None
) -> Discrepancy | None:
    try:
        content, _ = webroot.read(path)
    except OSError:
        return None if page is None else Discrepancy("different", path)
    if page is None:
        name = path.rpartition(b"/")[2]
        stored = make_page(name, content, site.compression)
        return None if len(stored.value) > site.max_page else Discrepancy("missing", path)
    try:
        same = content_of(page) == content
    except MemfisError:
        return Discrepancy("damaged", path)
    return None if same else Discrepancy("different", path)
