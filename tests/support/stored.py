"""A site whose only source is the store, filled as a mount would, but without one."""

import os
import stat

from memfis.filesystem import Caller, open_site
from memfis.settings.addresses import StoreAddress
from memfis.settings.values import Site
from memfis.store import Store
from support.memcached import Memcached

CALLER = Caller(0, 0)


class StoredSite:
    """The filesystem of a site, and the flags that name it on a command line."""

    def __init__(self, memcached: Memcached, name: str = "stored.example") -> None:
        self.site = Site(name=name, source="store", store=f"memcached://{memcached.socket}")
        self.store = Store(StoreAddress.parse(self.site.store))
        self.files = open_site(self.store, self.site, CALLER)

    def flags(self) -> tuple[str, ...]:
        """Return the command line's flags that name this site."""
        return ("--name", self.site.name, "--store", self.site.store)

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file, with the directories above it."""
        raw = os.fsencode(path)
        parts = raw.split(b"/")[1:-1]
        for depth in range(1, len(parts) + 1):
            directory = b"/" + b"/".join(parts[:depth])
            try:
                self.files.attributes(directory)
            except FileNotFoundError:
                self.files.make_directory(directory, 0o755 | stat.S_IFDIR, CALLER)
        handle = self.files.create(raw, os.O_WRONLY | os.O_TRUNC, mode, CALLER)
        self.files.write(handle, content, 0)
        self.files.flush(handle)
        self.files.release(handle)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        self.files.make_link(os.fsencode(path), os.fsencode(target), CALLER)

    def close(self) -> None:
        """Write what is pending."""
        assert self.files.close() == []
        self.store.close()
