"""What differs between a web root and the store, a directory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from msgspec.structs import replace

from memfis.catalog import Catalog
from memfis.compression import Compression
from memfis.entries import Entry, Log, tombstone
from memfis.keys import page_key
from memfis.pages import FINGERPRINT, NO_PAGE, fingerprint, may_fit
from memfis.store import ItemState, Store
from memfis.sync.report import Kind
from memfis.webroot import Listing, Problem, Skipped, WebRoot

BATCH = 64
"""Directories whose records are asked for at once."""


@dataclass
class Difference:
    """What one directory needs to be equal to the disk. Paths are URL paths."""

    path: bytes
    known: dict[str, Entry]
    """What is recorded and stays, by name; apply keeps it up to date."""
    rebuild: bool
    """The directory item is absent or damaged: it is written anew."""
    lost: bool = False
    """It was there: pages may be in the store that no record names."""
    compact: Log | None = None
    read: list[tuple[Kind, Entry]] = field(default_factory=list)
    """Files whose content is to be read and stored, as the scan found them."""
    records: list[Entry] = field(default_factory=list)
    """Entries of which only the record changes."""
    gone: list[bytes] = field(default_factory=list)
    """Pages that the web root does not publish any more, those of whole directories included."""
    gone_directories: list[bytes] = field(default_factory=list)
    tombstones: list[Entry] = field(default_factory=list)
    renew: list[bytes] = field(default_factory=list)
    """Keys of pages whose lease is in its last third."""
    unchanged: int = 0
    bytes: int = 0
    """Identity content of the unchanged pages."""
    problems: list[Problem] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def recorded(self) -> int:
        """Pages that the store should have had here before."""
        stays = sum(1 for e in self.known.values() if not e.is_directory and not e.flags & NO_PAGE)
        return stays + len(self.gone)

    def keep(self) -> None:
        """Leave what the web root does not have any more (`--no-delete`)."""
        self.gone, self.gone_directories, self.tombstones = [], [], []


@dataclass
class Comparison:
    """How a web root and a store are compared."""

    webroot: WebRoot
    store: Store
    catalog: Catalog
    site: str
    max_page: int
    compression: Compression
    checksum: bool
    """Compare content, not only size and modification time."""
    lease: int
    """Seconds that pages live; 0: for ever."""
    reconsider: bool
    """A setting changed that decides which files are left to the disk."""
    expected: set[bytes]
    """Directories that the store should know; those that records name are added on the way."""

    def differences(self) -> Iterator[Difference]:
        """Yield the difference of every directory of the web root, parents before children."""
        walk = self.webroot.walk()
        while listings := list(islice(walk, BATCH)):
            logs = self.catalog.logs([listing.path for listing in listings])
            differences = []
            unconfirmed: list[tuple[Difference, Entry]] = []
            for listing, log in zip(listings, logs, strict=True):
                difference, quiet = self._compare(listing, log)
                differences.append(difference)
                unconfirmed += [(difference, entry) for entry in quiet]
            self._confirm(unconfirmed)
            yield from differences

    def _compare(self, listing: Listing, log: Log | None) -> tuple[Difference, list[Entry]]:
        """Compare `listing` with what is recorded; return also the entries to confirm."""
        difference = Difference(
            listing.path,
            dict(log.entries) if log else {},
            rebuild=log is None,
            lost=log is None and listing.path in self.expected,
            compact=log,
            problems=listing.problems,
            skipped=listing.skipped,
        )
        for old in list(difference.known.values()):
            if old.is_directory:
                self.expected.add(listing.path + old.raw + b"/")
            new = listing.entries.get(old.name)
            gone = new is None and old.origin == "file"
            if gone or (new is not None and new.is_directory != old.is_directory):
                self._remove(difference, old)
        unconfirmed = []
        for new in listing.entries.values():
            old_entry = difference.known.get(new.name)
            if new.is_directory:
                if old_entry is None or not new.same_attributes(old_entry):
                    difference.records.append(new)
            elif self._stays_on_disk(new, old_entry):
                self._leave_to_disk(difference, new, old_entry)
            elif old_entry is None or old_entry.flags & NO_PAGE:
                difference.read.append(("added", new))
            elif self._same_content(difference, new, old_entry):
                unconfirmed.append(new)
            else:
                difference.read.append(("changed", new))
        return difference, unconfirmed

    def _remove(self, difference: Difference, old: Entry) -> None:
        """Plan that the file or directory `old` goes, with all that is recorded below it."""
        del difference.known[old.name]
        difference.tombstones.append(tombstone(old.name))
        if not old.is_directory:
            if not old.flags & NO_PAGE:
                difference.gone.append(self.webroot.url(difference.path, old.raw))
            return
        for path, log in self.catalog.tree(difference.path + old.raw + b"/"):
            difference.gone_directories.append(path)
            if log is None:
                difference.lost = True
                continue
            difference.gone += [
                self.webroot.url(path, entry.raw)
                for entry in log.entries.values()
                if not entry.is_directory and not entry.flags & NO_PAGE
            ]

    def _stays_on_disk(self, new: Entry, old: Entry | None) -> bool:
        """Whether the file is known to make too large a page."""
        if not may_fit(new.raw, new.size, self.max_page, self.compression):
            return True
        known = old is not None and bool(old.flags & NO_PAGE) and new.same_content(old)
        return known and not self.reconsider and not self.checksum

    def _leave_to_disk(self, difference: Difference, new: Entry, old: Entry | None) -> None:
        difference.skipped.append(too_large(difference.path + new.raw, self.max_page))
        if old is not None and not old.flags & NO_PAGE:
            difference.gone.append(self.webroot.url(difference.path, new.raw))
        if old is None or not old.flags & NO_PAGE or not new.same_attributes(old):
            difference.records.append(replace(new, flags=NO_PAGE))

    def _same_content(self, difference: Difference, new: Entry, old: Entry) -> bool:
        if not self.checksum:
            return new.same_content(old)
        try:
            content, _ = self.webroot.read(difference.path + new.raw)
        except OSError:
            return False  # reading it once more, to store it, reports what is wrong
        return fingerprint(content) == old.flags & FINGERPRINT

    def _confirm(self, unconfirmed: list[tuple[Difference, Entry]]) -> None:
        """Ask the store for the pages of unchanged files; presence is never assumed."""
        keys = [
            page_key(self.site, self.webroot.url(difference.path, entry.raw))
            for difference, entry in unconfirmed
        ]
        states = self.store.look_many(keys)
        for (difference, new), key, state in zip(unconfirmed, keys, states, strict=True):
            old = difference.known[new.name]
            if state is None or state.flags != old.flags:
                difference.read.append(("restored", new))
                continue
            difference.unchanged += 1
            difference.bytes += new.size
            if not new.same_attributes(old):
                difference.records.append(replace(new, flags=old.flags))
            if self._lease_ends(state):
                difference.renew.append(key)

    def _lease_ends(self, state: ItemState) -> bool:
        # a second more: the store's clock ticks once a second
        return bool(self.lease) and not self.lease // 3 <= state.ttl <= self.lease + 1


def too_large(path: bytes, limit: int) -> Skipped:
    """Return why the file at `path` is left to the disk."""
    return Skipped(path, f"larger than {limit} bytes as stored")
