"""Write a difference to the store, in an order that never leaves a page without a record.

A record is written before its page; a page is removed before its tombstone is written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from memfis.catalog import Catalog
from memfis.entries import Entry
from memfis.errors import StoreRefusedError
from memfis.keys import page_key
from memfis.pages import NO_PAGE, Page, make_page
from memfis.store import Item, Store
from memfis.sync.difference import Difference, too_large
from memfis.sync.report import Report
from memfis.webroot import Problem, WebRoot

CHUNK = 4 * 1024 * 1024
"""Bytes of identity content that are read before they are written."""


@dataclass
class Writer:
    """Applies differences to one site."""

    webroot: WebRoot
    store: Store
    catalog: Catalog
    site: str
    max_page: int
    ttl: int
    """Seconds that pages live; 0: for ever."""
    progress: Callable[[int], None]
    """Called with the number of files that were just dealt with."""
    damaged: bool = False
    """A directory item could not be written: pages may be in the store that no record names."""

    def apply(self, difference: Difference, report: Report) -> None:
        """Make the store equal to the disk in one directory, and count in `report`."""
        self._delete(difference.gone)
        report.removed += len(difference.gone)
        self.catalog.remove(difference.gone_directories)
        try:
            self._write(difference, report)
        except StoreRefusedError as error:
            self.damaged = True
            report.problems.append(
                Problem(difference.path, f"its records do not fit into the store: {error}")
            )
        if difference.renew:
            self.store.touch_many(difference.renew, self.ttl)
            report.renewed += len(difference.renew)
        self.progress(difference.unchanged)

    def _write(self, difference: Difference, report: Report) -> None:
        known = difference.known
        first = [*difference.tombstones, *difference.records]
        known |= {entry.name: entry for entry in difference.records}
        if difference.rebuild:
            self.catalog.write(difference.path, known.values())
        else:
            self.catalog.append(difference.path, first, known)
        for chunk in self._chunks(difference, report):
            known |= {entry.name: entry for entry, _ in chunk}
            left = [entry for entry, _ in chunk if entry.flags & NO_PAGE]
            self._delete([self.webroot.url(difference.path, entry.raw) for entry in left])
            self.catalog.append(difference.path, [entry for entry, _ in chunk], known)
            self._publish(difference, [each for each in chunk if each[0] not in left], report)
        if difference.compact:
            self.catalog.compact(difference.path, difference.compact)

    def _publish(
        self, difference: Difference, chunk: list[tuple[Entry, Page]], report: Report
    ) -> None:
        items = {
            page_key(self.site, self.webroot.url(difference.path, entry.raw)): (entry, page)
            for entry, page in chunk
        }
        refused = dict(
            self.store.set_many([Item(key, *page) for key, (_, page) in items.items()], self.ttl)
        )
        names = {kind: {entry.name for entry in getattr(difference, kind)} for kind in KINDS}
        for key, (entry, page) in items.items():
            if key in refused:
                path = difference.path + entry.raw
                report.problems.append(Problem(path, f"refused by the store: {refused[key]}"))
                continue
            report.bytes += entry.size
            report.bytes_written += len(page.value)
            for kind in KINDS:
                if entry.name in names[kind]:
                    setattr(report, kind, getattr(report, kind) + 1)
        self.progress(len(items))

    def _chunks(self, difference: Difference, report: Report) -> Iterator[list[tuple[Entry, Page]]]:
        """Read what is to be stored; an entry gets its page's flags and its status when read."""
        chunk: list[tuple[Entry, Page]] = []
        held = 0
        for found in difference.read:
            path = difference.path + found.raw
            try:
                content, status = self.webroot.read(path)
            except FileNotFoundError:
                continue  # it went while we looked; the next pass takes it out
            except OSError as error:
                report.problems.append(Problem(path, error.strerror or str(error)))
                continue
            page = make_page(found.raw, content)
            flags = page.flags
            if len(page.value) > self.max_page:
                report.skip([too_large(path, self.max_page)])
                flags = NO_PAGE
            entry = replace(
                found,
                size=len(content),
                mtime_ns=status.st_mtime_ns,
                mode=status.st_mode,
                flags=flags,
            )
            chunk.append((entry, page))
            held += len(content)
            if held >= CHUNK:
                yield chunk
                chunk, held = [], 0
        if chunk:
            yield chunk

    def _delete(self, paths: list[bytes]) -> None:
        self.store.delete_many([page_key(self.site, path) for path in paths])


KINDS = ("added", "changed", "restored")
