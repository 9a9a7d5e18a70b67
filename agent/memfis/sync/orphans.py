"""Items of a site that no record names: what is left when a directory item was lost."""

from collections import defaultdict

from memfis.catalog import Catalog
from memfis.keys import DIRECTORY, PAGE, PRIVATE, unescape
from memfis.pages import NO_PAGE
from memfis.store import Store


def orphans(store: Store, catalog: Catalog, site: str, index: bytes | None) -> list[bytes]:
    """Return the keys of `site` in `store` that no record of `catalog` names.

    `index` is the name whose page is kept under the directory's URL. A directory item is an orphan
    when its directory cannot be reached from the root's records.
    """
    recorded = dict(catalog.tree(b"/"))
    named: dict[bytes, set[bytes]] = defaultdict(set)
    for path, log in recorded.items():
        for entry in log.entries.values() if log else ():
            if entry.is_directory or entry.flags & NO_PAGE:
                continue
            named[path].add(b"" if entry.raw == index else entry.raw)
    host = site.encode("ascii") + b"/"
    strays = []
    for key in store.all_keys():
        if key.startswith((PAGE + host, PRIVATE + host)):
            path = unescape(key[key.index(host) + len(site) :])
            directory, slash, name = path.rpartition(b"/")
            if key.startswith(PRIVATE) or name not in named[directory + slash]:
                strays.append(key)
        elif key.startswith(DIRECTORY + host):
            path = unescape(key[len(DIRECTORY) + len(site) :])
            if path not in recorded:
                strays.append(key)
    return strays
