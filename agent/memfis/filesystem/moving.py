"""Directories that move, or become public or private: every item below them changes its key.

Linear in what is below, and not atomic: the records and pages are copied first, from the top down,
then the old ones are removed. A record of the new name says where it comes from until all is done,
so that an interrupted move is taken up again.
"""

import errno
import logging
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from memfis.catalog.directory_log import DirectoryLog
from memfis.errors import StoreRefusedError
from memfis.filesystem.items import Items, failure
from memfis.filesystem.rules import Rules
from memfis.layout.pages import NO_PAGE
from memfis.layout.records import Entry
from memfis.store import Answer, Item
from memfis.store import exchange as to

log = logging.getLogger(__name__)

BATCH = 100
"""Files that are copied at once."""

BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of files, as their records have them, that are copied at once."""

EXPOSING = "memfis.exposing"
"""Extended attribute of a directory whose new mode has not yet moved all pages below it."""


def is_marked(entry: Entry) -> bool:
    """Whether the pages below the directory `entry` may not be where its mode wants them."""
    return EXPOSING in (entry.extended or {})


def marked(entry: Entry, *, on: bool) -> Entry:
    """Return `entry` with that mark, or without it."""
    extended = dict(entry.extended or {})
    extended.pop(EXPOSING, None)
    if on:
        extended[EXPOSING] = ""
    return replace(entry, extended=extended or None)


class Mover:
    """Moves the items below a directory. Paths of directories end with `/`."""

    def __init__(self, items: Items, rules: Rules) -> None:
        """Move `items` to where `rules` keep them."""
        self._items = items
        self._rules = rules

    def check(self, old: bytes, new: bytes) -> None:
        """Raise ENAMETOOLONG if a name below `old` would have no room below `new`."""
        for path, entries in self._walk(old):
            for entry in entries:
                self._rules.check_name(new + path[len(old) :], entry.raw)

    def move(self, old: bytes, new: bytes, *, public: bool) -> None:
        """Move all that is below `old` to `new`; `public`: what is there may be served."""
        self._copy(old, new, public=public)
        self._remove(old, new, public=public)

    def expose(self, path: bytes, *, public: bool, again: bool = False) -> None:
        """Move the pages below `path` to where they belong now that it is `public`, or not.

        `again`: that was begun and may have been interrupted.
        """
        for entry, data in self._expose_one(path, public=public, again=again):
            self.expose(data, public=public and self._enters(path, entry), again=again)

    def _expose_one(self, path: bytes, *, public: bool, again: bool) -> list[tuple[Entry, bytes]]:
        entries = self._entries(path)
        changed = self._waiting(path, entries) if again and public else []
        for entry in entries:
            if entry.is_directory:
                continue
            wanted = public and entry.target is None and self._served(path, entry)
            if wanted == bool(entry.flags & NO_PAGE):
                changed.append(entry)
        for batch in _batches(changed):
            after = [replace(each, flags=each.flags ^ NO_PAGE) for each in batch]
            pages = [each for each in after if not each.flags & NO_PAGE]
            gone = [self._rules.page_key(path, each.raw) for each in after if each.flags & NO_PAGE]
            if pages:
                self._record(path, pages)
            kept = [each for each in batch if each.target is None]
            self._items.set_many(self._copies(path, path, kept, flip=True))
            self._items.delete_many(gone)
            rest = [each for each in after if each.flags & NO_PAGE]
            if rest:
                self._record(path, rest)
            self._items.delete_many([self._rules.private_key(path, each.raw) for each in pages])
        return [(each, path + each.raw + b"/") for each in entries if each.is_directory]

    def _waiting(self, path: bytes, entries: Sequence[Entry]) -> list[Entry]:
        """Return those of `entries` that name pages which are not there yet, as they were before.

        A record is written before its page.
        """
        named = [each for each in entries if not (each.is_directory or each.flags & NO_PAGE)]
        found: list[Answer] = []
        for batch in _batches(named):
            keys = [self._rules.page_key(path, each.raw) for each in batch]
            found += self._items.exchange(*map(to.state, keys))
        return [
            replace(entry, flags=entry.flags | NO_PAGE)
            for entry, answer in zip(named, found, strict=True)
            if not answer.done and entry.target is None
        ]

    def _copy(self, old: bytes, new: bytes, *, public: bool) -> None:
        entries = self._entries(old)
        moved = [self._at(new, each, public=public) for each in entries]
        try:
            made = self._log(new).make(moved)
        except StoreRefusedError as error:
            raise failure(errno.ENOSPC, str(error)) from error
        if not made and moved:  # begun before, and perhaps added to since
            self._record(new, moved)
        files = [each for each in entries if not each.is_directory and each.target is None]
        for batch in _batches(files):
            self._items.set_many(self._copies(old, new, batch, public=public))
        for entry in entries:
            if entry.is_directory:
                below = entry.raw + b"/"
                self._copy(old + below, new + below, public=public and self._enters(new, entry))

    def _remove(self, old: bytes, new: bytes, *, public: bool) -> None:
        log = self._log(old)
        while True:
            recorded = log.read()
            entries = list(recorded.entries.values())
            names = [each.raw for each in entries if not each.is_directory]
            self._items.delete_many(
                [self._rules.page_key(old, name) for name in names]
                + [self._rules.private_key(old, name) for name in names]
            )
            for entry in entries:
                if entry.is_directory:
                    below = entry.raw + b"/"
                    here = public and self._enters(new, entry)
                    self._remove(old + below, new + below, public=here)
            if recorded.version is None or log.remove(recorded.version):
                return
            # Somebody has put another name into it meanwhile: it moves too.
            self._copy(old, new, public=public)

    def _at(self, new: bytes, entry: Entry, *, public: bool) -> Entry:
        """Return the record of `entry` when it is in `new`."""
        if entry.is_directory:
            return entry
        if entry.target is None and public and self._served(new, entry):
            return replace(entry, flags=entry.flags & ~NO_PAGE)
        return replace(entry, flags=entry.flags | NO_PAGE)

    def _copies(
        self,
        old: bytes,
        new: bytes,
        entries: Sequence[Entry],
        *,
        public: bool = False,
        flip: bool = False,
    ) -> list[Item]:
        """Return the items of the files `entries` of `old` as they are kept in `new`."""
        keys = [self._rules.key(old, each.raw, each.flags) for each in entries]
        items = []
        for entry, found in zip(entries, self._items.exchange(*map(to.fetch, keys)), strict=True):
            if not found.done:
                continue  # lost, or moved already
            flags = entry.flags ^ NO_PAGE if flip else self._at(new, entry, public=public).flags
            items.append(Item(self._rules.key(new, entry.raw, flags), found.value, found.flags))
        return items

    def _served(self, directory: bytes, entry: Entry) -> bool:
        fit = self._rules.fit(directory, entry.raw, is_directory=False)
        return fit and self._rules.open_to_visitors(entry)

    def _enters(self, directory: bytes, entry: Entry) -> bool:
        fit = self._rules.fit(directory, entry.raw, is_directory=True)
        return fit and self._rules.open_to_visitors(entry)

    def _record(self, path: bytes, entries: Sequence[Entry]) -> None:
        answer = self._log(path).append(entries)
        if not answer.done:
            raise failure(errno.ENOSPC, answer.refusal or "the directory's item has no room")

    def _entries(self, path: bytes) -> list[Entry]:
        return list(self._log(path).read().entries.values())

    def _log(self, path: bytes) -> DirectoryLog:
        return DirectoryLog(self._items, self._rules.directory_key(path))

    def _walk(self, path: bytes) -> Iterator[tuple[bytes, list[Entry]]]:
        pending = [path]
        while pending:
            here = pending.pop()
            entries = self._entries(here)
            yield here, entries
            pending += [here + each.raw + b"/" for each in entries if each.is_directory]


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    held = 0
    for entry in entries:
        batch.append(entry)
        held += entry.size
        if len(batch) == BATCH or held > BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
