"""What the store says a site holds: its directory items and its site item."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import msgspec.structs

from memfis.catalog.site_item import LAYOUT, SiteItem
from memfis.errors import StoreError, StoreRefusedError, UsageError
from memfis.layout.keys import directory_key, site_key
from memfis.layout.records import Entry, Log, decode_log, encode_log, encode_records
from memfis.store import Item, Store
from memfis.store.exchange import Answer, Request, fetch, put

ATTEMPTS = 100
"""How often others may come between the look at a directory's records and the writing of them."""


class Catalog:
    """The directory items and the site item of one site."""

    def __init__(self, store: Store, site: str) -> None:
        """Read and write the items of `site` in `store`."""
        self._store = store
        self._site = site

    def site_item(self) -> SiteItem | None:
        """Return the site item or None; raises StoreError when it is damaged."""
        found = self._store.get(site_key(self._site))
        if found is None:
            return None
        try:
            item = msgspec.json.decode(found.value, type=SiteItem)
        except msgspec.MsgspecError as error:
            raise StoreError(f"the item of site {self._site} is damaged: {error}") from error
        if item.layout != LAYOUT:
            raise UsageError(
                f"site {self._site} has layout {item.layout} in the store, this memfis knows"
                f" {LAYOUT}: use the version that wrote it, or empty the store"
            )
        return item

    def write_site_item(self, item: SiteItem) -> None:
        """Write the site item."""
        self._store.set(site_key(self._site), msgspec.json.encode(item))

    def note_loss(self, item: SiteItem | None) -> SiteItem | None:
        """Write into `item` that records were lost, and return it as it is then.

        Once they are made anew nothing else tells that there were others.
        """
        if item is None or not item.whole:
            return item
        item = msgspec.structs.replace(item, whole=False)
        self.write_site_item(item)
        return item

    def logs(self, paths: Sequence[bytes]) -> list[Log | None]:
        """Return what is recorded of each directory, None for absent or damaged."""
        keys = [directory_key(self._site, path) for path in paths]
        found = self._store.get_many(keys)
        return [decode_log(found[key].value) if key in found else None for key in keys]

    def tree(self, path: bytes) -> Iterator[tuple[bytes, Log | None]]:
        """Yield every recorded directory from `path` (ends with `/`) down, parents first."""
        pending = [path]
        while pending:
            batch, pending = pending[:64], pending[64:]
            for directory, log in zip(batch, self.logs(batch), strict=True):
                yield directory, log
                if log:
                    pending += [
                        directory + entry.raw + b"/"
                        for entry in log.entries.values()
                        if entry.is_directory
                    ]

    def item(self, path: bytes, entries: Iterable[Entry]) -> Item:
        """Return the item that is a complete log for `path`."""
        return Item(directory_key(self._site, path), encode_log(entries), 0)

    def rebuild(self, path: bytes, known: dict[str, Entry]) -> None:
        """Write a complete log for `path`, of `known` and of what was rendered there meanwhile.

        `known` was read before, and pages are rendered by another connection, maybe in another
        process: so nothing is replaced that was not looked at. Raises StoreRefusedError if the log
        is too large.
        """
        key = directory_key(self._site, path)
        new, cas = True, 0
        for _ in range(ATTEMPTS):
            answer = self._ask(put(key, encode_log(known.values()), cas=cas, new=new))
            if answer.done:
                return
            if answer.refusal:
                raise StoreRefusedError(answer.refusal)
            there = self._ask(fetch(key))
            new, cas = not there.done, there.cas
            log = decode_log(there.value) if there.done else None
            for entry in log.entries.values() if log else ():
                if entry.origin == "rendered":
                    known.setdefault(entry.name, entry)
        raise StoreRefusedError("they change all the time")

    def append(self, path: bytes, records: Sequence[Entry], known: dict[str, Entry]) -> None:
        """Add `records` to the directory `path`, of which `known` is what it says afterwards.

        NOT_STORED stands both for an absent item and for one that would be too large; either way
        a complete log of `known` is the answer.
        """
        if records and not self._store.append(
            directory_key(self._site, path), encode_records(records)
        ):
            self.rebuild(path, known)

    def compact(self, path: bytes, log: Log) -> None:
        """Rewrite the log of `path` without what is overtaken, when that is most of it."""
        if log.is_grown:
            self.shorten(path)

    def shorten(self, path: bytes) -> None:
        """Rewrite the log of `path` without what is overtaken, if there is anything."""
        key = directory_key(self._site, path)
        found, token = self._store.gets(key)
        log = decode_log(found.value) if found else None
        if log and token and log.records > len(log.entries):
            # a writer that came between keeps the longer log
            self._store.cas(key, encode_log(log.entries.values()), token)

    def remove(self, paths: Sequence[bytes]) -> None:
        """Remove the items of the directories `paths`."""
        self._store.delete_many([directory_key(self._site, path) for path in paths])

    def _ask(self, request: Request) -> Answer:
        [answer] = self._store.exchange(request)
        return answer
