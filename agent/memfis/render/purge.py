"""Purging: which pages of a site the records name for a pattern, and their removal."""

from collections.abc import Iterator, Sequence

import msgspec

from memfis.catalog.catalog import Catalog
from memfis.errors import UsageError
from memfis.layout.keys import page_key, page_path
from memfis.layout.pages import NO_PAGE
from memfis.nginx.microcache import cache_key, remove
from memfis.render.figures import Purged
from memfis.render.patterns import Pattern, as_kept
from memfis.settings.load import Site
from memfis.store import Store

BATCH = 64
"""Directories whose records are read at once."""


class Batch(msgspec.Struct):
    """Pages that the records name, URL paths."""

    rendered: list[bytes] = msgspec.field(default_factory=list)
    files: list[bytes] = msgspec.field(default_factory=list)
    directories: list[bytes] = msgspec.field(default_factory=list)
    """Where those files are."""


def find(catalog: Catalog, pattern: Pattern, index: bytes | None) -> Iterator[Batch]:
    """Yield the pages of a site that `pattern` fits, as the records of `catalog` name them.

    `index` is the name whose page is kept under the directory's URL. Raises StoreError.
    """
    pending = [b"/" if pattern.exact is None else _holder(pattern.exact)]
    while pending:
        paths, pending = pending[:BATCH], pending[BATCH:]
        batch = Batch()
        for directory, log in zip(paths, catalog.logs(paths), strict=True):
            for entry in log.entries.values() if log else ():
                if entry.is_directory:
                    below = directory + entry.raw + b"/"
                    if pattern.exact is None and pattern.may_hold(below):
                        pending.append(below)
                elif entry.is_rendered:
                    if pattern.fits(path := directory + entry.in_url):
                        batch.rendered.append(path)
                elif not entry.flags & NO_PAGE:
                    path = page_path(directory, entry.raw, index)
                    if pattern.fits(path):
                        batch.files.append(path)
                        batch.directories.append(directory)
        yield batch


def purge(
    site: Site, store: Store, patterns: Sequence[Pattern], *, dry_run: bool
) -> tuple[Purged, list[bytes]]:
    """Remove pages from `store` directly, where no agent runs; return what was done, and the paths.

    Raises StoreError, and UsageError for a site that is not filled from a web root: what is purged
    there is nowhere else. Raises OSError where the microcache may not be changed.
    """
    catalog = Catalog(store, site.name)
    item = catalog.site_item()
    check_may_be_purged(site, None if item is None else item.source)
    done = Purged()
    paths: dict[bytes, None] = {}
    for pattern in (as_kept(each, site) for each in patterns):
        for batch in find(catalog, pattern, site.index_name):
            rendered = present(site, store, batch.rendered)
            files = present(site, store, batch.files)
            new = [path for path in [*rendered, *files] if path not in paths]
            done.rendered += sum(1 for path in rendered if path not in paths)
            done.files += sum(1 for path in files if path not in paths)
            paths |= dict.fromkeys(new)
            if not dry_run:
                store.delete_many([page_key(site.name, path) for path in new])
        if dry_run:
            continue
        if pattern.exact is not None:
            store.delete_many([page_key(site.name, pattern.exact)])
        if site.php is not None and site.php.microcache is not None:
            key = None if pattern.exact is None else cache_key(site.name, pattern.exact)
            remove(site.php.microcache, key)
    return done, list(paths)


def check_may_be_purged(site: Site, source: str | None) -> None:
    """Raise UsageError for a site whose pages are nowhere but in the store."""
    if "store" in (site.source, source):
        raise UsageError(
            f"site {site.name} is filled through a mount: its pages are nowhere else, so nothing is"
            " purged; remove its files instead"
        )


def present(site: Site, store: Store, paths: Sequence[bytes]) -> list[bytes]:
    """Return those of `paths` whose pages are in the store."""
    states = store.states([page_key(site.name, path) for path in paths])
    return [path for path, state in zip(paths, states, strict=True) if state is not None]


def _holder(path: bytes) -> bytes:
    return path[: path.rfind(b"/") + 1]
