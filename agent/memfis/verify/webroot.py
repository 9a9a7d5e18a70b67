"""Compare every page in the store with the file it was made from, byte by byte."""

import contextlib
import logging
from collections.abc import Iterator
from itertools import islice

from memfis.catalog.catalog import Catalog
from memfis.catalog.orphans import orphans
from memfis.catalog.source import check_filled_from_root
from memfis.errors import MemfisError, StoreRefusedError
from memfis.layout.keys import page_key
from memfis.layout.pages import FINGERPRINT, Page, content_of, fingerprint, make_page, may_fit
from memfis.layout.records import Entry, Log
from memfis.settings.values import Site
from memfis.store import Store
from memfis.verify.verified import BATCH, Discrepancy, Verified
from memfis.webroot import Files, Listing, WebRoot

log = logging.getLogger("memfis")


def verify_webroot(site: Site, store: Store) -> Iterator[Verified]:
    """Yield every file of the web root of `site` that should be in memory, and what is wrong.

    Files that change while they are compared, or are left to the disk, are not compared. Raises
    UsageError for a site that is not filled from a web root.
    """
    webroot = WebRoot(site)
    catalog = Catalog(store, site.name)
    check_filled_from_root(catalog.site_item(), site.name)
    for listing in webroot.walk():
        [log] = catalog.logs([listing.path])
        if log is None and listing.entries:
            yield Verified(listing.path, Discrepancy("records", listing.path))
        yield from _verify_directory(site, store, webroot, listing)
    yield from _verify_rendered(site, store, catalog)
    for key in strays(site, store, catalog):
        yield Verified(key, Discrepancy("stray", key))


def _verify_rendered(site: Site, store: Store, catalog: Catalog) -> Iterator[Verified]:
    """Yield the rendered pages that are there: each must be whole. They may expire at any time."""
    for directory, log in catalog.tree(b"/"):
        paths = [directory + each.in_url for each in _rendered(log)]
        for start in range(0, len(paths), BATCH):
            keys = {page_key(site.name, path): path for path in paths[start : start + BATCH]}
            for key, found in store.get_many(list(keys)).items():
                kind = None if _is_whole(Page(*found)) else "damaged"
                yield Verified(keys[key], Discrepancy(kind, keys[key]) if kind else None)


def _rendered(log: Log | None) -> list[Entry]:
    return [each for each in log.entries.values() if each.is_rendered] if log else []


def _is_whole(page: Page) -> bool:
    try:
        return fingerprint(content_of(page)) == page.flags & FINGERPRINT
    except MemfisError:
        return False


def strays(site: Site, store: Store, catalog: Catalog) -> list[bytes]:
    """Return the keys of `site` that no record names; none, and a warning, if it cannot list."""
    try:
        return orphans(store, catalog, site.name, site.index_name)
    except StoreRefusedError as error:
        log.warning("%s: pages that nothing records were not looked for: %s", site.name, error)
        return []


def _verify_directory(
    site: Site, store: Store, webroot: WebRoot, listing: Listing
) -> Iterator[Verified]:
    compression = site.compression
    files = (
        entry
        for entry in listing.entries.values()
        if not entry.is_directory and may_fit(entry.raw, entry.size, site.max_page, compression)
    )
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(webroot.files(listing.path))
        except OSError:
            return  # gone, or closed, since it was listed
        while batch := list(islice(files, BATCH)):
            keys = [page_key(site.name, webroot.url(listing.path, entry.raw)) for entry in batch]
            pages = store.get_many(keys)
            for entry, key in zip(batch, keys, strict=True):
                path = listing.path + entry.raw
                found = pages.get(key)
                page = Page(*found) if found else None
                kind = _discrepancy(opened, entry, page, site)
                yield Verified(path, Discrepancy(kind, path) if kind else None)


def _discrepancy(files: Files, entry: Entry, page: Page | None, site: Site) -> str | None:
    try:
        content, _ = files.read(entry)
    except OSError:
        return None if page is None else "different"
    if page is None:
        stored = make_page(entry.raw, content, site.compression)
        return None if len(stored.value) > site.max_page else "missing"
    try:
        same = content_of(page) == content
    except MemfisError:
        return "damaged"
    return None if same else "different"
