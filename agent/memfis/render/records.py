"""Rendered pages in the store: each page, and its record in the directory log.

The record is written before the page, and a page is removed before its tombstone is written, as for
files. Directories that only rendered pages need have records of origin `rendered` too.
"""

import stat
from collections.abc import Iterator, Sequence

from memfis.catalog.catalog import Catalog
from memfis.errors import StoreRefusedError
from memfis.layout.keys import directory_key, page_key
from memfis.layout.pages import Page
from memfis.layout.paths import split
from memfis.layout.records import Entry, encode_log, encode_records, tombstone
from memfis.settings.load import Site
from memfis.store import Item, Store, Visit
from memfis.store.exchange import Request, append, put

NO_STALE = "memfis.no-stale"
"""Extended attribute of a page that may not be shown when it is expired, whatever happens."""

SLICE = 500
"""Pages that are dealt with before other things may happen."""


class Records:
    """The rendered pages of one site. Raises StoreError where the store cannot be asked."""

    def __init__(self, site: Site, store: Store) -> None:
        """Read and write those of `site` in `store`."""
        self._site = site
        self._store = store
        self._catalog = Catalog(store, site.name)
        self._directories: set[bytes] = set()
        """Directories that are known to be recorded, with all above them."""
        self._new: set[bytes] = set()
        """Directories that were recorded just now, and whose own item is still to be made."""

    def key(self, path: bytes) -> bytes:
        """Return the key of the page at `path`."""
        return page_key(self._site.name, path)

    def entry(self, path: bytes, flags: int, size: int, *, now: float, stale: bool) -> Entry:
        """Return the record of a page of `size` bytes of content, rendered `now`."""
        return Entry(
            "/" + split(path)[1].decode("latin-1"),
            stat.S_IFREG | 0o644,
            size,
            int(now * 10**9),
            flags=flags,
            origin="rendered",
            extended=None if stale else {NO_STALE: ""},
        )

    def record(self, path: bytes, entry: Entry) -> None:
        """Write the record of the page at `path`; StoreRefusedError: no room for it."""
        directory = split(path)[0]
        self._make(directory)
        if not self._done(append(self._key(directory), encode_records([entry]))):
            self.lost()  # a sync may have removed it, and what leads to it
            self._make(directory)
            self._append(directory, [entry])

    def write(self, path: bytes, page: Page, ttl: int) -> None:
        """Write the page at `path`, whose record is there; StoreRefusedError: no room for it."""
        item = Item(self.key(path), page.value, page.flags)
        for _, reason in self._store.set_many([item], ttl):
            raise StoreRefusedError(reason)

    def visits(self, paths: Sequence[bytes]) -> list[Visit | None]:
        """Return what became of the page at each of `paths`."""
        return self._store.visit_many([self.key(path) for path in paths])

    def extend(self, paths: Sequence[bytes], ttl: int) -> None:
        """Give the pages at `paths` `ttl` seconds to live from now."""
        self._store.touch_many([self.key(path) for path in paths], ttl)

    def remove(self, paths: Sequence[bytes]) -> None:
        """Remove the pages at `paths`; their records stay until somebody `forget`s them."""
        self._store.delete_many([self.key(path) for path in paths])

    def recorded(self) -> Iterator[tuple[bytes, list[Entry]]]:
        """Yield every recorded directory, and the rendered pages in it."""
        for path, log in self._catalog.tree(b"/"):
            if log is not None:
                self._catalog.compact(path, log)
                yield path, [each for each in log.entries.values() if each.is_rendered]

    def forget(self, directory: bytes, names: Sequence[str]) -> None:
        """Take what records call `names` out of `directory`, and itself where nothing is left."""
        [log] = self._catalog.logs([directory])
        if log is None:
            return
        ours = [name for name in names if name in log.entries]
        if ours:
            self._append(directory, [tombstone(name) for name in ours])
        if len(ours) == len(log.entries):
            self._unmake(directory)

    def _unmake(self, directory: bytes) -> None:
        """Take away the empty `directory` if only rendered pages needed it."""
        if directory == b"/":
            return
        above, name = split(directory[:-1])
        [log, own] = self._catalog.logs([above, directory])
        entry = log.entries.get(name.decode("latin-1")) if log else None
        if log is None or entry is None or entry.origin != "rendered" or (own and own.entries):
            return
        self._directories = {each for each in self._directories if not each.startswith(directory)}
        self._catalog.remove([directory])
        self._append(above, [tombstone(entry.name)])
        if len(log.entries) == 1:
            self._unmake(above)

    def lost(self) -> None:
        """Take nothing for granted: the store may have lost what was in it."""
        self._directories.clear()

    def _make(self, directory: bytes) -> None:
        """See to it that `directory` and those above it are recorded."""
        missing = []
        while directory not in self._directories and directory != b"/":
            missing.append(directory)
            directory = split(directory[:-1])[0]
        for path in reversed(missing):
            above, raw = split(path[:-1])
            name = raw.decode("latin-1")
            [log] = self._catalog.logs([above])
            old = log.entries.get(name) if log else None
            if old is not None and not old.is_directory:
                raise StoreRefusedError(f"{path[:-1]!r} is a file")
            if old is None:
                made = Entry(name, stat.S_IFDIR | 0o755, origin="rendered")
                self._append(above, [made])
                self._new.add(path)
            self._directories.add(path)

    def _append(self, directory: bytes, entries: Sequence[Entry]) -> None:
        key = self._key(directory)
        more = encode_records(entries)
        if self._done(append(key, more)):
            return
        if directory in self._new:
            self._new.remove(directory)
        else:  # its records are lost, and once it is made anew nothing else tells
            self._catalog.note_loss(self._catalog.site_item())
        live = [each for each in entries if each.mode is not None]
        if self._done(put(key, encode_log(live), new=True)) or self._done(append(key, more)):
            return
        self._catalog.shorten(directory)
        if not self._done(append(key, more)):
            raise StoreRefusedError(f"the records of {directory!r} do not fit into the store")

    def _key(self, directory: bytes) -> bytes:
        return directory_key(self._site.name, directory)

    def _done(self, request: Request) -> bool:
        [answer] = self._store.exchange(request)
        return answer.done
