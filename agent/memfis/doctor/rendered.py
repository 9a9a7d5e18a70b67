"""Pages that PHP makes: no disk tells of them, so those count that the store has by now."""

from collections.abc import Callable

from memfis.catalog.catalog import Catalog
from memfis.doctor.census import Census, Rendered, StoredItem
from memfis.doctor.findings import Finding, counted
from memfis.errors import StoreError
from memfis.layout.keys import body_of, directory_key, page_key
from memfis.layout.paths import size
from memfis.layout.records import Entry, encode_log, encode_records
from memfis.settings.values import PhpSettings, Site
from memfis.store import Store


def add_rendered(
    site: Site, php: PhpSettings, store: Store, census: Census, progress: Callable[[int], None]
) -> Rendered:
    """Add to the items of `census` what is rendered of `site` and in `store`, if that answers.

    `progress` is called with numbers of pages just counted.
    """
    found = Rendered(most=php.max_pages)
    items: list[StoredItem] = []
    records: dict[bytes, list[Entry]] = {}
    try:
        for path, log in Catalog(store, site.name).tree(b"/"):
            entries = log.entries.values() if log else ()
            records[path] = [entry for entry in entries if entry.origin == "rendered"]
            pages = [entry for entry in records[path] if entry.is_rendered]
            keys = [page_key(site.name, path + entry.in_url) for entry in pages]
            states = store.states(keys), store.states([*map(body_of, keys)])
            for entry, key, page, body in zip(pages, keys, *states, strict=True):
                state = page or body
                if state is None:
                    continue  # it ended; its record goes later
                url = path + entry.in_url
                items.append(StoredItem(url, len(key), state.size, is_page=True))
                found.bytes += entry.size
            progress(len(pages))
    except StoreError:
        return Rendered(most=php.max_pages, is_counted=False)
    found.pages = len(items)
    census.items = [*_with_records(site, census.items, records), *items]
    return found


def _with_records(
    site: Site, items: list[StoredItem], records: dict[bytes, list[Entry]]
) -> list[StoredItem]:
    """Return `items` with what is rendered in each directory, by its path, among its records.

    They are appended one by one.
    """
    grown = []
    for item in items:
        more = [] if item.is_page else records.pop(item.path, [])
        value, appends = item.value + len(encode_records(more)), item.appends + len(more)
        grown.append(item._replace(value=value, appends=appends))
    for path, entries in records.items():
        if entries:
            key, value = len(directory_key(site.name, path)), len(encode_log(entries))
            grown.append(StoredItem(path, key, value, is_page=False, appends=len(entries)))
    return grown


def check_rendered(name: str, rendered: Rendered) -> Finding:
    """Return what is to be said of the rendered pages of the site `name`."""
    if not rendered.is_counted:
        counts = "not counted, as the store does not answer"
    else:
        pages = counted(rendered.pages, "page")
        counts = f"counted as the store has them, {pages} with {size(rendered.bytes)}"
    message = f"{counts}; up to {rendered.most:,} (max_pages) may come"
    return Finding(name, "rendered", "ok", message)
