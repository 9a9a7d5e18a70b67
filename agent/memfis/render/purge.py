"""Purging: which pages of a site a pattern is for, and their removal, with an agent or without."""

import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

import msgspec

from memfis.catalog.catalog import Catalog
from memfis.catalog.source import check_may_be_purged
from memfis.layout.identity import may_be_spelled
from memfis.layout.keys import head_of, page_key, page_path, with_beside
from memfis.layout.pages import NO_PAGE
from memfis.layout.paths import shown_url
from memfis.layout.records import Entry
from memfis.nginx.microcache import file_names, remove
from memfis.render.figures import Purged
from memfis.render.patterns import AT_ONCE, TURN, Pattern, as_kept
from memfis.render.shelf import Shelf, now
from memfis.settings.values import Site
from memfis.store import Store

BATCH = 64
"""Directories whose records are read at once at most."""


class Batch(msgspec.Struct):
    """Pages that the records name, URL paths."""

    rendered: list[bytes] = msgspec.field(default_factory=list)
    files: list[bytes] = msgspec.field(default_factory=list)
    directories: list[bytes] = msgspec.field(default_factory=list)
    """Where those files are."""

    def add(self, other: "Batch") -> None:
        """Take what `other` names, too."""
        self.rendered += other.rendered
        self.files += other.files
        self.directories += other.directories


def find(
    catalog: Catalog,
    pattern: Pattern,
    index: bytes | None,
    known: Container[bytes] = frozenset(),
) -> Iterator[Batch]:
    """Yield the pages of a site that `pattern` fits, as the records of `catalog` name them.

    `index` is the name whose page is kept under the directory's URL. Rendered pages that are
    `known` are left out. Raises StoreError.
    """
    pending = sorted(_holders(pattern))
    number = BATCH
    while pending:
        paths, pending = pending[:number], pending[number:]
        began = time.monotonic()
        logs = catalog.logs(paths)
        # some directories are large
        number = max(1, number // 2) if time.monotonic() - began > TURN else min(BATCH, 2 * number)
        whole, end = Batch(), began + TURN
        for directory, log in zip(paths, logs, strict=True):
            entries = list(log.entries.values()) if log else []
            for batch, below in _fitting(directory, entries, pattern, index, known):
                pending += below
                whole.add(batch)
                if time.monotonic() > end or len(whole.files) + len(whole.rendered) > AT_ONCE:
                    yield whole
                    whole, end = Batch(), time.monotonic() + TURN
        yield whole


def _holders(pattern: Pattern) -> set[bytes]:
    """Return the directories to begin with, from which all others are found."""
    if not pattern.exact:
        return {b"/"}
    found = {path[: path.rfind(b"/") + 1] for path in pattern.exact}
    if any(map(may_be_spelled, pattern.exact)):
        found.add(b"/")  # which has those whose target is kept as it was sent
    return found


def _fitting(
    directory: bytes,
    entries: Iterable[Entry],
    pattern: Pattern,
    index: bytes | None,
    known: Container[bytes],
) -> Iterator[tuple[Batch, list[bytes]]]:
    """Yield which of `entries`, of `directory`, `pattern` fits, and directories to look into."""
    batch, below = Batch(), list[bytes]()
    end = time.monotonic() + TURN
    for number, entry in enumerate(entries, 1):
        if entry.is_directory:
            path = directory + entry.raw + b"/"
            if not pattern.exact and pattern.may_hold(path):
                below.append(path)
        elif entry.is_rendered:
            path = directory + entry.in_url
            if path not in known and pattern.fits(path):
                batch.rendered.append(path)
        elif not entry.flags & NO_PAGE:
            path = page_path(directory, entry.raw, index)
            if pattern.fits(path):
                batch.files.append(path)
                batch.directories.append(directory)
        if not number % AT_ONCE or time.monotonic() > end:
            yield batch, below
            batch, below = Batch(), list[bytes]()
            end = time.monotonic() + TURN
    yield batch, below


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
        files: bool = True,
        rewrite_files: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """Prepare to remove what `patterns` fit, or with `dry_run` to say what that would be.

        Without `files` pages of files stay, which are another host's to remove and to write again,
        and nginx's microcache does, which is the caller's.

        `rewrite_files` is called with each directory (URL path) whose files' pages went.
        """
        self.done = Purged()
        """What was done; whole after the last step."""
        self._site, self._store = site, store
        self._patterns = [as_kept(pattern, site) for pattern in patterns]
        self._dry_run = dry_run
        self._shelf = shelf
        self._files = files
        self._rewrite_files = rewrite_files
        self._paths: set[bytes] = set()
        self._of_files: set[bytes] = set()
        self._directories: set[bytes] = set()
        """Where pages of files went."""

    def steps(self) -> Iterator[None]:
        """Do it, and yield where other things may be done in between.

        Files are written again when it is over: before, that would only hold it up. Raises
        StoreError, and UsageError for a site that is not filled from a web root: what is
        purged there is nowhere else. Raises OSError where there is no shelf and the microcache may
        not be changed.
        """
        catalog = Catalog(self._store, self._site.name)
        item = catalog.site_item()
        check_may_be_purged(self._site, item)
        try:
            yield from self._purge_all(catalog)
        finally:
            for directory in self._directories:
                self._rewrite_files(directory)

    def _purge_all(self, catalog: Catalog) -> Iterator[None]:
        for pattern in self._patterns:
            began, known = 0.0, frozenset[bytes]()
            if self._shelf is not None:
                began = now()
                known = frozenset() if pattern.exact else frozenset(self._shelf.pages)
            for paths in self._on_shelf(pattern):
                self.done.rendered += len(paths)
                self._paths.update(paths)
                yield
            for batch in find(catalog, pattern, self._site.index_name, known):
                self._purge_recorded(batch, began)
                yield
            if not self._dry_run:
                yield from self._purge_unrecorded(pattern)
        if self._dry_run:
            self.done.paths = sorted(map(shown_url, self._paths))

    def _on_shelf(self, pattern: Pattern) -> Iterator[list[bytes]]:
        """Yield pages that are known to the agent, and were not counted before; they go."""
        if self._shelf is None:
            return
        shelf = self._shelf
        found = shelf.pages.fitting(pattern) if self._dry_run else shelf.purge(pattern)
        for paths in found:
            yield [path for path in paths if path not in self._paths]

    def _purge_recorded(self, batch: Batch, began: float) -> None:
        """Purge what `batch` names, but for what was rendered since the purge `began`."""
        left = [path for path in batch.rendered if path not in self._paths]
        if self._shelf is not None:
            left = [path for path in left if not self._is_newer(path, began)]
        rendered = self._in_store(left)
        files = self._in_store([path for path in batch.files if path not in self._paths])
        if not self._dry_run:
            self._remove([*rendered, *(files if self._files else ())])
            self._directories.update(batch.directories)
        self.done.rendered += len(rendered)
        self.done.files += len(files)
        self._paths.update(rendered, files)
        self._of_files.update(files)

    def _is_newer(self, path: bytes, began: float) -> bool:
        """Whether the page was rendered since the purge `began`; an older one leaves the shelf."""
        assert self._shelf is not None
        page = self._shelf.pages.get(path)
        if page is None or page.rendered > began:
            return page is not None
        if not self._dry_run:
            self._shelf.pages.discard(path)
        return False

    def _purge_unrecorded(self, pattern: Pattern) -> Iterator[None]:
        """Remove what no record names: the page itself, and what nginx has without an agent."""
        site = self._site
        left = set[bytes]() if self._files else self._of_files
        unknown = [path for path in pattern.exact - left if not self._is_on_shelf(path)]
        self._remove(unknown)
        alone = self._shelf is None and self._files
        if alone and site.php is not None and site.php.microcache is not None:
            names = file_names(site.name, pattern.exact, time.time())
            yield from remove(site.php.microcache, names)

    def _is_on_shelf(self, path: bytes) -> bool:
        return self._shelf is not None and path in self._shelf.pages

    def _remove(self, paths: Sequence[bytes]) -> None:
        keys = [page_key(self._site.name, path) for path in paths]
        self._store.delete_many(with_beside(keys))

    def _in_store(self, paths: Sequence[bytes]) -> list[bytes]:
        """Return those of `paths` whose pages are in the store."""
        keys = [page_key(self._site.name, path) for path in paths]
        pages, heads = self._store.states(keys), self._store.states([*map(head_of, keys)])
        return [path for path, page, head in zip(paths, pages, heads, strict=True) if page or head]
