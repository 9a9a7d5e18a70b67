"""Items in memory that should not be there: nothing on disk stands for them, or it is not public.

What is recorded is found by its records, and everything else by listing the store.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from memfis.catalog.catalog import Catalog
from memfis.catalog.listed import AT_ONCE, listed
from memfis.layout.keys import (
    BODY,
    DIRECTORY,
    HEAD,
    KEY_LIMIT,
    PAGE,
    PRIVATE,
    body_of,
    directory_key,
    head_of,
    page_key,
    page_path,
    unescape,
)
from memfis.layout.paths import split
from memfis.layout.records import Entry
from memfis.settings.values import Site
from memfis.store import Store
from memfis.verify.seen import Seen
from memfis.verify.standing import STRAY, UNKNOWN, Name, Standing
from memfis.verify.verified import Discrepancy, Verified
from memfis.webroot import WebRoot


class Item(NamedTuple):
    """An item that may be in the store, and what it is made of."""

    key: bytes
    directory: bytes
    """URL path of the directory whose records would name it."""
    in_url: bytes
    """The last part of its URL path there; empty for the directory's own page."""
    name: Name | None
    """Of the file or directory that could stand for it; None: none could."""

    @classmethod
    def recorded(cls, site: Site, directory: bytes, entry: Entry) -> "Item":
        """Return the item of `entry`, a file or directory in `directory`."""
        name = Name(entry.raw, entry.is_directory)
        path = page_path(directory, entry.raw, site.index_name)
        if entry.is_directory:
            path = directory + entry.raw + b"/"
            return cls(directory_key(site.name, path), directory, entry.raw, name)
        return cls(page_key(site.name, path), directory, path[len(directory) :], name)

    @classmethod
    def at(cls, site: Site, key: bytes) -> "Item":
        """Return the page, head, private item or directory item at `key`."""
        scheme, _, rest = key.partition(b"://")
        path = unescape(rest[len(site.name) :])
        is_directory = scheme + b"://" == DIRECTORY
        directory, in_url = split(path[:-1] if is_directory else path)
        raw = in_url or site.index_name or b""
        parts = [*directory.split(b"/")[1:-1], raw]
        could = (
            scheme + b"://" != PRIVATE
            and (path.endswith(b"/") or not is_directory)
            and (is_directory or in_url != site.index_name)  # that is kept under the directory
            and not any(part in (b"", b".", b"..") or b"\0" in part for part in parts)
        )
        return cls(key, directory, in_url, Name(raw, is_directory) if could else None)

    @property
    def path(self) -> bytes:
        """The URL path of what it is made of; of what stands beside a page, its key."""
        if self.name is None or self.key.startswith((HEAD, BODY)):
            return self.key
        return self.directory + self.name.raw + (b"/" if self.name.is_directory else b"")


class Unfounded:
    """Finds them in the store of one site."""

    def __init__(self, site: Site, store: Store, catalog: Catalog, webroot: WebRoot | None) -> None:
        """Look at the items of `site` in `store`, and at `webroot` (None: it is missing)."""
        self._site, self._store, self._catalog = site, store, catalog
        self._standing = Standing(webroot)
        self._right, self._told = Seen(), Seen()
        host = site.name.encode("ascii") + b"/"
        self._beside = (HEAD + host, BODY + host)
        self._ours = (PAGE + host, *self._beside, PRIVATE + host, DIRECTORY + host)

    def is_right(self, key: bytes) -> None:
        """Note that the item at `key` may be in the store."""
        self._right.add(key)

    def among(self, items: Sequence[Item], otherwise: str | None = None) -> Iterator[Verified]:
        """Yield those of `items` that are in the store, and what is wrong with them.

        `otherwise`: what is wrong with those for which something stands after all.
        """
        unknown = [item for item in items if self._is_to_be_told(item.key)]
        unknown.sort(key=lambda item: (item.directory, item.key))
        for directory, these in groupby(unknown, lambda item: item.directory):
            batch = self._there(list(these))
            if not batch:
                continue
            kinds = self._standing.kinds(directory, {item.name for item in batch if item.name})
            rendered = self._rendered(directory)
            for item in self._there(batch):  # else it went meanwhile, as it should
                kind = kinds.get(item.name, otherwise) if item.name else STRAY
                if kind in (None, UNKNOWN) or item.key in rendered:
                    continue
                path = item.key if kind == STRAY else item.path
                self._told.add(item.key)
                yield Verified(path, Discrepancy(kind, path))

    def listed(self) -> Iterator[Verified]:
        """Yield what no record names; raises StoreRefusedError where keys cannot be listed."""
        while keys := listed(self._store, self._is_to_be_told):
            yield from self.among([Item.at(self._site, key) for key in keys])
            for key in keys:
                self._told.add(key)
            if len(keys) < AT_ONCE:
                return

    def _is_to_be_told(self, key: bytes) -> bool:
        if not key.startswith(self._ours) or key in self._told:
            return False
        if key.startswith(self._beside):  # it goes with its page
            key = self._ours[0] + key[len(self._beside[0]) :]
        return key not in self._right

    def _there(self, items: list[Item]) -> list[Item]:
        states = self._store.states([item.key for item in items])
        return [item for item, state in zip(items, states, strict=True) if state]

    def _rendered(self, directory: bytes) -> set[bytes]:
        """Return the keys that are recorded as rendered in `directory` by now."""
        own = directory_key(self._site.name, directory)
        [log] = self._catalog.logs([directory]) if len(own) <= KEY_LIMIT else [None]
        keys: set[bytes] = set()
        for entry in log.entries.values() if log else ():
            if entry.is_rendered:
                path = directory + entry.in_url
                page = page_key(self._site.name, path)
                keys |= {page, head_of(page), body_of(page)}
            elif entry.origin == "rendered":
                keys.add(directory_key(self._site.name, directory + entry.raw + b"/"))
        return keys
