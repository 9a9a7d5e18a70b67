"""What the store says a site holds: its directory items and its site item."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import msgspec.structs

from memfis.catalog.directory_log import DirectoryLog
from memfis.catalog.site_item import LAYOUT, SiteItem
from memfis.errors import StoreError, UsageError
from memfis.layout.keys import directory_key, site_key
from memfis.layout.records import Entry, Log, decode_log, encode_log
from memfis.store import Item, Store


class Catalog:
    """The directory items and the site item of one site."""

    def __init__(self, store: Store, site: str) -> None:
        """Read and write the items of `site` in `store`."""
        self._store = store
        self._site = site

    @property
    def site(self) -> str:
        """The site's name."""
        return self._site

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

    def log(self, path: bytes) -> DirectoryLog:
        """Return the log of the directory `path`."""
        return DirectoryLog(self._store, directory_key(self._site, path))

    def rebuild(self, path: bytes, recorded: dict[str, Entry]) -> None:
        """Write a complete log for `path`, of `recorded` and of what was rendered there meanwhile.

        What was rendered is added to `recorded`. Raises StoreRefusedError if the log is too large.
        """
        self.log(path).make_anew(recorded)

    def append(self, path: bytes, records: Sequence[Entry], recorded: dict[str, Entry]) -> bool:
        """Add `records` to the directory `path`, of which `recorded` is what it says afterwards.

        Where there is no log, or no room for more in it, it is written anew; returns whether.
        """
        if not records or self.log(path).append(records).done:
            return False
        self.rebuild(path, recorded)
        return True

    def compact(self, path: bytes, log: Log) -> None:
        """Rewrite the log of `path` without what is overtaken, when that is most of it."""
        if log.is_grown:
            self.log(path).compact()

    def remove(self, paths: Sequence[bytes]) -> None:
        """Remove the items of the directories `paths`."""
        self._store.delete_many([directory_key(self._site, path) for path in paths])
