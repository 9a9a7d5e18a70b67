"""Compare the items of a site that a mount fills with each other: records with contents.

There is nothing else to compare with: the store is the only source.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.catalog.orphans import orphans
from memfis.catalog.source import check_filled_by_mount
from memfis.errors import MemfisError
from memfis.layout.keys import (
    DIRECTORY,
    directory_key,
    head_key,
    page_key,
    page_path,
    private_key,
    unescape,
)
from memfis.layout.pages import FINGERPRINT, GZIP, NO_PAGE, Page, content_of, fingerprint
from memfis.layout.records import MOVING, Entry, Log
from memfis.settings.values import Site
from memfis.store import Store, Value
from memfis.store import exchange as to
from memfis.verify.access import Access, Read
from memfis.verify.verified import BATCH, Discrepancy, Verified

BATCH_BYTES = 16 * 1024 * 1024
"""Bytes of files, as their records have them, that are read at once."""

LINKS = 40
"""Symbolic links on the way to a file before it is a circle (path_resolution(7))."""


def verify_store(site: Site, store: Store) -> Iterator[Verified]:
    """Yield every file and link that the records of `site` name, and what is wrong with its item.

    What changes while it is compared is not compared. Raises UsageError for a site with a web root.
    """
    catalog = Catalog(store, site.name)
    item = catalog.site_item()
    check_filled_by_mount(item, site.name)
    if item is not None:
        site = replace(site, index=item.index, exclude=site.exclude or item.exclude)
        if item.lost:
            yield _wrong("lost", b"/")
    top = item.top if item else None
    recorded = dict(catalog.tree(b"/"))
    if item is None and recorded[b"/"]:
        yield _wrong("records", b"/")
    verification = _Verification(site, store, catalog)
    for path, log in recorded.items():
        if log is None:
            if verification.is_lost(path):
                yield _wrong("records", path)
            continue
        for entry in log.entries.values():
            if MOVING in (entry.extended or {}):
                yield _wrong("unfinished", path + entry.raw + b"/")
        for batch in _batches(log):
            yield from verification.compare(path, batch, top, recorded.get)
    for key in verification.strays():
        yield _wrong("stray", key)


class _Verification:
    """How records and items are compared."""

    def __init__(self, site: Site, store: Store, catalog: Catalog) -> None:
        self._site = site
        self._store = store
        self._catalog = catalog
        self._access = Access(site)
        self._exposed: set[bytes] = set()

    def compare(
        self, path: bytes, batch: Sequence[Entry], top: Entry | None, read: Read
    ) -> Iterator[Verified]:
        """Yield what is wrong with each of `batch`, files and links in the directory `path`.

        `read` returns records of directories as they were when `batch` was read, and `top` is that
        of the root.
        """
        for entry, kind in zip(batch, self._kinds(path, batch, top, read), strict=True):
            confirmed = self._once_more(path, entry) if kind else None
            name = path + entry.raw
            if confirmed == "exposed":
                self._exposed.add(self._page_key(path, entry))
            yield Verified(name, Discrepancy(confirmed, name) if confirmed else None)

    def is_lost(self, path: bytes) -> bool:
        """Whether the records of the directory at `path` should be in the store and are not."""
        if self._read(path) is not None:
            return False
        above, _, name = path[:-1].rpartition(b"/")
        log = self._read(above + b"/")
        return path == b"/" or (log is not None and name.decode("latin-1") in log.entries)

    def strays(self) -> Iterator[bytes]:
        """Yield the keys that no record names, but for pages that should be private."""
        site = self._site
        keys = orphans(self._store, self._catalog, site.name, site.index_name, private=True)
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            # An item that stays the same all the while has no record if there is none in between.
            before = self._versions(batch)
            named = self._named(batch)
            after = self._versions(batch)
            for key, version, later in zip(batch, before, after, strict=True):
                if version and version == later and key not in named | self._exposed:
                    yield key

    def _versions(self, keys: Sequence[bytes]) -> list[int]:
        """Return the CAS value of each item, 0 for what is absent."""
        return [answer.cas for answer in self._store.exchange(*map(to.state, keys))]

    def _named(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of `keys` that records name now."""
        name = self._site.name
        above: dict[bytes, bytes] = {}
        for key in keys:
            kind, _, rest = key.partition(b"://")
            path = unescape(rest[len(name) :])
            directory = path.rstrip(b"/") if kind + b"://" == DIRECTORY else path
            above[key] = directory[: directory.rfind(b"/") + 1]
        directories = sorted(set(above.values()))
        logs = dict(zip(directories, self._catalog.logs(directories), strict=True))
        named: set[bytes] = set()
        for path, log in logs.items():
            for entry in log.entries.values() if log else ():
                if entry.is_directory:
                    named.add(directory_key(name, path + entry.raw + b"/"))
                else:
                    named.add(self._key(path, entry))
                    if not entry.flags & NO_PAGE:
                        named.add(head_key(name, page_path(path, entry.raw, self._site.index_name)))
        return named & set(keys)

    def _once_more(self, path: bytes, entry: Entry) -> str | None:
        """Return what is wrong with `entry` now, None if it is another one now."""
        log = self._read(path)
        if log is None or log.entries.get(entry.name) != entry:
            return None
        item = self._catalog.site_item()
        [kind] = self._kinds(path, [entry], item.top if item else None, self._read)
        return kind

    def _kinds(
        self, path: bytes, batch: Sequence[Entry], top: Entry | None, read: Read
    ) -> list[str | None]:
        entered = self._access.enters(path, top, read)
        pages = {entry.name: self._page_key(path, entry) for entry in batch}
        hidden = [entry.name for entry in batch if entry.flags & NO_PAGE]
        states = self._store.states([pages[name] for name in hidden])
        exposed = {name for name, state in zip(hidden, states, strict=True) if state}
        keys = [self._key(path, entry) for entry in batch]
        found = self._store.get_many(keys)
        kinds: list[str | None] = []
        for entry, key in zip(batch, keys, strict=True):
            closed = not entered or not self._access.reads(path, entry)
            if entry.name in exposed or (closed and not entry.flags & NO_PAGE and key in found):
                kinds.append("exposed")
            elif entry.target is None:
                kinds.append(_of_file(entry, found.get(key)))
            elif not entry.flags & NO_PAGE:
                target = self._target(path + entry.raw, top, read)
                kinds.append(_of_link(entry, target, found.get(key)))
            else:
                kinds.append(None)
        return kinds

    def _target(self, path: bytes, top: Entry | None, read: Read) -> Entry | None:
        """Return the file that the link at `path` leads to; None unless it may be served."""
        found = _follow(path, read)
        if found is None:
            return None
        directory, target = found
        if not self._access.reads(directory, target):
            return None
        return target if self._access.enters(directory, top, read) else None

    def _key(self, path: bytes, entry: Entry) -> bytes:
        """Return where the content of `entry` should be."""
        if not entry.flags & NO_PAGE:
            return self._page_key(path, entry)
        return private_key(self._site.name, page_path(path, entry.raw, self._site.index_name))

    def _page_key(self, path: bytes, entry: Entry) -> bytes:
        return page_key(self._site.name, page_path(path, entry.raw, self._site.index_name))

    def _read(self, path: bytes) -> Log | None:
        [log] = self._catalog.logs([path])
        return log


def _wrong(kind: str, path: bytes) -> Verified:
    return Verified(path, Discrepancy(kind, path))


def _batches(log: Log) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    held = 0
    for entry in log.entries.values():
        if entry.is_directory:
            continue
        if batch and (len(batch) == BATCH or held + entry.size > BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(entry)
        held += entry.size
    if batch:
        yield batch


def _of_file(entry: Entry, found: Value | None) -> str | None:
    if found is None:
        return "missing"
    if found.flags != entry.flags & ~NO_PAGE:
        return "different"
    content = _content(found)
    return "damaged" if content is None or len(content) != entry.size else None


def _of_link(entry: Entry, target: Entry | None, found: Value | None) -> str | None:
    if found is None:
        return "missing"
    if target is None or target.flags & NO_PAGE:
        return "exposed"
    if {found.flags | GZIP, entry.flags | GZIP} != {target.flags | GZIP}:
        return "different"
    content = _content(found)
    return "damaged" if content is None or len(content) != target.size else None


def _content(found: Value) -> bytes | None:
    """Return the identity content, None when it is not what its flags say."""
    try:
        content = content_of(Page(*found))
    except MemfisError:
        return None
    return content if fingerprint(content) == found.flags & FINGERPRINT else None


def _follow(path: bytes, read: Read) -> tuple[bytes, Entry] | None:
    """Return directory and record of the file that the link at `path` leads to in the site."""
    here: list[bytes] = []
    pending = path.split(b"/")[:0:-1]
    links = 0
    while pending:
        name = pending.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            if not here:
                return None
            here.pop()
            continue
        directory = b"/".join([b"", *here, b""])
        log = read(directory)
        entry = log.entries.get(name.decode("latin-1")) if log else None
        if entry is None:
            return None
        if entry.is_directory:
            here.append(name)
        elif entry.target is None:
            return None if any(pending) else (directory, entry)
        else:
            links += 1
            target = entry.target.encode("latin-1")
            if links > LINKS or target.startswith(b"/"):
                return None
            pending += target.split(b"/")[::-1]
    return None
