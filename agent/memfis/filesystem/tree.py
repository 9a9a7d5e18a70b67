"""The directories of a site as a mount sees them: read when they are needed, and kept fresh."""

import errno
import logging
from collections.abc import Callable

from msgspec.structs import replace

from memfis.catalog.directory_log import DirectoryLog
from memfis.errors import StoreRefusedError
from memfis.filesystem.directory_cache import DirectoryCache
from memfis.filesystem.inodes import ROOT, InodeNumbers
from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.rules import NAME_LIMIT, Rules
from memfis.filesystem.shared_site import SharedSite
from memfis.filesystem.timing import Timing
from memfis.layout.paths import shown
from memfis.layout.records import Entry, Log
from memfis.store import Answer, Request
from memfis.store import exchange as to

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
        shared: SharedSite,
        begin: Callable[[Entry], bool],
    ) -> None:
        """Read the directories below `root` from `items`, anew when others changed them.

        Of `root` itself `shared` tells what others changed.
        `begin` makes the site anew, with that root, in a store that has lost it, or returns False.
        """
        self._items = items
        self._rules = rules
        self._timeout, self._clock, self._now = timing.timeout, timing.clock, timing.now
        self._shared = shared
        self._begin = begin
        self._inodes = InodeNumbers(self._lives)
        self.root = Node(b"", root, ROOT, fit=True)
        self._read = DirectoryCache(Directory(b"/", self.root))
        self.forget_all = self._read.forget_all
        self.forget_below = self._read.forget_below
        self.drop = self._read.drop

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
        if directory.cas:
            self._check(directory)
        else:
            self.refresh(directory)
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

    def give_name(self, node: Node, directory: Directory, name: bytes) -> None:
        """Give `node`, which has none, the name `name` in `directory`, as its record says too."""
        text = name.decode("latin-1")
        before = node.recorded
        node.name = name
        node.entry = node.recorded = replace(node.entry, name=text)
        if node.dirty:
            node.recorded = replace(before, name=text, flags=node.entry.flags)
        node.fit = self._rules.fit(directory.path, name, is_directory=node.is_directory)
        directory.add(node)
        self.moved(node)

    def moved(self, node: Node) -> None:
        """Note that `node` has another name than its inode number was made of."""
        self._inodes.moved(node)

    def make_root(self) -> bool:
        """Make the item of the root directory; False when there was one."""
        return self.make_log(b"/")

    def make_log(self, path: bytes) -> bool:
        """Make an empty log for the directory at `path`; False when there was one."""
        try:
            return DirectoryLog(self._items, self._rules.directory_key(path)).make()
        except StoreRefusedError as error:
            raise failure(errno.ENOSPC, str(error)) from error

    def key(self, directory: Directory) -> bytes:
        """Return the key of the records of `directory`."""
        if not directory.key:
            directory.key = self._rules.directory_key(directory.path)
        return directory.key

    def state(self, directory: Directory) -> Request:
        """Return what asks for the state of the log of `directory`; see `is_as`."""
        if not directory.state:
            directory.state = to.state(self.key(directory))
        return directory.state

    def log(self, directory: Directory) -> DirectoryLog:
        """Return the log of `directory` in the store."""
        return DirectoryLog(self._items, self.key(directory))

    def empty_log(self, path: bytes) -> bool:
        """Let the log of the directory at `path` hold nothing; False: somebody wrote meanwhile."""
        return DirectoryLog(self._items, self._rules.directory_key(path)).empty()

    def move(self, old: bytes, new: bytes) -> None:
        """Give all directories below `old` their paths below `new`."""
        for directory in self._read.move(old, new):
            for child in directory.children.values():
                child.fit = self._rules.fit(
                    directory.path, child.name, is_directory=child.is_directory
                )

    def has(self, directory: Directory) -> bool:
        """Whether `directory` is still the one with its path."""
        return self._read.get(directory.path) is directory

    def is_as(self, directory: Directory, state: Answer) -> bool:
        """Whether `directory` is still in the `state` that its log has in the store."""
        if not directory.cas or (state.cas, state.size) != (directory.cas, directory.size):
            return False
        directory.checked = self._clock()
        return True

    def refresh(self, directory: Directory) -> None:
        """Read `directory` anew; raises as `directory`."""
        current, version = self.log(directory).read()
        if current is None or version is None:
            self._lost(directory, damaged=version is not None)
            return
        directory.cas, directory.size = version
        directory.records = current.records
        directory.checked = self._clock()
        self._merge(directory, current)
        self._read.keep(directory)

    def refresh_root(self) -> None:
        """Read the record of the root directory anew, which is in the item of the site."""
        top = self._shared.read_top()
        if top is not None and top != self.root.recorded:
            self.root.record(top)
            self.root.ctime_ns = self._now()

    def _check(self, directory: Directory) -> None:
        """Read `directory` anew where the store has it otherwise."""
        requests = [self.state(directory)]
        if directory.path == b"/":
            requests.append(self._shared.state())
        state, *top = self._items.exchange(*requests)
        if top and not self._shared.is_as(top[0]):
            self.refresh_root()
        if not self.is_as(directory, state):
            self.refresh(directory)

    def _merge(self, directory: Directory, current: Log) -> None:
        """Make the children of `directory` what `current` says, and keep what is not stored yet."""
        children = directory.children
        # what was rendered is no file
        entries = {e.raw: e for e in current.entries.values() if e.origin == "file"}
        # What was removed here, and not by somebody else who then made it anew.
        directory.waiting = [gone for gone in directory.waiting if entries.get(gone.raw) == gone]
        for gone in directory.waiting:
            del entries[gone.raw]
        for node in [each for each in children.values() if each.name not in entries]:
            if not node.unwritten:
                directory.take_out(node)
        for name, entry in entries.items():
            child = children.get(name)
            if child is not None and child.unwritten and entry.is_file:
                child.unwritten = False  # another host has made it too: it is one file
            elif child is None or child.is_another(entry):
                self._add(directory, entry, child)
                continue
            if child.recorded != entry:
                child.record(entry)
                child.ctime_ns = self._now()
                child.atime_ns = max(child.atime_ns, entry.mtime_ns)
                if not child.dirty:
                    child.content = None

    def _add(self, directory: Directory, entry: Entry, before: Node | None) -> None:
        """Add a node for `entry` in place of what had its name `before`, which may be open."""
        if before is not None:
            directory.take_out(before)
        node = self.node(directory, entry)
        directory.add(node)
        below = self._read.get(directory.path + node.name + b"/")
        if below is not None and node.is_directory:
            below.node = node

    def _lost(self, directory: Directory, *, damaged: bool) -> None:
        """Raise what a directory without a whole item means."""
        path = directory.path
        was_read = self._read.get(path) is directory
        if path == b"/":
            directory.cas = 0
            if damaged or not (self._begin(self.root.entry) and self.make_root()):
                raise failure(errno.EIO, "the store has lost the site")
            self._read.drop_all_but(directory)
            self.refresh(directory)
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
