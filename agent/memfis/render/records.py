"""Rendered pages in the store: each page, and its record in the directory log.

The record is written before the page, and a page is removed before its tombstone is written, as for
files. Directories that only rendered pages need have records of origin `rendered` too.
"""

import stat
from collections.abc import Iterator, Sequence

from memfis.catalog.catalog import Catalog
from memfis.catalog.directory_log import ATTEMPTS, Recorded
from memfis.errors import StoreRefusedError
from memfis.layout.keys import body_of, head_of, page_key, with_beside
from memfis.layout.pages import NEEDS_HEAD, Page
from memfis.layout.paths import split
from memfis.layout.records import Entry, tombstone
from memfis.render.answer import Answer
from memfis.settings.values import Site
from memfis.store import Item, Store, Visit

NO_STALE = "memfis.no-stale"
"""Extended attribute of a page that may not be shown when it is expired, whatever happens."""

REVALIDATE = "memfis.stale-while-revalidate"
"""Extended attribute of a page that stays for so many seconds after it was fresh."""

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
        """Directories that were found recorded, with all above them."""
        self._new: set[bytes] = set()
        """Directories that were recorded just now, and whose own item is still to be made."""

    def key(self, path: bytes) -> bytes:
        """Return the key of the page at `path`."""
        return page_key(self._site.name, path)

    def entry(
        self, path: bytes, flags: int, size: int, *, now: float, stale: bool, revalidate: int = 0
    ) -> Entry:
        """Return the record of a page of `size` bytes of content, rendered `now`.

        `stale`: it may be shown while PHP is in trouble; `revalidate`: seconds that it may be shown
        after it was fresh.
        """
        extended = {} if stale else {NO_STALE: ""}
        if revalidate:
            extended[REVALIDATE] = str(revalidate)
        return Entry(
            "/" + split(path)[1].decode("latin-1"),
            stat.S_IFREG | 0o644,
            size,
            int(now * 10**9),
            flags=flags,
            origin="rendered",
            extended=extended or None,
        )

    def record(self, path: bytes, entry: Entry) -> None:
        """Write the record of the page at `path`; StoreRefusedError: no room for it."""
        directory = split(path)[0]
        self._make(directory)
        if not self._catalog.log(directory).append([entry]).done:
            self.lost()  # a sync may have removed it, and what leads to it
            self._make(directory)
            self._append(directory, [entry])

    def write(self, path: bytes, page: Page, ttl: int, answer: Answer | None = None) -> None:
        """Write the page at `path`, whose record is there; StoreRefusedError: no room for it.

        With what is said beside it by `answer`, if anything is. The head comes last: without it, or
        with one of other flags, nothing is said of a page, and a body apart is not seen at all.
        """
        key = self.key(path)
        if answer is None:
            self._set([Item(key, page.value, page.flags)], ttl)
            return
        flags = page.flags | NEEDS_HEAD
        place, other = (key, body_of(key)) if answer.is_page else (body_of(key), key)
        # nginx is told of what is deleted, and would look between the two that are written.
        if not answer.is_page and self._store.states([other]) != [None]:
            self._store.delete_many([other])
        self._set([Item(place, page.value, flags), Item(head_of(key), answer.head, flags)], ttl)
        if answer.is_page:
            self._store.delete_many([other])

    def _set(self, items: Sequence[Item], ttl: int) -> None:
        for _, reason in self._store.set_many(items, ttl):
            self._store.delete_many([item.key for item in items])
            raise StoreRefusedError(reason)

    def visits(self, paths: Sequence[bytes]) -> list[Visit | None]:
        """Return what became of the page at each of `paths`, or of its head where that is all."""
        keys = [self.key(path) for path in paths]
        found = self._store.visit_many(keys)
        if not self._site.has_heads:
            return found
        heads = self._store.visit_many([*map(head_of, keys)])
        return [page or head for page, head in zip(found, heads, strict=True)]

    def extend(self, paths: Sequence[bytes], ttl: int) -> None:
        """Give the pages at `paths` `ttl` seconds to live from now."""
        self._store.touch_many(self._items(paths), ttl)

    def remove(self, paths: Sequence[bytes]) -> None:
        """Remove the pages at `paths`; the records stay until somebody `forget`s them."""
        self._store.delete_many(self._items(paths))

    def _items(self, paths: Sequence[bytes]) -> list[bytes]:
        """Return the keys of all that may be in the store of the pages at `paths`."""
        return with_beside([self.key(path) for path in paths])

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
        above, raw = split(directory[:-1])
        name = raw.decode("latin-1")
        log, own = self._catalog.log(above), self._catalog.log(directory)
        for _ in range(ATTEMPTS):
            recorded, content = log.read(), own.read()
            entry = recorded.entries.get(name)
            if entry is None or entry.origin != "rendered" or content.entries:
                return
            self._directories = {d for d in self._directories if not d.startswith(directory)}
            if content.version is not None and not own.remove(content.version):
                continue
            if self._add(above, tombstone(name), recorded):
                if len(recorded.entries) == 1:
                    self._unmake(above)
                return
        raise _no_peace(above)

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
            self._record_directory(path)
            self._directories.add(path)

    def _record_directory(self, path: bytes) -> None:
        """Record the directory at `path` in the one above, unless it is recorded there.

        A sync may record it just now, and what that says of a directory on disk must stay.
        """
        above, raw = split(path[:-1])
        name = raw.decode("latin-1")
        log = self._catalog.log(above)
        for _ in range(ATTEMPTS):
            recorded = log.read()
            old = recorded.entries.get(name)
            if old is not None and not old.is_directory:
                raise StoreRefusedError(f"{path[:-1]!r} is a file")
            if old is not None:
                return
            made = Entry(name, stat.S_IFDIR | 0o755, origin="rendered")
            if self._add(above, made, recorded):
                self._new.add(path)
                return
        raise _no_peace(above)

    def _add(self, directory: bytes, entry: Entry, recorded: Recorded) -> bool:
        """Add `entry` to what was `recorded` of `directory`; False: others wrote there meanwhile.

        Then nothing was added: what they recorded may be of the same name, and the last one counts.
        """
        log = self._catalog.log(directory)
        try:
            if recorded.version is None:
                self._note_absence(directory)
                return log.make([entry])
            answer = log.append([entry], to=recorded.version)
            if answer.done or answer.status == b"EX":
                return answer.done
            compacted = log.compact()
        except StoreRefusedError as error:
            raise _no_room(directory) from error
        if compacted is not None and compacted.after == compacted.before:
            raise _no_room(directory)
        return False

    def _append(self, directory: bytes, entries: Sequence[Entry]) -> None:
        """Append `entries` to the log of `directory`, whatever others write meanwhile."""
        log = self._catalog.log(directory)
        if log.append(entries).done:
            return
        try:
            if log.version() is None:
                self._note_absence(directory)
                if log.make([each for each in entries if each.mode is not None]):
                    return
            log.compact()
        except StoreRefusedError as error:
            raise _no_room(directory) from error
        if not log.append(entries).done:
            raise _no_room(directory)

    def _note_absence(self, directory: bytes) -> None:
        """Note that records are lost, unless the log of `directory` is only to be made."""
        if directory in self._new:
            self._new.remove(directory)
        else:  # once it is made anew nothing else tells
            self._catalog.note_loss(self._catalog.site_item())


def _no_room(directory: bytes) -> StoreRefusedError:
    return StoreRefusedError(f"the records of {directory!r} do not fit into the store")


def _no_peace(directory: bytes) -> StoreRefusedError:
    return StoreRefusedError(f"the records of {directory!r} change all the time")
