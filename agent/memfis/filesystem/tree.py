"""The directories of a site as a mount sees them: read when they are needed, and kept fresh."""

import errno
import logging
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from memfis.catalog.directory_log import DirectoryLog, Version
from memfis.errors import StoreRefusedError
from memfis.filesystem.directory_cache import DirectoryCache
from memfis.filesystem.inodes import ROOT, InodeNumbers
from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.rules import NAME_LIMIT, Rules
from memfis.filesystem.timing import Timing
from memfis.layout.paths import shown
from memfis.layout.records import Entry, Log, is_grown
from memfis.store import Answer, Request

log = logging.getLogger(__name__)


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return the directory of `path`, which ends with `/`, and its last name."""
    directory, slash, name = path.rpartition(b"/")
    return directory + slash, name


class Tree:
    """The names of a site. Directories are given by their path with a `/` at the end."""

    def __init__(
        self,
        items: Items,
        rules: Rules,
        root: Entry,
        timing: Timing,
        begin: Callable[[Entry], bool],
    ) -> None:
        """Read the directories below `root` from `items`, anew when others changed them.

        `begin` makes the site anew, with that root, in a store that has lost it, or returns False.
        """
        self._items = items
        self._rules = rules
        self._timeout, self._clock, self._now = timing.timeout, timing.clock, timing.now
        self._begin = begin
        self._inodes = InodeNumbers(self._lives)
        self.root = Node(b"", root, ROOT, fit=True)
        self._read = DirectoryCache(Directory(b"/", self.root))
        self.forget_all = self._read.forget_all
        self.forget_below = self._read.forget_below
        self.drop = self._read.drop
        self._waiting: dict[Directory, float] = {}

    def directory(self, path: bytes, *, now: bool = False) -> Directory:
        """Return the directory at `path` as it is, not older than the timeout; `now`: at all.

        Raises ENOENT, ENOTDIR, and EIO when its item is damaged or lost.
        """
        directory = self._read.get(path)
        if directory is None:
            node = self.find(path[:-1])
            if not node.is_directory:
                raise failure(errno.ENOTDIR)
            directory = Directory(path, node)
        elif not now and self._clock() - directory.checked < self._timeout:
            return directory
        self._refresh(directory)
        return directory

    def find(self, path: bytes) -> Node:
        """Return the node at `path` (no `/` at the end); raises ENOENT, ENOTDIR, EIO.

        ENAMETOOLONG when there can be no such name.
        """
        if path in (b"/", b""):
            return self.root
        above, name = split(path)
        node = self.directory(above).children.get(name)
        if node is None:
            raise failure(errno.ENAMETOOLONG if len(name) > NAME_LIMIT else errno.ENOENT)
        return node

    def exists(self, path: bytes) -> Node | None:
        """Return the node at `path` or None."""
        try:
            return self.find(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return None
            raise

    def below(self, node: Node) -> Directory:
        """Return the directory that `node` is."""
        return self.directory(b"/" if node is self.root else node.path + b"/")

    def node(self, directory: Directory, entry: Entry, *, made: int = 0) -> Node:
        """Return a new node for `entry`, which is not yet in `directory`.

        `made`: when it was made, in nanoseconds, if that has only just happened.
        """
        name = entry.raw
        path = directory.path + name
        fit = self._rules.fit(directory.path, name, is_directory=entry.is_directory)
        # What had the name before may go on under another one, and two files must not have one
        # number. A directory that was forgotten must have its old one when it is read again, though
        # its time has changed: fts(3) checks that.
        since = made if made or entry.is_directory else entry.mtime_ns
        return Node(name, entry, self._inodes.number(path, since), fit=fit)

    def _lives(self, node: Node) -> bool:
        """Whether anybody can still ask for `node`."""
        directory = node.directory
        return node.handles > 0 or (
            directory is not None
            and directory.children.get(node.name) is node
            and self._read.get(directory.path) is directory
        )

    def moved(self, node: Node) -> None:
        """Note that `node` has another name than its inode number was made of."""
        self._inodes.moved(node)

    def make_root(self) -> bool:
        """Make the item of the root directory; False when there was one."""
        return self.make_log(b"/")

    def make_log(self, path: bytes) -> bool:
        """Make an empty log for the directory at `path`; False when there was one."""
        try:
            return self.log(path).make()
        except StoreRefusedError as error:
            raise failure(errno.ENOSPC, str(error)) from error

    def log(self, path: bytes) -> DirectoryLog:
        """Return the log of the directory at `path` in the store."""
        return DirectoryLog(self._items, self._rules.directory_key(path))

    def move(self, old: bytes, new: bytes) -> None:
        """Give all directories below `old` their paths below `new`."""
        for directory in self._read.move(old, new):
            for child in directory.children.values():
                child.fit = self._rules.fit(
                    directory.path, child.name, is_directory=child.is_directory
                )

    def append(self, directory: Directory, entries: Iterable[Entry]) -> Request:
        """Return the request that adds `entries` to the log of `directory`; see `appended`."""
        return self.log(directory.path).appending([*directory.waiting, *entries])

    def appended(self, directory: Directory, request: Request, answer: Answer, number: int) -> None:
        """Take note of the `answer` to the `request` that added `number` records.

        Raises ENOENT when the directory is gone, ENOSPC when there is no room.
        """
        data = request[1]
        if answer.status == b"NS":
            answer = self._append_again(directory, request)
        if not answer.done:
            directory.forget()
            raise failure(errno.ENOSPC, answer.refusal)
        directory.size += len(data)
        directory.cas = answer.cas
        directory.records += number + len(directory.waiting)
        directory.waiting.clear()
        self._waiting.pop(directory, None)
        if is_grown(directory.records, len(directory.children)):
            self._compact(directory)

    def record(self, directory: Directory, *entries: Entry) -> None:
        """Add `entries` to the log of `directory`; raises as `appended`."""
        request = self.append(directory, entries)
        [answer] = self._items.exchange(request)
        self.appended(directory, request, answer, len(entries))

    def record_later(self, directory: Directory, gone: Entry) -> None:
        """Add the tombstone `gone` to the log of `directory` with its next records."""
        directory.waiting.append(gone)
        self._waiting.setdefault(directory, self._clock())

    def write_waiting(self, seconds: float) -> None:
        """Write what `record_later` left, where it has waited for `seconds`."""
        until = self._clock() - seconds
        for directory, since in list(self._waiting.items()):
            if self._read.get(directory.path) is not directory:
                del self._waiting[directory]  # it was removed itself
            elif since <= until:
                self.record(directory)

    def _append_again(self, directory: Directory, request: Request) -> Answer:
        if self.log(directory.path).version() is None:
            self.directory(directory.path, now=True)  # tells what became of it
            raise failure(errno.ENOENT)
        self._refresh(directory)
        self._compact(directory)
        [answer] = self._items.exchange(request)
        if answer.status == b"NS":
            raise failure(errno.ENOSPC, "the directory's item would grow over the item limit")
        return answer

    def _compact(self, directory: Directory) -> None:
        """Write the log without what is overtaken, unless somebody else wrote meanwhile."""
        try:
            done = self.log(directory.path).compact()
        except StoreRefusedError as error:
            raise failure(errno.ENOSPC, str(error)) from error
        if done is None or done.before != (directory.cas, directory.size):
            directory.forget()
            return
        directory.cas, directory.size = done.after
        directory.records = done.records

    def _refresh(self, directory: Directory) -> None:
        stored = self.log(directory.path)
        if directory.cas and stored.version() == Version(directory.cas, directory.size):
            directory.checked = self._clock()
            return
        current, version = stored.read()
        if current is None or version is None:
            self._lost(directory, damaged=version is not None)
            return
        directory.cas, directory.size = version
        directory.records = current.records
        directory.checked = self._clock()
        self._merge(directory, current)
        self._read.keep(directory)

    def _merge(self, directory: Directory, current: Log) -> None:
        """Make the children of `directory` what `current` says, and keep what is not stored yet."""
        children = directory.children
        # what was rendered is no file
        entries = {e.raw: e for e in current.entries.values() if e.origin == "file"}
        for gone in directory.waiting:
            entries.pop(gone.raw, None)
        for node in [each for each in children.values() if each.name not in entries]:
            if not node.unwritten:
                directory.take_out(node)
        for name, entry in entries.items():
            child = children.get(name)
            if child is None or child.is_directory != entry.is_directory:
                node = self.node(directory, entry)
                directory.add(node)
                below = self._read.get(directory.path + name + b"/")
                if below is not None:
                    below.node = node
                continue
            if child.pending:
                entry = replace(entry, mtime_ns=child.entry.mtime_ns)
            if child.entry != entry and not child.dirty:
                child.entry = entry
                child.ctime_ns = self._now()
                child.atime_ns = max(child.atime_ns, entry.mtime_ns)
                child.content = None

    def _lost(self, directory: Directory, *, damaged: bool) -> None:
        """Raise what a directory without a whole item means."""
        path = directory.path
        was_read = self._read.get(path) is directory
        if path == b"/":
            directory.cas = 0
            if damaged or not (self._begin(self.root.entry) and self.make_root()):
                raise failure(errno.EIO, "the store has lost the site")
            self._read.drop_all_but(directory)
            self._refresh(directory)
            return
        self.drop(path)
        above, name = split(path[:-1])
        parent = self.directory(above, now=True)
        node = parent.children.get(name)
        if node is None or not node.is_directory:
            raise failure(errno.ENOENT)
        if was_read or damaged:
            log.warning("the store has lost the records of directory %s", shown(path))
        raise failure(errno.EIO, "the store has lost the records of this directory")
