"""Sites in a store that the configuration has no more: found, told whose they are, and removed."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from memfis.catalog.catalog import Catalog
from memfis.catalog.listed import listed
from memfis.catalog.site_item import LAYOUT, SiteItem
from memfis.catalog.source import Source
from memfis.errors import UsageError
from memfis.layout.keys import (
    BODY,
    DIRECTORY,
    HEAD,
    PAGE,
    PRIVATE,
    SITE,
    check_site_name,
    directory_key,
    page_key,
    page_path,
    site_key,
    with_beside,
)
from memfis.settings.values import Site
from memfis.store import Store

SLICE = 1000
"""Items that are removed before other things may happen."""


class Leftover(NamedTuple):
    """A site that was filled from a web root and is not configured."""

    site: str
    item: SiteItem

    def is_of(self, installation: str | None) -> bool:
        """Whether `installation` has filled it, for sure."""
        return installation is not None and self.item.installation == installation

    @property
    def is_unmarked(self) -> bool:
        """Whether nobody can tell who has filled it: version 0.1.0, or a host without identity."""
        return self.item.installation is None


def leftovers(store: Store, names: Iterable[str], configured: Collection[str]) -> list[Leftover]:
    """Return those of the sites `names` that are in `store`, from a web root, and not `configured`.

    A site whose item is damaged, or of another layout, is left out: it is not known whose it is.
    """
    unknown = sorted(set(names) - set(configured))
    found = store.get_many([site_key(name) for name in unknown])
    left = []
    for name in unknown:
        try:
            item = msgspec.json.decode(found[site_key(name)].value, type=SiteItem)
        except (KeyError, msgspec.MsgspecError):
            continue
        if item.layout == LAYOUT and item.source == Source.ROOT.value:
            left.append(Leftover(name, item))
    return left


def site_names(store: Store) -> list[str]:
    """Return the names of the sites that have an item in `store`.

    Raises StoreRefusedError where the store cannot list its keys.
    """
    names = []
    for key in listed(store, lambda key: key.startswith(SITE)):
        try:
            names.append(check_site_name(key[len(SITE) :].decode("ascii", "replace")))
        except UsageError:
            continue
    return names


def keys_of(store: Store, site: str) -> list[bytes]:
    """Return keys of the items of `site` in `store` but its own, AT_ONCE at most.

    Raises StoreRefusedError where the store cannot list its keys.
    """
    prefixes = prefixes_of(site)
    return listed(store, lambda key: key.startswith(prefixes))


def prefixes_of(site: str) -> tuple[bytes, ...]:
    """Return what the keys of the items of `site` begin with, but of its own."""
    return tuple(
        scheme + site.encode("ascii") + b"/" for scheme in (PAGE, HEAD, BODY, PRIVATE, DIRECTORY)
    )


def remove_recorded(store: Store, leftover: Leftover) -> Iterator[int]:
    """Remove what records name of a site, then the records; yield now and then how many pages went.

    Pages go first, and a directory's records before those that lead to it: whenever it is
    interrupted, it can be begun anew.
    """
    name, item = leftover
    index = Site(name=name, index=item.index).index_name
    directories = []
    for directory, log in Catalog(store, name).tree(b"/"):
        directories.append(directory_key(name, directory))
        entries = [each for each in log.entries.values() if not each.is_directory] if log else []
        for start in range(0, len(entries), SLICE):
            paths = [
                directory + each.in_url
                if each.is_rendered
                else page_path(directory, each.raw, index)
                for each in entries[start : start + SLICE]
            ]
            pages = [page_key(name, path) for path in paths]
            there = sum(state is not None for state in store.states(pages))
            store.delete_many(with_beside(pages))
            yield there
    directories.reverse()
    for start in range(0, len(directories), SLICE):
        store.delete_many(directories[start : start + SLICE])
        yield 0


def remove_keys(store: Store, keys: Sequence[bytes]) -> Iterator[int]:
    """Remove the items at `keys`; yield now and then how many pages went."""
    for start in range(0, len(keys), SLICE):
        some = keys[start : start + SLICE]
        store.delete_many(some)
        yield sum(key.startswith(PAGE) for key in some)
