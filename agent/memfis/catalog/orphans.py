"""Items of a site that no record names: what is left when a directory item was lost."""

from collections import defaultdict
from collections.abc import Iterable

from memfis.catalog.catalog import Catalog
from memfis.layout.keys import BODY, DIRECTORY, HEAD, PAGE, PRIVATE, unescape
from memfis.layout.pages import NO_PAGE
from memfis.layout.paths import split
from memfis.layout.records import Log
from memfis.store import Store


def orphans(
    store: Store,
    catalog: Catalog,
    site: str,
    index: bytes | None,
    *,
    private: bool = False,
    heads: bool = True,
) -> list[bytes]:
    """Return the keys of `site` in `store` that no record of `catalog` names.

    `index` is the name whose page is kept under the directory's URL. A head, and a body apart, is
    named by the record of its page. A directory item is an orphan when its directory cannot be
    reached from the root's records. `private`: what is recorded without a page may have an item
    that nobody is served, as in a site that a mount fills. `heads`: whether pages may have some.
    """
    recorded = dict(catalog.tree(b"/"))
    named: dict[bytes, dict[bytes, set[bytes]]] = {
        PAGE: defaultdict(set),
        PRIVATE: defaultdict(set),
    }
    for path, log in recorded.items():
        for scheme, name in _named(log, index):
            named[scheme][path].add(name)
    if not private:
        named[PRIVATE].clear()
    named[HEAD] = named[BODY] = named[PAGE] if heads else defaultdict(set)
    host = site.encode("ascii") + b"/"
    strays = []
    for key in store.all_keys():
        for scheme, names in named.items():
            if key.startswith(scheme + host):
                path = unescape(key[len(scheme) + len(site) :])
                directory, name = split(path)
                if name not in names[directory]:
                    strays.append(key)
        if key.startswith(DIRECTORY + host):
            path = unescape(key[len(DIRECTORY) + len(site) :])
            if path not in recorded:
                strays.append(key)
    return strays


def _named(log: Log | None, index: bytes | None) -> Iterable[tuple[bytes, bytes]]:
    """Yield the items of files that `log` names: scheme, and name in the URL."""
    for entry in log.entries.values() if log else ():
        without_page = entry.flags & NO_PAGE
        if entry.is_directory or (without_page and entry.target is not None):
            continue
        yield PRIVATE if without_page else PAGE, b"" if entry.raw == index else entry.in_url
