"""Find out what differs between a web root and the store, a directory at a time."""

import time
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from memfis.layout.keys import head_of
from memfis.layout.pages import FINGERPRINT, GZIP, NO_PAGE, fingerprint, may_fit
from memfis.layout.records import Entry, Log
from memfis.layout.validators import head_of_file, is_ambiguous, served_flags
from memfis.store import Expected, ItemState
from memfis.sync.difference import Difference, Removal, Task, has_file_page, too_large
from memfis.sync.options import Options
from memfis.sync.racy import is_racy
from memfis.sync.target import Target
from memfis.webroot import Files, Listing, Skipped

_Unchanged = list[tuple[Entry, Entry]]
"""Files that are to be confirmed in the store: as they were found, and as they are recorded."""


class Comparison:
    """Compares a web root with the store that is its target."""

    def __init__(self, target: Target, options: Options, *, reconsider: bool) -> None:
        """Compare as `options` say.

        `reconsider`: a setting changed that decides which files are left to the disk.
        """
        self._webroot, self._store, self._catalog = target.webroot, target.store, target.catalog
        self._max_page = target.site.max_page
        self._has_heads = target.site.has_heads
        self._compression = target.compression
        self._checksum = options.checksum or target.site.content_check == "always"
        self._lease = options.lease
        self._writing = options.writing
        self._reconsider = reconsider

    def differences(self, tasks: Sequence[Task]) -> list[Difference]:
        """Return the difference of each directory that is still there."""
        logs = self._catalog.logs([task.directory.path for task in tasks])
        differences = []
        unconfirmed: list[tuple[Difference, _Unchanged]] = []
        for task, log in zip(tasks, logs, strict=True):
            listing = self._webroot.listing(task.directory, log.entries if log else {})
            if listing.is_gone:
                continue  # the records of the directory above see to it
            unchanged: _Unchanged = []
            difference = self._compare(task, listing, log, unchanged)
            differences.append(difference)
            unconfirmed.append((difference, unchanged))
        self._confirm(unconfirmed)
        return differences

    def _compare(
        self,
        task: Task,
        listing: Listing,
        log: Log | None,
        unconfirmed: _Unchanged,
    ) -> Difference:
        """Compare `listing` with what is recorded; add the entries to confirm to `unconfirmed`."""
        if listing.is_broken:
            return self._left(listing, log)
        difference = Difference(
            listing.path,
            dict(log.entries) if log else {},
            rebuild=log is None,
            lost=log is None and self._should_be_recorded(task),
            compact=log,
            problems=listing.problems,
            skipped=listing.skipped,
            links=listing.links,
        )
        recorded = difference.recorded
        for below in listing.below:
            old = recorded.get(below.path[len(listing.path) : -1].decode("latin-1"))
            has_record = old is not None and old.is_directory
            if task.deep or not has_record:
                difference.below.append(Task(below, has_record, deep=True))
        entries = listing.entries
        doubtful: _Unchanged = []
        for name in recorded.keys() - entries.keys() - listing.unknown:
            if recorded[name].origin == "file":
                removal = difference.gone if listing.lacks(name) else difference.withdrawn
                self._remove(difference, recorded[name], removal)
        for name, new in entries.items():
            old = recorded.get(name)
            if old is not None and old.mode != new.mode and old.is_directory != new.is_directory:
                self._remove(difference, old, difference.withdrawn)
                old = None
            if new.is_directory:
                if old is None or not new.same_attributes(old):
                    difference.records.append(new)
            elif self._writing and self._being_written(difference, new, old):
                continue
            elif self._stays_on_disk(new, old):
                reason = too_large(difference.path + new.raw, self._max_page)
                self._leave_to_disk(difference, new, old, reason)
            elif old is None or old.flags & NO_PAGE:
                difference.read.append(("added", new))
            elif new.same_content(old) and not self._checksum and name not in task.named:
                unconfirmed.append((new, old))
            elif new.size == old.size:
                doubtful.append((new, old))
            else:
                difference.read.append(("changed", new))
        if doubtful:
            self._compare_content(difference, doubtful, unconfirmed)
        return difference

    def _should_be_recorded(self, task: Task) -> bool:
        """Whether the store should have the records of the directory."""
        if task.has_record is not None:
            return task.has_record
        above, _, name = task.directory.path[:-1].rpartition(b"/")
        if not above and not name:
            return True
        [log] = self._catalog.logs([above + b"/"])
        return log is not None and name.decode("latin-1") in log.entries

    def _left(self, listing: Listing, log: Log | None) -> Difference:
        """Return the difference of a directory that cannot be compared: nothing is changed."""
        recorded = dict(log.entries) if log else {}
        difference = Difference(listing.path, recorded, rebuild=False, problems=listing.problems)
        pages = [entry for entry in recorded.values() if has_file_page(entry)]
        difference.unchanged = len(pages)
        difference.bytes = sum(entry.size for entry in pages)
        return difference

    def _remove(self, difference: Difference, old: Entry, removal: Removal) -> None:
        """Plan that the file or directory `old` goes, with all that is recorded below it."""
        del difference.recorded[old.name]
        removal.entries.append(old)
        if not old.is_directory:
            if not old.flags & NO_PAGE:
                removal.pages.append(self._webroot.url(difference.path, old.raw))
            return
        for path, log in self._catalog.tree(difference.path + old.raw + b"/"):
            removal.directories.append(path)
            if log is None:
                difference.lost = True
                continue
            entries = log.entries.values()
            removal.pages += [
                self._webroot.url(path, entry.raw) for entry in entries if has_file_page(entry)
            ]
            removal.rendered += [path + entry.in_url for entry in entries if entry.is_rendered]

    def _being_written(self, difference: Difference, new: Entry, old: Entry | None) -> bool:
        """Whether somebody writes the file, and what that means for its page."""
        path = difference.path + new.raw
        long = self._writing.get(path)
        if long is None:
            return False
        if long:
            reason = Skipped(path, "open for writing")
            self._leave_to_disk(difference, replace(new, racy=True), old, reason)
        elif old is not None and not old.flags & NO_PAGE:
            difference.unchanged += 1
            difference.bytes += old.size
        return True

    def _stays_on_disk(self, new: Entry, old: Entry | None) -> bool:
        """Whether the file makes too large a page, by its size or as was found when it was read."""
        if new.size > self._max_page and not may_fit(
            new.raw, new.size, self._max_page, self._compression
        ):
            return True
        if old is None or not old.flags & NO_PAGE:
            return False
        return new.same_content(old) and not self._reconsider and not self._checksum

    def _leave_to_disk(
        self, difference: Difference, new: Entry, old: Entry | None, reason: Skipped
    ) -> None:
        difference.skipped.append(reason)
        if old is not None and not old.flags & NO_PAGE:
            difference.withdrawn.pages.append(self._webroot.url(difference.path, new.raw))
        if old is None or not old.flags & NO_PAGE or not new.same_attributes(old):
            difference.records.append(_recorded(new, old, NO_PAGE))

    def _compare_content(
        self, difference: Difference, doubtful: _Unchanged, unconfirmed: _Unchanged
    ) -> None:
        """Read files of which size, times and number say too little, to see which are unchanged."""
        try:
            files = self._webroot.files(difference.path)
        except OSError:  # opening it once more, to store what it has, reports what is wrong
            difference.read += (("changed", new) for new, _ in doubtful)
            return
        with files:
            for new, old in doubtful:
                same = _read_same(files, new, old)
                if same is None:
                    difference.read.append(("changed", new))
                else:
                    unconfirmed.append((same, old))

    def _confirm(self, unconfirmed: list[tuple[Difference, _Unchanged]]) -> None:
        """Ask the store for the pages of unchanged files; presence is never assumed."""
        keys: list[bytes] = []
        entries: list[Entry] = []
        for difference, unchanged in unconfirmed:
            keys += self._webroot.keys(difference.path, [new.raw for new, _ in unchanged])
            entries += [_unchanged(new, old) for new, old in unchanged]
        flags = [served_flags(entry) for entry in entries] if self._has_heads else None
        expected: list[Expected] = [
            (None if entry.flags & GZIP else entry.size, served)
            for entry, served in zip(entries, flags or [e.flags for e in entries], strict=True)
        ]
        pages = self._confirmed(keys, expected)
        heads = [True] * len(keys)
        if flags is not None:
            values = map(head_of_file, entries)
            heads = self._store.confirm_values(
                [*map(head_of, keys)], [*zip(values, flags, strict=True)]
            )
        answers = zip(keys, entries, pages, heads, strict=True)
        for difference, unchanged in unconfirmed:
            for (new, old), (key, entry, confirmed, has_head) in zip(
                unchanged, answers, strict=False
            ):
                if confirmed is None:
                    difference.read.append(("restored", new))
                    continue
                difference.unchanged += 1
                difference.bytes += new.size
                if entry is not old:
                    difference.records.append(entry)
                if not has_head:
                    difference.heads.append(entry)
                if not confirmed:
                    difference.renew.append(key)

    def _confirmed(self, keys: list[bytes], expected: list[Expected]) -> Iterable[bool | None]:
        """Return for each key whether its lease goes on for long; None: it is not as expected."""
        if not self._lease:
            return [confirmed or None for confirmed in self._store.confirm_many(keys, expected)]
        return [
            None
            if state is None or state.flags != flags or (size is not None and state.size != size)
            else not self._lease_ends(state)
            for state, (size, flags) in zip(self._store.states(keys), expected, strict=True)
        ]

    def _lease_ends(self, state: ItemState) -> bool:
        # a second more: the store's clock ticks once a second
        return not self._lease // 3 <= state.ttl <= self._lease + 1


def _recorded(new: Entry, old: Entry | None, flags: int) -> Entry:
    """Return the file `new` as it is to be recorded, after `old`, with the flags of its page."""
    entry = replace(new, flags=flags)
    return replace(entry, ambiguous=True) if is_ambiguous(entry, old) else entry


def _unchanged(new: Entry, old: Entry) -> Entry:
    """Return how the file `new` is to be recorded, whose page is still that of `old`."""
    if new is old or (new.same_attributes(old) and new.racy == old.racy):
        return old
    return _recorded(new, old, old.flags)


def _read_same(files: Files, new: Entry, old: Entry) -> Entry | None:
    """Return the file `new` as it was when read, if it has the content that `old` records."""
    before = time.time_ns()
    try:
        content, status = files.read(new)
    except OSError:
        return None  # reading it once more, to store it, reports what is wrong
    if fingerprint(content) != old.flags & FINGERPRINT:
        return None
    return replace(
        new,
        mode=status.st_mode,
        mtime_ns=status.st_mtime_ns,
        uid=status.st_uid,
        gid=status.st_gid,
        ctime_ns=status.st_ctime_ns,
        inode=new.inode and status.st_ino,
        racy=is_racy(status, before),
    )
