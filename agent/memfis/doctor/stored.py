"""A site that a mount fills: what is in its store, and whether the store keeps it."""

from collections.abc import Callable, Iterator

from memfis.catalog.catalog import Catalog
from memfis.catalog.source import check_filled_by_mount
from memfis.doctor.census import Census, StoredItem
from memfis.doctor.findings import Finding, counted, mebibytes
from memfis.doctor.store import NEARLY
from memfis.layout.keys import directory_key, page_key, page_path, private_key
from memfis.layout.pages import NO_PAGE
from memfis.layout.paths import size
from memfis.layout.records import Entry, encode_log
from memfis.settings.values import Site
from memfis.store import Store, StoreStatistics

OVERHEAD = 512
"""Bytes of an item that are not its value: at most, with the longest key."""


def take_stored(site: Site, store: Store, progress: Callable[[int], None]) -> Census:
    """Count what is in the store of `site`.

    `progress` is called with numbers of files just counted. Nothing is estimated. Raises
    StoreError, and UsageError for a site with a web root.
    """
    catalog = Catalog(store, site.name)
    item = catalog.site_item()
    check_filled_by_mount(item, site.name)
    census = Census()
    for path, log in catalog.tree(b"/"):
        if log is None:
            continue
        census.directories += 1
        key = len(directory_key(site.name, path))
        length = len(encode_log(log.entries.values()))
        census.items.append(StoredItem(path, key, length, is_page=False))
        files = [entry for entry in log.entries.values() if not entry.is_directory]
        keys = [_key(site, path, entry) for entry in files]
        states = store.states(keys)
        for entry, its, state in zip(files, keys, states, strict=True):
            if state is not None:
                census.items.append(
                    StoredItem(path + entry.raw, len(its), state.size, is_page=True)
                )
            if entry.target is None:
                census.files += 1
                census.bytes += entry.size
        progress(len(files))
    return census


def check_stored(
    name: str, census: Census, figures: StoreStatistics, assigned: int
) -> Iterator[Finding]:
    """Yield what there is to say of the site `name`.

    `assigned`: bytes of the store's memory that are given to items of one size or another.
    """
    if census.files:
        message = f"{counted(census.files, 'file')} with {size(census.bytes)} in the store alone"
        yield Finding(name, "source", "ok", message)
    else:
        message = "the store alone, and there is nothing in it"
        advice = "fill it: memfis mount MOUNTPOINT"
        yield Finding(name, "source", "warning", message, advice)
    if figures.evictions_allowed:
        message = "a full store evicts pages that are nowhere else"
        advice = "run the store with memcached's -M, which then refuses what does not fit"
        yield Finding(name, "evictions", "warning", message, advice)
    else:
        message = "off: a full store refuses what does not fit, and keeps what it has"
        yield Finding(name, "evictions", "ok", message)
    if not figures.evictions_allowed and assigned > figures.limit * NEARLY:
        message = (
            f"{mebibytes(assigned)} of {mebibytes(figures.limit)} are given to items of one size or"
            " another: files of other sizes may be refused"
        )
        advice = "raise memfis_store_memory (memcached's -m); a restart of memcached empties it"
        yield Finding(name, "room", "warning", message, advice)
    message = f"a file may have {figures.item_limit - OVERHEAD:,} bytes"
    yield Finding(name, "file size", "ok", message)


def _key(site: Site, directory: bytes, entry: Entry) -> bytes:
    path = page_path(directory, entry.raw, site.index_name)
    kind = private_key if entry.flags & NO_PAGE else page_key
    return kind(site.name, path)
