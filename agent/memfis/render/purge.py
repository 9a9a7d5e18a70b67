"""Purging: which pages of a site a pattern is for, and their removal, with an agent or without."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from memfis.catalog.catalog import Catalog
from memfis.catalog.source import check_may_be_purged
from memfis.layout.keys import page_key, page_path
from memfis.layout.pages import NO_PAGE
from memfis.layout.paths import shown_url
from memfis.nginx.microcache import cache_key, remove
from memfis.render.figures import Purged
from memfis.render.patterns import Pattern, as_kept
from memfis.render.shelf import Shelf
from memfis.settings.values import Site
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


class Purge:
    """One purge of a site: takes pages out of its store, those of files too.

    Where an agent keeps the site it is done there, with the `shelf` of its rendered pages, and the
    pages of files are written again. Without an agent the records alone say what there is.
    """

    def __init__(
        self,
        site: Site,
        store: Store,
        patterns: Sequence[Pattern],
        *,
        dry_run: bool,
        shelf: Shelf | None = None,
        rewrite_files: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """Prepare to remove what `patterns` fit, or with `dry_run` to say what that would be.

        `rewrite_files` is called with each directory (URL path) whose files' pages went.
        """
        self.done = Purged()
        """What was done; whole after the last step."""
        self._site, self._store = site, store
        self._patterns = [as_kept(pattern, site) for pattern in patterns]
        self._dry_run = dry_run
        self._shelf = shelf
        self._rewrite_files = rewrite_files
        self._paths: set[bytes] = set()

    def steps(self) -> Iterator[None]:
        """Do it, and yield where other things may be done in between.

        Raises StoreError, and UsageError for a site that is not filled from a web root: what is
        purged there is nowhere else. Raises OSError where there is no shelf and the microcache may
        not be changed.
        """
        catalog = Catalog(self._store, self._site.name)
        item = catalog.site_item()
        check_may_be_purged(self._site, item)
        for pattern in self._patterns:
            self._purge_shelf(pattern)
            for batch in find(catalog, pattern, self._site.index_name):
                self._purge_recorded(batch)
                yield
            if not self._dry_run:
                self._purge_unrecorded(pattern)
        if self._dry_run:
            self.done.paths = sorted(map(shown_url, self._paths))

    def _purge_shelf(self, pattern: Pattern) -> None:
        if self._shelf is None:
            return
        dry_run = self._dry_run
        found = self._shelf.pages.fitting(pattern) if dry_run else self._shelf.purge(pattern)
        new = [path for path in found if path not in self._paths]
        self.done.rendered += len(new)
        self._paths.update(new)

    def _purge_recorded(self, batch: Batch) -> None:
        left = [path for path in batch.rendered if path not in self._paths]
        if self._shelf is not None:  # what was rendered since the purge began stays
            left = [path for path in left if path not in self._shelf.pages]
        rendered = self._in_store(left)
        files = self._in_store([path for path in batch.files if path not in self._paths])
        if not self._dry_run:
            self._remove([*rendered, *files])
            for directory in set(batch.directories):
                self._rewrite_files(directory)
        self.done.rendered += len(rendered)
        self.done.files += len(files)
        self._paths.update(rendered, files)

    def _purge_unrecorded(self, pattern: Pattern) -> None:
        """Remove what no record names: the page itself, and what nginx has without an agent."""
        site = self._site
        if pattern.exact is not None:
            self._remove([pattern.exact])
        if self._shelf is None and site.php is not None and site.php.microcache is not None:
            key = None if pattern.exact is None else cache_key(site.name, pattern.exact)
            remove(site.php.microcache, key)

    def _remove(self, paths: Sequence[bytes]) -> None:
        self._store.delete_many([page_key(self._site.name, path) for path in paths])

    def _in_store(self, paths: Sequence[bytes]) -> list[bytes]:
        """Return those of `paths` whose pages are in the store."""
        states = self._store.states([page_key(self._site.name, path) for path in paths])
        return [path for path, state in zip(paths, states, strict=True) if state is not None]


def _holder(path: bytes) -> bytes:
    return path[: path.rfind(b"/") + 1]
