"""Write a difference to the store, in an order that never leaves a page without a record.

A record is written before its page, and that before its head; a page is removed, with its head,
before its tombstone is written.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
from msgspec.structs import replace

from memfis.errors import StoreRefusedError
from memfis.layout.keys import head_of, page_key
from memfis.layout.pages import NO_PAGE, Page, make_page
from memfis.layout.records import Entry
from memfis.layout.validators import head_and_flags, is_ambiguous
from memfis.store import Item
from memfis.sync.difference import Difference, Removal, has_file_page, too_large
from memfis.sync.options import Options
from memfis.sync.racy import is_racy
from memfis.sync.report import Kind, Report
from memfis.sync.target import Target
from memfis.webroot import BeingWrittenError, Problem, Skipped

CHUNK = 4 * 1024 * 1024
"""Bytes of identity content that are read before they are written."""


class _Made(msgspec.Struct, frozen=True, gc=False):
    kind: Kind
    name: bytes
    entry: Entry
    page: Page | None
    """None: larger than a page may be, left to the disk."""


class Writer:
    """Applies differences to one target."""

    def __init__(self, target: Target, options: Options) -> None:
        """Write as `options` say."""
        self.damaged = False
        """A directory item could not be written: pages may be in the store that no record names."""
        self._webroot, self._store, self._catalog = target.webroot, target.store, target.catalog
        self._site = target.site.name
        self._max_page = target.site.max_page
        self._has_heads = target.site.has_heads
        self._compression = target.compression
        self._renders = target.site.php is not None
        """Pages of the site are rendered meanwhile, and recorded beside its files."""
        self._lease = options.lease
        self._progress = options.progress

    def withdraw(self, difference: Difference, report: Report) -> None:
        """Remove what may not be served any more, and do nothing else: it waits for nothing."""
        removal, difference.withdrawn = difference.withdrawn, Removal()
        if not removal:
            return
        self._remove(removal, report)
        if difference.rebuild:
            return
        stays = {entry.name: entry for entry in difference.gone.entries} | difference.recorded
        with self._told(difference, report):
            self._append(difference, removal.tombstones, stays)
        self._look_again(difference, report)

    def apply(self, difference: Difference, report: Report) -> None:
        """Make the store equal to the disk in one directory, and count in `report`."""
        self.withdraw(difference, report)
        self._remove(difference.gone, report)
        with self._told(difference, report):
            self._write(difference, report)
        if difference.heads:
            self._publish_heads(difference, report)
        self._look_again(difference, report)
        if difference.renew:
            heads = map(head_of, difference.renew) if self._has_heads else ()
            self._store.touch_many([*difference.renew, *heads], self._lease)
            report.renewed += len(difference.renew)

    def _remove(self, removal: Removal, report: Report) -> None:
        """Take pages out, and records of whole directories; those of single files are left."""
        self._delete(removal.pages + removal.rendered)
        report.removed += len(removal.pages)
        self._catalog.remove(removal.directories)

    @contextmanager
    def _told(self, difference: Difference, report: Report) -> Iterator[None]:
        """Tell in `report` of records that the store has no room for."""
        try:
            yield
        except StoreRefusedError as error:
            self.damaged = True
            report.problems.append(
                Problem(difference.path, f"its records do not fit into the store: {error}")
            )

    def _write(self, difference: Difference, report: Report) -> None:
        recorded = difference.recorded
        for record in difference.records:
            recorded[record.name] = record
        if not difference.rebuild:
            records = difference.gone.tombstones + difference.records
            self._append(difference, records, recorded)
        for chunk in self._chunks(difference, report):
            records = [made.entry for made in chunk]
            recorded |= {record.name: record for record in records}
            self._delete([self._url(difference, made.name) for made in chunk if not made.page])
            log = None
            if not difference.rebuild:
                self._append(difference, records, recorded)
            elif self._renders:
                self._rebuild(difference, chunk)
            else:  # nobody else writes it: so it may go with the pages, in one round trip
                log = self._catalog.item(difference.path, recorded.values())
            difference.made = difference.made or difference.rebuild
            difference.rebuild = False
            self._publish(difference, chunk, log, report)
        if difference.rebuild:  # nothing could be read
            self._catalog.rebuild(difference.path, recorded)
            difference.made = True
        if difference.compact:
            self._catalog.compact(difference.path, difference.compact)

    def _append(
        self, difference: Difference, records: list[Entry], recorded: dict[str, Entry]
    ) -> None:
        if self._catalog.append(difference.path, records, recorded):
            difference.made = True

    def _look_again(self, difference: Difference, report: Report) -> None:
        """Take out again what was written of a directory whose records were made for it just now.

        It may have been closed, or have gone, since it was found; whoever saw that has compared the
        directory above, found no records of this one, and will not come for it again.
        """
        path = difference.path
        if not difference.made or path == b"/" or self._webroot.directory(path) is not None:
            return
        entries = difference.recorded.values()
        pages = [self._webroot.url(path, entry.raw) for entry in entries if has_file_page(entry)]
        self._delete(pages + [path + entry.in_url for entry in entries if entry.is_rendered])
        self._catalog.remove([path])
        report.removed += len(pages)

    def _rebuild(self, difference: Difference, chunk: list[_Made]) -> None:
        """Write the directory's records anew; without them no page of `chunk` may be there."""
        try:
            self._catalog.rebuild(difference.path, difference.recorded)
        except StoreRefusedError:
            self._delete([self._url(difference, made.name) for made in chunk])
            raise

    def _publish(
        self, difference: Difference, chunk: list[_Made], log: Item | None, report: Report
    ) -> None:
        """Write the pages of `chunk`, after the directory's `log` where there is none yet."""
        published = [(made, made.page) for made in chunk if made.page]
        keys = self._webroot.keys(difference.path, [made.name for made, _ in published])
        items: list[Item] = []
        for key, (made, page) in zip(keys, published, strict=True):
            if self._has_heads:
                head = _head(key, made.entry)
                items += (Item(key, page.value, head.flags), head)
            else:
                items.append(Item(key, page.value, page.flags))
        refused = dict(self._store.set_many(items, self._lease, after=log))
        if log and log.key in refused:
            self._delete([self._url(difference, made.name) for made in chunk])
            raise StoreRefusedError(refused[log.key])
        if refused:
            for key, (made, _) in zip(keys, published, strict=True):
                path = difference.path + made.name
                self._tell_refused(refused, (key, head_of(key)), path, report)
            held = zip(keys, published, strict=True)
            published = [each for key, each in held if key not in refused]
        for kind, number in Counter(made.kind for made, _ in published).items():
            report.count(kind, number)
        report.bytes += sum(made.entry.size for made, _ in published)
        report.bytes_written += sum(len(page.value) for _, page in published)
        self._progress(len(chunk))

    def _publish_heads(self, difference: Difference, report: Report) -> None:
        """Write heads whose pages are there."""
        names = [entry.raw for entry in difference.heads]
        keys = self._webroot.keys(difference.path, names)
        heads = [_head(key, entry) for key, entry in zip(keys, difference.heads, strict=True)]
        refused = dict(self._store.set_many(heads, self._lease))
        for head, name in zip(heads, names, strict=True):
            self._tell_refused(refused, (head.key,), difference.path + name, report)

    @staticmethod
    def _tell_refused(
        refused: Mapping[bytes, str], keys: Iterable[bytes], path: bytes, report: Report
    ) -> None:
        """Tell in `report` if one of the `keys` of the file at `path` was refused, and why."""
        for key in keys:
            if key in refused:
                report.problems.append(Problem(path, f"refused by the store: {refused[key]}"))
                return

    def _chunks(self, difference: Difference, report: Report) -> Iterator[list[_Made]]:
        """Read what is to be stored; an entry gets its page's flags and its status when read."""
        if not difference.read:
            return
        try:
            files = self._webroot.files(difference.path)
        except OSError as error:
            self._delete([self._url(difference, found.raw) for _, found in difference.read])
            if isinstance(error, FileNotFoundError):
                difference.rebuild = False  # the records of the directory above see to it
            else:
                report.problems.append(Problem(difference.path, error.strerror or str(error)))
            return
        chunk: list[_Made] = []
        held = 0
        with files:
            for kind, found in difference.read:
                name = found.raw
                if not chunk:
                    before = time.time_ns()
                try:
                    content, status = files.read(found)
                except OSError as error:
                    # rather no page than one that may be stale; the next pass sees to the record
                    self._delete([self._url(difference, name)])
                    path = difference.path + name
                    if isinstance(error, BeingWrittenError):
                        report.skip([Skipped(path, "open for writing")])
                    elif not isinstance(error, FileNotFoundError):
                        report.problems.append(Problem(path, error.strerror or str(error)))
                    continue
                page: Page | None = make_page(name, content, self._compression)
                if page and len(page.value) > self._max_page:
                    report.skip([too_large(difference.path + name, self._max_page)])
                    page = None
                entry = Entry(
                    found.name,
                    status.st_mode,
                    len(content),
                    status.st_mtime_ns,
                    status.st_uid,
                    status.st_gid,
                    flags=page.flags if page else NO_PAGE,
                    racy=is_racy(status, before),
                    ctime_ns=status.st_ctime_ns,
                    inode=found.inode and status.st_ino,
                )
                if is_ambiguous(entry, difference.recorded.get(found.name)):
                    entry = replace(entry, ambiguous=True)
                chunk.append(_Made(kind, name, entry, page))
                held += len(content)
                if held >= CHUNK:
                    yield chunk
                    chunk, held = [], 0
        if chunk:
            yield chunk

    def _url(self, difference: Difference, name: bytes) -> bytes:
        return self._webroot.url(difference.path, name)

    def _delete(self, paths: list[bytes]) -> None:
        if paths:
            keys = [page_key(self._site, path) for path in paths]
            self._store.delete_many([*keys, *map(head_of, keys)] if self._has_heads else keys)


def _head(page: bytes, entry: Entry) -> Item:
    """Return the head of the page of `entry` whose key is `page`."""
    return Item(head_of(page), *head_and_flags(entry))
