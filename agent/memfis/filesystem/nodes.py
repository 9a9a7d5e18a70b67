"""What a filesystem has in memory: directories that were read, and their names."""

import errno
import stat
from collections.abc import Sequence
from typing import NamedTuple, Self

from msgspec.structs import replace

from memfis.filesystem.interface import Attributes
from memfis.filesystem.items import failure
from memfis.layout.pages import NO_PAGE
from memfis.layout.records import Entry
from memfis.store import Request


class Content:
    """The identity content of a file that is open, or could not be stored yet."""

    __slots__ = ("data", "dirty")

    def __init__(self, data: bytes | bytearray, *, dirty: bool = False) -> None:
        """Hold `data`; `dirty`: the store does not have it."""
        self.data = data
        self.dirty = dirty

    def writable(self) -> bytearray:
        """Return the bytes to change in place."""
        if not isinstance(self.data, bytearray):
            self.data = bytearray(self.data)
        return self.data


class Node:
    """A name: its record, and what of it is in this mount's memory alone."""

    __slots__ = (
        "atime_ns",
        "content",
        "ctime_ns",
        "directory",
        "entry",
        "fit",
        "handles",
        "inode",
        "name",
        "pending",
        "recorded",
        "unwritten",
    )

    def __init__(self, name: bytes, entry: Entry, inode: int, *, fit: bool) -> None:
        """Take `entry` for what the store says of `name`, which is `fit` to be published."""
        self.name = name
        self.entry = entry
        """What it is here: while it is dirty or pending, its size and times are newer."""
        self.recorded = entry
        """What the store says of it, as was last seen; means nothing while it is unwritten."""
        self.inode = inode
        self.fit = fit
        self.directory: Directory | None = None
        """Where the name is; None for the root, and when the name is gone."""
        self.atime_ns = self.ctime_ns = entry.mtime_ns
        self.content: Content | None = None
        self.handles = 0
        self.unwritten = False
        """Whether the store has no record of it yet."""
        self.pending = False
        """Whether the record does not have the latest times or modes yet."""

    def record(self, entry: Entry) -> None:
        """Note that the store says `entry` of it; what is newer here stays."""
        self.recorded = entry
        if self.dirty:
            entry = replace(entry, size=self.entry.size, mtime_ns=self.entry.mtime_ns)
        elif self.pending:
            entry = replace(entry, mtime_ns=self.entry.mtime_ns)
        self.entry = entry

    def is_another(self, entry: Entry) -> bool:
        """Whether `entry` is the record of another file than this one, with the same name."""
        if self.is_directory != entry.is_directory or self.is_link != (entry.target is not None):
            return True
        ours, theirs = self.entry.inode, entry.inode
        return not self.is_directory and ours != theirs and 0 not in (ours, theirs)

    @property
    def mode(self) -> int:
        """Type and permission bits."""
        return self.entry.mode or 0

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def dirty(self) -> bool:
        """Whether the store lacks something of it that the next close writes."""
        return self.unwritten or (self.content is not None and self.content.dirty)

    @property
    def busy(self) -> bool:
        """Whether it cannot be read anew from the store."""
        return self.handles > 0 or self.dirty or self.pending

    @property
    def place(self) -> "Directory":
        """The directory it is in; raises ESTALE when the name is gone."""
        if self.directory is None:
            raise failure(errno.ESTALE, "the name is gone")
        return self.directory

    @property
    def path(self) -> bytes:
        """Its path; raises LookupError when the name is gone."""
        if self.directory is None:
            raise LookupError(self.name)
        return self.directory.path + self.name

    @property
    def has_page(self) -> bool:
        """Whether its record names a page that may be served."""
        return not self.entry.flags & NO_PAGE

    def attributes(self, links: int) -> Attributes:
        """Return what stat(2) tells of it."""
        entry = self.entry
        return Attributes(
            self.inode,
            entry.mode or 0,
            links,
            entry.uid,
            entry.gid,
            entry.size,
            self.atime_ns,
            entry.mtime_ns,
            self.ctime_ns,
        )


class Look(NamedTuple):
    """What is asked of directories, and of all above them."""

    directories: Sequence["Directory"]
    """From the root down."""
    requests: Sequence[Request]


class Directory:
    """A directory item as it was read, with what was appended to it since."""

    __slots__ = (
        *("_directories", "cas", "checked", "children", "key", "look", "node", "path", "records"),
        *("size", "state", "waiting"),
    )

    def __init__(self, path: bytes, node: Node) -> None:
        """Stand for the directory at `path`, which ends with `/`; nothing of it was read yet."""
        self.path = path
        self.key = b""
        """Of its records in the store; empty until somebody asks for it."""
        self.state: Request = ()
        """What asks the store for their state; empty until somebody does."""
        self.look: Look | None = None
        """What was asked of it, and of all that was above it then; see `Recorder.looking`."""
        self.node = node
        self.children: dict[bytes, Node] = {}
        self.cas = self.size = self.records = 0
        self.checked = float("-inf")
        self.waiting: list[Entry] = []
        """Records that its next append buries: their pages are gone already."""
        self._directories = 0  # asked for after each change in here: not to be counted anew

    def add(self, node: Node) -> None:
        """Add the name `node`."""
        before = self.children.get(node.name)
        self._directories += node.is_directory - (before is not None and before.is_directory)
        self.children[node.name] = node
        node.directory = self

    def rename(self, path: bytes) -> None:
        """Note that it is at `path` now."""
        self.path, self.key, self.state, self.look = path, b"", (), None

    def take_out(self, node: Node) -> None:
        """Remove the name `node`."""
        if self.children.get(node.name) is node:
            del self.children[node.name]
            self._directories -= node.is_directory
        node.directory = None

    def forget(self) -> Self:
        """Note that it is to be read anew when it is asked for next."""
        self.checked = float("-inf")
        self.cas = 0
        return self

    @property
    def links(self) -> int:
        """How many names it has: its own, `.`, and `..` in each directory below."""
        return 2 + self._directories
