"""The store as it is, and as a new one is after one sync of the same web root."""

from typing import Any

from msgspec.structs import replace

from histories import model
from memfis.layout.records import Entry, decode_log
from support.memcached import Memcached


def unlike(store: Memcached, new: Memcached) -> list[str]:
    """Return what only one of the two has, or what differs, a line each."""
    one, other = _items(store), _items(new)
    return [
        f"{key!r}: {one.get(key)}, and in a new store {other.get(key)}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def _items(store: Memcached) -> dict[bytes, Any]:
    """Return the site's pages with their flags, and what its directories record, by key."""
    with store.client() as client:
        client.serde = model.Plain()
        found = client.get_many(model.keys(store))
    compared: dict[bytes, Any] = dict(found)
    for key, (value, flags) in found.items():
        if key.startswith(b"memfis-site://"):
            compared[key] = "there"  # with the time of the sync
        elif key.startswith(b"memfis-head://"):
            compared[key] = "there"  # a new store does not know what was there before
        elif key.startswith(b"memfis://"):
            compared[key] = value, flags & ~1
        elif key.startswith(b"memfis-dir://"):
            log = decode_log(value)
            compared[key] = log and {name: _kept(entry) for name, entry in log.entries.items()}
    return compared


def _kept(entry: Entry) -> Entry:
    """Return `entry` without times that may be older, which at worst has a file read once more.

    Of a directory nothing depends on them; a new name elsewhere changes a file's (`st_ctime`). And
    without what a new store cannot know of contents before.
    """
    time_ns = 0 if entry.is_directory else entry.mtime_ns
    return replace(entry, racy=False, mtime_ns=time_ns, ctime_ns=0, ambiguous=False)
