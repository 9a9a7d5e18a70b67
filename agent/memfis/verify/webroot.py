"""Compare every page in the store with the file it was made from, byte by byte."""

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.catalog.source import check_filled_from_root
from memfis.errors import MemfisError, MissingRootError, StoreRefusedError
from memfis.layout.keys import body_of, directory_key, head_of, page_key, site_key
from memfis.layout.pages import (
    FINGERPRINT,
    NEEDS_HEAD,
    Page,
    content_of,
    fingerprint,
    make_page,
    may_fit,
)
from memfis.layout.records import Entry, Log
from memfis.layout.validators import head_and_flags
from memfis.settings.values import Site
from memfis.store import Store, Value
from memfis.verify.unfounded import Item, Unfounded
from memfis.verify.verified import BATCH, Discrepancy, Verified
from memfis.webroot import BeingWrittenError, Files, Listing, WebRoot

log = logging.getLogger("memfis")


def verify_webroot(site: Site, store: Store) -> Iterator[Verified]:
    """Yield every file of the web root of `site` that should be in memory, and what is wrong.

    Also what is in memory and should not be. Files that change while they are compared, or are left
    to the disk, are not compared. Raises UsageError for a site that is not filled from a web root,
    BrokenRootError for one whose file system fails, and MissingRootError when all that is in memory
    was named.
    """
    catalog = Catalog(store, site.name)
    item = catalog.site_item()
    check_filled_from_root(item, site.name)
    missing: MissingRootError | None = None
    webroot: WebRoot | None = None
    try:
        webroot = WebRoot(site)
    except MissingRootError as error:
        missing = error
    verification = _Verification(site, store, catalog, webroot)
    if webroot is not None:
        if webroot.closed is not None:
            log.warning("%s: %s", site.name, webroot.closed)
        for number, listing in enumerate(webroot.walk()):
            if number == 0 and item is None and listing.entries:
                yield _wrong("records", site_key(site.name))
            yield from verification.directory(listing)
    else:
        [recorded] = catalog.logs([b"/"])
        yield from verification.recorded(b"/", recorded, ())
    try:
        yield from verification.unfounded.listed()
    except StoreRefusedError as error:
        log.warning("%s: pages that nothing records were not looked for: %s", site.name, error)
    if missing is not None:
        raise missing


class _Verification:
    """How files, records and items are compared, a directory at a time."""

    def __init__(self, site: Site, store: Store, catalog: Catalog, webroot: WebRoot | None) -> None:
        self._site, self._store, self._catalog = site, store, catalog
        self._webroot = webroot
        self.unfounded = Unfounded(site, store, catalog, webroot)
        self.unfounded.is_right(directory_key(site.name, b"/"))

    def directory(self, listing: Listing) -> Iterator[Verified]:
        """Yield what is found in one directory that the web root publishes, or did just now."""
        path = listing.path
        if listing.is_gone:
            return
        if listing.is_broken:
            yield _wrong("unknown", path)
            return
        self.unfounded.is_right(directory_key(self._site.name, path))
        [recorded] = self._catalog.logs([path])
        if recorded is None and listing.entries:
            yield _wrong("records", path)
        for name in sorted(listing.unknown):
            yield _wrong("unknown", path + name.encode("latin-1"))
        yield from self._published(listing, recorded.entries if recorded else {})
        below = {entry.name for entry in listing.entries.values() if entry.is_directory}
        yield from self.recorded(path, recorded, below | listing.unknown)

    def recorded(
        self, path: bytes, recorded: Log | None, but: Collection[str]
    ) -> Iterator[Verified]:
        """Yield what is wrong with what is recorded in the directory `path`, and below.

        But not below the directories called `but` in it.
        """
        pending: list[tuple[bytes, Log | None, Collection[str]]] = [(path, recorded, but)]
        while pending:
            path, recorded, but = pending.pop()
            entries = list(recorded.entries.values()) if recorded else []
            yield from self._rendered(path, [each for each in entries if each.is_rendered])
            below: list[bytes] = []
            items: list[Item] = []
            for entry in entries:
                if entry.is_rendered or (entry.is_directory and entry.name in but):
                    continue
                if entry.is_directory:
                    below.append(path + entry.raw + b"/")
                    if entry.origin == "rendered":
                        self.unfounded.is_right(directory_key(self._site.name, below[-1]))
                items.append(Item.recorded(self._site, path, entry))
            yield from self.unfounded.among(items)
            for start in range(0, len(below), BATCH):
                batch = below[start : start + BATCH]
                logs = self._catalog.logs(batch)
                pending += ((each, own, ()) for each, own in zip(batch, logs, strict=True))

    def _rendered(self, directory: bytes, entries: Sequence[Entry]) -> Iterator[Verified]:
        """Yield the rendered pages that are there: each must be whole. They may expire any time."""
        for start in range(0, len(entries), BATCH):
            paths = [directory + each.in_url for each in entries[start : start + BATCH]]
            keys = {page_key(self._site.name, path): path for path in paths}
            for key in keys:
                self.unfounded.is_right(key)
            keys |= {body_of(key): path for key, path in keys.items()}
            for key, found in self._store.get_many(list(keys)).items():
                kind = None if _is_whole(Page(*found)) else "damaged"
                yield Verified(keys[key], Discrepancy(kind, keys[key]) if kind else None)

    def _published(self, listing: Listing, recorded: Mapping[str, Entry]) -> Iterator[Verified]:
        """Yield the files of `listing`, each compared with its page; `recorded` by name."""
        assert self._webroot is not None
        files = (entry for entry in listing.entries.values() if not entry.is_directory)
        with contextlib.ExitStack() as stack:
            try:
                opened = stack.enter_context(self._webroot.files(listing.path))
            except OSError:
                return  # gone, or closed, since it was listed: its pages are looked at as recorded
            while batch := list(islice(files, BATCH)):
                yield from self._compared(self._webroot, listing.path, batch, opened, recorded)

    def _compared(
        self,
        webroot: WebRoot,
        path: bytes,
        batch: Sequence[Entry],
        files: Files,
        recorded: Mapping[str, Entry],
    ) -> Iterator[Verified]:
        site = self._site
        keys = webroot.keys(path, [entry.raw for entry in batch])
        pages = self._store.get_many(keys)
        heads = self._store.get_many([*map(head_of, keys)]) if site.has_heads else {}
        gone: list[Item] = []
        for entry, key in zip(batch, keys, strict=True):
            found, head = pages.get(key), heads.get(head_of(key))
            if found is None is head and not may_fit(
                entry.raw, entry.size, site.max_page, site.compression
            ):
                self.unfounded.is_right(key)
                continue
            known = recorded.get(entry.name)
            named = replace(entry, ambiguous=known is not None and known.ambiguous)
            try:
                page = Page(*found) if found else None
                kind = self._discrepancy(webroot, path, files, named, page, head)
            except OSError:
                gone.append(Item.recorded(site, path, entry))
                continue
            self.unfounded.is_right(key)
            yield Verified(path + entry.raw, Discrepancy(kind, path + entry.raw) if kind else None)
        yield from self.unfounded.among(gone, otherwise="different")

    def _discrepancy(
        self,
        webroot: WebRoot,
        path: bytes,
        files: Files,
        entry: Entry,
        page: Page | None,
        head: Value | None,
    ) -> str | None:
        """Return what is wrong with `page` or `head`, of the file `entry` in the directory `path`.

        Raises OSError where there is a page and the file cannot be read.
        """
        try:
            content, status = files.read(entry)
        except BeingWrittenError:
            if page is None:
                return None
            with webroot.files(path, while_written=True) as again:
                content, status = again.read(entry)
        except OSError:
            if page is None:
                return None
            raise
        if page is None:
            stored = make_page(entry.raw, content, self._site.compression)
            if len(stored.value) <= self._site.max_page:
                return "missing"
            return "head" if head else None
        try:
            same = content_of(page) == content
        except MemfisError:
            return "damaged"
        if not same:
            return "different"
        if not self._site.has_heads:
            return None
        entry = replace(
            entry,
            mtime_ns=status.st_mtime_ns,
            size=len(content),
            flags=page.flags & ~NEEDS_HEAD,
        )
        value, flags = head_and_flags(entry)
        right = page.flags == flags and head == Value(value, flags)
        return None if right else "head"


def _is_whole(page: Page) -> bool:
    try:
        return fingerprint(content_of(page)) == page.flags & FINGERPRINT
    except MemfisError:
        return False


def _wrong(kind: str, path: bytes) -> Verified:
    return Verified(path, Discrepancy(kind, path))
