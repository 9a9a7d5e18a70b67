"""Directories that move: every item below them changes its key.

Linear in what is below, and not atomic: the records and pages are copied first, from the top down,
then the old ones are removed. A record of the new name says where it comes from until all is done,
so that an interrupted move is taken up again.
"""

import errno
import logging
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from memfis.catalog.directory_log import DirectoryLog, Version
from memfis.errors import StoreRefusedError
from memfis.filesystem.items import Items, failure
from memfis.filesystem.rules import Rules
from memfis.layout.pages import NO_PAGE
from memfis.layout.records import Entry
from memfis.store import Item
from memfis.store import exchange as to

log = logging.getLogger(__name__)

BATCH = 100
"""Files that are copied at once."""

BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of files, as their records have them, that are copied at once."""


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
        copied: dict[bytes, Version | None] = {}
        self._copy(old, new, copied, public=public)
        self._remove(old, new, copied, public=public)

    def _copy(
        self, old: bytes, new: bytes, copied: dict[bytes, Version | None], *, public: bool
    ) -> None:
        """Copy all below `old` to `new`; `copied` tells from which state of the logs."""
        recorded = self._log(old).read()
        copied[old] = recorded.version
        entries = list(recorded.entries.values())
        moved = [self._at(new, each, public=public) for each in entries]
        try:
            made = self._log(new).make(moved)
        except StoreRefusedError as error:
            raise failure(errno.ENOSPC, str(error)) from error
        if not made and moved:  # begun before, and perhaps added to since
            self._record(new, moved)
        files = [each for each in entries if not each.is_directory and each.target is None]
        for batch in batches(files):
            self._items.set_many(self._copies(old, new, batch, public=public))
        for entry in entries:
            if entry.is_directory:
                below = entry.raw + b"/"
                here = public and self._rules.enters(new, entry)
                self._copy(old + below, new + below, copied, public=here)

    def _remove(
        self, old: bytes, new: bytes, copied: dict[bytes, Version | None], *, public: bool
    ) -> None:
        log = self._log(old)
        while True:
            recorded = log.read()
            if recorded.version != copied.get(old):  # another host has written into it meanwhile
                self._copy(old, new, copied, public=public)
                continue
            entries = list(recorded.entries.values())
            names = [each.raw for each in entries if not each.is_directory]
            self._items.delete_many(
                [self._rules.page_key(old, name) for name in names]
                + [self._rules.private_key(old, name) for name in names]
            )
            for entry in entries:
                if entry.is_directory:
                    below = entry.raw + b"/"
                    here = public and self._rules.enters(new, entry)
                    self._remove(old + below, new + below, copied, public=here)
            if recorded.version is None or log.remove(recorded.version):
                return

    def _at(self, new: bytes, entry: Entry, *, public: bool) -> Entry:
        """Return the record of `entry` when it is in `new`."""
        if entry.is_directory:
            return entry
        if entry.target is None and public and self._rules.serves(new, entry):
            return replace(entry, flags=entry.flags & ~NO_PAGE)
        return replace(entry, flags=entry.flags | NO_PAGE)

    def _copies(
        self,
        old: bytes,
        new: bytes,
        entries: Sequence[Entry],
        *,
        public: bool,
    ) -> list[Item]:
        """Return the items of the files `entries` of `old` as they are kept in `new`."""
        keys = [self._rules.key(old, each.raw, each.flags) for each in entries]
        items = []
        for entry, found in zip(entries, self._items.exchange(*map(to.fetch, keys)), strict=True):
            if not found.done:
                continue  # lost, or moved already
            flags = self._at(new, entry, public=public).flags
            items.append(Item(self._rules.key(new, entry.raw, flags), found.value, found.flags))
        return items

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


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield `entries` in portions that are copied at once."""
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
