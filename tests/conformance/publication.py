"""What a store must hold for a tree, said once more: without memfis's own code.

The rules are those of docs/architecture/how-it-works.md, as far as the names and modes of the
random operations reach them; the names that are refused are those of `histories.model`.
"""

import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from pymemcache.client.base import Client

from histories.model import Plain, escaped, refused, wrong_page
from support.memcached import Memcached


@dataclass
class Items:
    """Contents by key, and the keys of directories."""

    pages: dict[bytes, bytes] = field(default_factory=dict)
    private: dict[bytes, bytes] = field(default_factory=dict)
    directories: set[bytes] = field(default_factory=set)


class Visitor:
    """nginx's user, who is in no group but its own."""

    def __init__(self) -> None:
        self._user = -1, -1
        for name in ("www-data", "nginx", "http"):
            with suppress(KeyError):
                user = pwd.getpwnam(name)
                self._user = user.pw_uid, user.pw_gid
                break

    def may(self, bit: int, status: os.stat_result) -> bool:
        """Whether the mode of a file grants `bit`: 4 to read, 1 to enter."""
        uid, gid = self._user
        shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
        return bool(status.st_mode >> shift & bit)


def expected(root: bytes, site: bytes) -> Items:
    """Return what the store holds when a mount of `site` has the tree `root`."""
    items = Items()
    visitor = Visitor()
    public: dict[bytes, bytes] = {}
    links: list[tuple[bytes, bytes]] = []

    def visit(directory: bytes, url: bytes, open_so_far: bool) -> None:
        items.directories.add(b"memfis-dir://" + site + escaped(url))
        enters = open_so_far and visitor.may(1, os.stat(directory))
        for name in os.listdir(directory):
            path = directory + b"/" + name
            status = os.lstat(path)
            is_directory = stat.S_ISDIR(status.st_mode)
            served = enters and not refused(name, is_directory) and not name.endswith(b"~")
            key = site + escaped(url if name == b"index.html" else url + name)
            if is_directory:
                visit(path, url + name + b"/", served)
            elif stat.S_ISLNK(status.st_mode):
                if served:
                    links.append((path, b"memfis://" + key))
            else:
                with open(path, "rb") as file:
                    content = file.read()
                if served and visitor.may(4, status):
                    public[path] = items.pages[b"memfis://" + key] = content
                else:
                    items.private[b"memfis-private://" + key] = content

    visit(root, b"/", open_so_far=True)
    for path, key in links:
        content = public.get(os.path.realpath(path))
        if content is not None:
            items.pages[key] = content
    return items


def differences(root: bytes, site: bytes, store: Memcached) -> list[str]:
    """Return what of `site` is not in the store as the tree `root` has it, a line each."""
    wanted = expected(root, site)
    files = wanted.pages | wanted.private
    listed = (unquote_to_bytes(each.split()[0].removeprefix(b"key=")) for each in store.items())
    keys = {key for key in listed if key.partition(b"://")[2].split(b"/")[0] == site}
    client = Client(os.fspath(store.socket), serde=Plain(), timeout=10)
    found = client.get_many(sorted(keys))
    client.close()
    keys -= wanted.directories | {b"memfis-site://" + site}
    wrong = [f"missing: {key!r}" for key in sorted(wanted.directories - found.keys())]
    wrong += [f"missing: {key!r}" for key in sorted(files.keys() - keys)]
    wrong += [f"not expected: {key!r}" for key in sorted(keys - files.keys())]
    for key in sorted(keys & files.keys()):
        value, flags = found[key]
        reason = wrong_page(value, flags, files[key])
        if reason:
            wrong.append(f"{reason}: {key!r}")
    return wrong
