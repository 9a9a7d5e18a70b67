"""What of a site that lives in the store may be changed and served, and where it is kept."""

import errno
from collections.abc import Sequence

from memfis.filesystem.items import failure
from memfis.filesystem.nodes import Directory, Node
from memfis.layout.keys import (
    KEY_LIMIT,
    directory_key,
    head_key,
    longest_key,
    page_key,
    page_keys,
    page_path,
    private_key,
)
from memfis.layout.pages import NO_PAGE
from memfis.layout.records import Entry
from memfis.settings.values import Site
from memfis.webroot.exclusions import Exclusions
from memfis.webroot.reader import READ, SEARCH
from memfis.webroot.visitor import visitor

NAME_LIMIT = 255
"""Longest name in bytes, as in other filesystems (NAME_MAX)."""


class Rules:
    """The site's settings as they decide over single names."""

    def __init__(self, site: Site, *, read_only: bool = False) -> None:
        """Read the settings of `site`; `read_only`: nothing in it may be changed."""
        self._read_only = read_only
        self._name = site.name
        self._index = site.index_name
        self._exclusions = Exclusions.of(site)
        self._visitor = visitor(site)

    def check_writable(self) -> None:
        """Raise EROFS when nothing may be changed."""
        if self._read_only:
            raise failure(errno.EROFS)

    def fit(self, directory: bytes, name: bytes, *, is_directory: bool) -> bool:
        """Whether `name` in `directory` (ends with `/`) may be published by its name."""
        return not self._exclusions.leave_out(directory, name, is_directory)

    def open_to_visitors(self, entry: Entry) -> bool:
        """Whether the mode lets nginx's user read the file, or enter the directory."""
        return self._visitor.may_by_mode(
            SEARCH if entry.is_directory else READ, entry.mode or 0, entry.uid, entry.gid
        )

    def serves(self, directory: bytes, entry: Entry) -> bool:
        """Whether the file `entry` may be served, where `directory` may be entered."""
        fit = self.fit(directory, entry.raw, is_directory=False)
        return fit and self.open_to_visitors(entry)

    def enters(self, directory: bytes, entry: Entry) -> bool:
        """Whether the directory `entry` may be entered, where `directory` may be."""
        fit = self.fit(directory, entry.raw, is_directory=True)
        return fit and self.open_to_visitors(entry)

    def is_public_directory(self, directory: Directory) -> bool:
        """Whether what is in `directory` may be published."""
        here: Directory | None = directory
        while here is not None:
            node = here.node
            if not node.fit or not self.open_to_visitors(node.entry):
                return False
            here = node.directory
        return True

    def is_public(self, node: Node, entry: Entry | None = None) -> bool:
        """Whether the file `node` may be served now, if its attributes are those of `entry`."""
        return (
            node.directory is not None
            and node.fit
            and self.open_to_visitors(entry or node.entry)
            and self.is_public_directory(node.directory)
        )

    def directory_key(self, path: bytes) -> bytes:
        """Return the key of the directory at `path`, which ends with `/`."""
        return directory_key(self._name, path)

    def page_key(self, directory: bytes, name: bytes) -> bytes:
        """Return the key under which nginx finds the file."""
        return page_key(self._name, page_path(directory, name, self._index))

    def head_key(self, directory: bytes, name: bytes) -> bytes:
        """Return the key of the head of the file's page."""
        return head_key(self._name, page_path(directory, name, self._index))

    def private_key(self, directory: bytes, name: bytes) -> bytes:
        """Return the key under which nginx does not find it."""
        return private_key(self._name, page_path(directory, name, self._index))

    def places(self, directory: bytes, names: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """Return the page key and the private key of each of the files `names`."""
        pages, here = page_key(self._name, b""), private_key(self._name, b"")
        keys = page_keys(self._name, directory, names, self._index)
        return [(key, here + key[len(pages) :]) for key in keys]

    def key(self, directory: bytes, name: bytes, flags: int) -> bytes:
        """Return the key that the `flags` of a record speak of."""
        kind = self.private_key if flags & NO_PAGE else self.page_key
        return kind(directory, name)

    def check_name(self, directory: bytes, name: bytes) -> None:
        """Raise ENAMETOOLONG for a name that a key has no room for."""
        length = longest_key(self._name, directory + name)
        if len(name) > NAME_LIMIT or length > KEY_LIMIT:
            raise failure(errno.ENAMETOOLONG, f"a key ends at {KEY_LIMIT} bytes")
