"""The operations of the filesystem, as POSIX has them."""

import errno
import logging
import os
import stat
import time
from collections.abc import Callable
from itertools import count

from msgspec.structs import replace

from memfis.catalog import Catalog
from memfis.config import Site
from memfis.entries import Entry, encode_log, tombstone
from memfis.errors import UsageError
from memfis.filesystem.contents import Contents
from memfis.filesystem.interface import RENAME_NOREPLACE, Attributes, Caller, Space
from memfis.filesystem.items import Items, failure
from memfis.filesystem.links import Links
from memfis.filesystem.moving import MOVING
from memfis.filesystem.nodes import Content, Directory, Node
from memfis.filesystem.renames import Renames
from memfis.filesystem.rules import NAME_LIMIT, Rules
from memfis.filesystem.site import SiteState, check_source, root_entry
from memfis.filesystem.tree import Tree, split
from memfis.pages import NO_PAGE
from memfis.store import Store
from memfis.store import exchange as to

log = logging.getLogger(__name__)

# linux/falloc.h
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
ALLOCATIONS = {0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE}

RETRY = 1.0
"""Seconds between two attempts to write what the store did not take."""

EXTENDED_LIMIT = 64 * 1024
"""Bytes of all extended attributes of a file (XATTR_SIZE_MAX, linux/limits.h)."""

WRITING = os.O_WRONLY | os.O_RDWR


class Filesystem:
    """One site's files. Paths are bytes, absolute, without a `/` at the end but for the root.

    Every operation raises OSError with the errno that POSIX gives it, EIO when the store cannot be
    asked, ENOSPC when it has no room. Not thread-safe: one caller at a time.
    """

    def __init__(
        self,
        store: Store,
        site: Site,
        *,
        read_only: bool = False,
        timeout: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """Serve the files of `site` in `store`; what another changes is seen after `timeout` s."""
        self._store = store
        self._site = site
        self._read_only = read_only
        self._timeout = timeout
        self._clock = clock
        self._now = now
        self._items = Items(store, clock)
        self._state = SiteState(store, self._items, site)
        self._handles: dict[int, tuple[Node, int]] = {}
        self._numbers = count(1)
        self._pending: set[Node] = set()
        self._next_look = 0.0
        self._tree: Tree
        self._contents: Contents
        self._links: Links
        self._renames: Renames
        self._rules: Rules

    def start(self, caller: Caller) -> None:
        """Look at the store; read-write: make the site and its root, owned by `caller`, if absent.

        Raises StoreError (unreachable) and UsageError (another source, another layout).
        """
        item = self._state.read()
        top = root_entry(caller, self._now())
        if item is None:
            if self._read_only:
                raise UsageError(
                    f"site {self._site.name} is not in store {self._store.address}: the first mount"
                    " that may write makes it"
                )
            self._state.make(top)
            item = self._state.read()
            if item is None:
                raise UsageError(f"store {self._store.address} does not keep what is written to it")
        if not self._read_only:
            check_source(item, self._site.name)
        site = self._state.settled(item)
        self._rules = Rules(site)
        self._tree = Tree(
            self._items,
            self._rules,
            item.top or top,
            timeout=self._timeout,
            clock=self._clock,
            now=self._now,
            begin=self._begin,
        )
        self._contents = Contents(self._items, self._tree, self._rules, site.compression, self._now)
        self._links = Links(self._items, self._tree, self._rules, self._contents, site.compression)
        self._renames = Renames(self._items, self._tree, self._rules, self._contents, self._links)
        if not self._read_only:
            self._tree.make_root()
            self._know_links()

    def _begin(self) -> bool:
        """Make the site anew in a store that began anew; False when it is not ours to make."""
        if self._read_only or self._state.read() is not None:
            return False
        log.warning("the store has lost site %s: it begins anew, empty", self._site.name)
        self._state.make(self._tree.root.entry)
        self._links.know([])
        return self._tree.make_root()

    def _know_links(self) -> None:
        """Find the links of the site, and moves that were interrupted."""
        links = []
        moves = []
        for path, directory in Catalog(self._store, self._site.name).tree(b"/"):
            for entry in directory.entries.values() if directory else ():
                if entry.target is not None:
                    links.append(path + entry.raw)
                elif entry.extended and MOVING in entry.extended:
                    moves.append((path, entry))
        for path, entry in moves:
            log.info("going on with the move to %s%s", path, entry.raw)
            self._renames.take_up(path, entry)
        if moves:
            self._know_links()
        else:
            self._links.know(links)

    # Looking

    def attributes(self, path: bytes | None, handle: int | None = None) -> Attributes:
        """Return what stat(2) tells of `path`, or of the file open as `handle`."""
        node = self._node(path, handle)
        if not node.is_directory:
            return node.attributes(1)
        try:
            return node.attributes(self._tree.below(node).links)
        except OSError as error:
            if error.errno == errno.EIO and not self._items.away:
                return node.attributes(2)  # its records are lost: its name is still there
            raise

    def names(self, path: bytes) -> list[tuple[bytes, Attributes]]:
        """Return the names in the directory `path`, without `.` and `..`, and what they are."""
        directory = self._tree.below(self._directory_node(path))
        return [(name, node.attributes(1)) for name, node in directory.children.items()]

    def target(self, path: bytes) -> bytes:
        """Return where the symbolic link `path` points (readlink(2))."""
        node = self._tree.find(path)
        if not node.is_link:
            raise failure(errno.EINVAL)
        return (node.entry.target or "").encode("latin-1")

    def space(self) -> Space:
        """Return how much room the store has."""
        figures = self._items.statistics()
        free = max(0, figures.limit - figures.bytes)
        return Space(figures.limit, free, figures.items, NAME_LIMIT)

    # Open files

    def create(self, path: bytes, flags: int, mode: int, caller: Caller) -> int:
        """Make the file `path` and return a handle (open(2) with O_CREAT)."""
        self._check_writable()
        above, name = split(path)
        directory = self._tree.directory(above)
        if name in directory.children:
            if flags & os.O_EXCL:
                raise failure(errno.EEXIST)
            return self.open(path, flags)
        permissions = stat.S_IMODE(mode) | stat.S_IFREG
        node = self._make(directory, name, permissions, caller)
        node.unwritten = True
        node.content = Content(bytearray(), dirty=True)
        directory.add(node)
        self._touch(directory)
        return self._handle(node, flags)

    def open(self, path: bytes, flags: int) -> int:
        """Open the file `path` and return a handle."""
        node = self._tree.find(path)
        if node.is_directory:
            raise failure(errno.EISDIR)
        if node.is_link:
            raise failure(errno.ELOOP)
        if flags & WRITING:
            self._check_writable()
            if flags & os.O_TRUNC:
                self._contents.resize(node, 0)
        return self._handle(node, flags)

    def read(self, handle: int, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        node, _ = self._open(handle)
        data = self._contents.load(node).data
        return bytes(memoryview(data)[offset : offset + size])

    def write(self, handle: int, data: bytes, offset: int) -> int:
        """Write `data` at `offset`, at the end with O_APPEND; return its length in bytes."""
        node, flags = self._open(handle)
        if flags & os.O_APPEND:
            offset = node.entry.size
        self._contents.change(node, offset, data)
        return len(data)

    def allocate(self, handle: int, mode: int, offset: int, length: int) -> None:
        """Make room, or zeros, in an open file (fallocate(2))."""
        node, _ = self._open(handle)
        if mode not in ALLOCATIONS:
            raise failure(errno.EOPNOTSUPP)
        end = offset + length
        self._contents.check_size(end)
        if not mode & KEEP_SIZE and end > node.entry.size:
            self._contents.resize(node, end)
        if mode & (PUNCH_HOLE | ZERO_RANGE):
            zeros = min(end, node.entry.size) - offset
            if zeros > 0:
                self._contents.change(node, offset, bytes(zeros))

    def truncate(self, path: bytes | None, length: int, handle: int | None = None) -> None:
        """Let the file have `length` bytes."""
        self._check_writable()
        node = self._node(path, handle)
        if node.is_directory:
            raise failure(errno.EISDIR)
        others = node.dirty and node.handles
        self._contents.resize(node, length)
        if handle is None and not others:
            self._save(node)
            if not node.handles:
                node.content = None

    def flush(self, handle: int) -> None:
        """Publish what was written to an open file (close(2))."""
        node, flags = self._open(handle)
        if flags & WRITING:
            self._save(node)

    def sync(self, handle: int) -> None:
        """Publish what was written to an open file, and its latest attributes (fsync(2))."""
        node, _ = self._open(handle)
        self._save(node)
        self._write_records()

    def release(self, handle: int) -> None:
        """Forget the handle; what close could not write stays in memory."""
        node, _ = self._handles.pop(handle)
        node.handles -= 1
        if node.handles:
            return
        if node.dirty and node.directory is not None and node not in self._contents.unsaved:
            self._save(node)  # written by mmap(2) after the last close
        if not node.dirty or node.directory is None:
            node.content = None

    def _save(self, node: Node) -> None:
        if node.dirty and node.directory is not None:
            self._contents.save(node)
            self._pending.discard(node)
            self._links.changed(node.path)

    # Names

    def make_directory(self, path: bytes, mode: int, caller: Caller) -> None:
        """Make the directory `path` (mkdir(2))."""
        directory, name = self._room_for(path)
        permissions = mode & 0o1777 | stat.S_IFDIR
        if directory.node.mode & stat.S_ISGID:
            permissions |= stat.S_ISGID
        node = self._make(directory, name, permissions, caller)
        key = self._rules.directory_key(path + b"/")
        [made] = self._items.exchange(to.put(key, encode_log(()), new=True))
        if made.status == b"NS":
            self._take_over(path, key)
        elif not made.done:
            raise failure(errno.ENOSPC, made.refusal)
        self._tree.record(directory, node.entry)
        directory.add(node)
        self._touch(directory)

    def _take_over(self, path: bytes, key: bytes) -> None:
        """Empty the item of a directory that nobody names; raises EEXIST when somebody does."""
        above, name = split(path)
        if name in self._tree.directory(above, now=True).children:
            raise failure(errno.EEXIST)
        [found] = self._items.exchange(to.look(key))
        [made] = self._items.exchange(to.put(key, encode_log(()), cas=found.cas))
        if not made.done:
            raise failure(errno.EEXIST)

    def remove_directory(self, path: bytes) -> None:
        """Remove the empty directory `path` (rmdir(2))."""
        self._check_writable()
        node = self._tree.find(path)
        if not node.is_directory:
            raise failure(errno.ENOTDIR)
        parent = node.directory
        if parent is None:
            raise failure(errno.EBUSY)
        try:
            directory = self._tree.directory(path + b"/", now=True)
        except OSError as error:
            if error.errno != errno.EIO or self._items.away:
                raise
            directory = None  # its records are lost; the name can go
        if directory is not None:
            if directory.children:
                raise failure(errno.ENOTEMPTY)
            key = self._rules.directory_key(path + b"/")
            [removed] = self._items.exchange(to.remove(key, directory.cas))
            if removed.status == b"EX":
                raise failure(errno.ENOTEMPTY)
        self._tree.record(parent, tombstone(node.entry.name))
        parent.take_out(node)
        self._tree.drop(path + b"/")
        self._pending.discard(node)
        self._touch(parent)
        self._links.changed(path)

    def remove(self, path: bytes) -> None:
        """Remove the name `path` of a file or link (unlink(2)); open files live on."""
        self._check_writable()
        node = self._tree.find(path)
        directory = node.directory
        if node.is_directory or directory is None:
            raise failure(errno.EISDIR)
        self._hold(node)
        self._contents.delete(node)
        self._pending.discard(node)
        node.ctime_ns = self._now()
        self._touch(directory)
        if node.is_link:
            self._links.forget(path)
            self._state.count_link()
        self._links.changed(path)

    def _hold(self, node: Node | None) -> None:
        """Keep what an open file without a name can still be asked for."""
        if node is not None and node.handles and not node.is_link:
            self._contents.load(node)

    def make_link(self, path: bytes, target: bytes, caller: Caller) -> None:
        """Make a symbolic link at `path` that points to `target` (symlink(2))."""
        directory, name = self._room_for(path)
        node = self._make(directory, name, stat.S_IFLNK | 0o777, caller)
        node.entry = replace(node.entry, target=target.decode("latin-1"), size=len(target))
        self._tree.record(directory, node.entry)
        directory.add(node)
        self._touch(directory)
        self._state.count_link()
        self._links.add(path)
        self._links.changed(path)

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        """Give `old` the path `new` (renameat2(2)); of the flags, RENAME_NOREPLACE."""
        self._check_writable()
        if flags & ~RENAME_NOREPLACE:
            raise failure(errno.EINVAL)
        node = self._tree.find(old)
        above, name = split(new)
        directory = self._tree.directory(above)
        before = node.directory
        target = directory.children.get(name)
        if before is None or not name:
            raise failure(errno.EBUSY)
        if target is not None and flags & RENAME_NOREPLACE:
            raise failure(errno.EEXIST)
        if target is node:
            return
        self._rules.check_name(above, name)
        if node.is_directory:
            if target is not None and not target.is_directory:
                raise failure(errno.ENOTDIR)
            if new.startswith(old + b"/"):
                raise failure(errno.EINVAL)
            if target is not None:
                self.remove_directory(new)
            self._write_records()
            self._renames.move_directory(node, new)
        else:
            if target is not None and target.is_directory:
                raise failure(errno.EISDIR)
            self._hold(target)
            was_link = node.is_link or (target is not None and target.is_link)
            self._renames.replace_file(node, target, new)
            if target is not None and target.is_link:
                self._links.forget(new)
            if was_link:
                self._state.count_link()
            if node.is_link:
                self._links.add(new)
        self._pending.discard(node)
        if target is not None:
            self._pending.discard(target)
        node.ctime_ns = self._now()
        self._touch(before)
        self._touch(directory)
        self._links.changed_below(old)
        self._links.changed_below(new)

    # Attributes

    def change_mode(self, path: bytes | None, mode: int, handle: int | None = None) -> None:
        """Change the permission bits (chmod(2))."""
        node = self._node(path, handle)
        self._change(node, replace(node.entry, mode=stat.S_IFMT(node.mode) | stat.S_IMODE(mode)))

    def change_owner(
        self, path: bytes | None, uid: int, gid: int, handle: int | None = None
    ) -> None:
        """Change owner and group (chown(2)); -1: as it is."""
        node = self._node(path, handle)
        entry = node.entry
        uid = entry.uid if uid in (-1, 0xFFFFFFFF) else uid
        gid = entry.gid if gid in (-1, 0xFFFFFFFF) else gid
        self._change(node, replace(entry, uid=uid, gid=gid))

    def change_times(
        self,
        path: bytes | None,
        atime_ns: int | None,
        mtime_ns: int | None,
        handle: int | None = None,
    ) -> None:
        """Change the times (utimensat(2)); None: as it is. That of the last access is not kept."""
        self._check_writable()
        node = self._node(path, handle)
        node.ctime_ns = self._now()
        if atime_ns is not None:
            node.atime_ns = atime_ns
        if mtime_ns is not None:
            node.entry = replace(node.entry, mtime_ns=mtime_ns)
            self._later(node)

    def extended(self, path: bytes) -> dict[bytes, bytes]:
        """Return the extended attributes `user.*` of `path`."""
        kept = self._tree.find(path).entry.extended or {}
        return {
            name.encode("latin-1"): value.encode("latin-1")
            for name, value in kept.items()
            if name.startswith("user.")
        }

    def set_extended(self, path: bytes, name: bytes, value: bytes, flags: int) -> None:
        """Set an extended attribute (setxattr(2))."""
        node = self._tree.find(path)
        kept = dict(node.entry.extended or {})
        text = name.decode("latin-1")
        if not text.startswith("user."):
            raise failure(errno.EOPNOTSUPP)
        if flags & os.XATTR_CREATE and text in kept:
            raise failure(errno.EEXIST)
        if flags & os.XATTR_REPLACE and text not in kept:
            raise failure(errno.ENODATA)
        kept[text] = value.decode("latin-1")
        if sum(len(each) + len(kept[each]) for each in kept) > EXTENDED_LIMIT:
            raise failure(errno.ENOSPC)
        self._change(node, replace(node.entry, extended=kept))

    def remove_extended(self, path: bytes, name: bytes) -> None:
        """Remove an extended attribute (removexattr(2))."""
        node = self._tree.find(path)
        kept = dict(node.entry.extended or {})
        text = name.decode("latin-1")
        if not text.startswith("user.") or text not in kept:
            raise failure(errno.ENODATA)
        del kept[text]
        self._change(node, replace(node.entry, extended=kept or None))

    def _change(self, node: Node, entry: Entry) -> None:
        """Give `node` the attributes of `entry`, in the store too, and its page the right place."""
        self._check_writable()
        before = node.entry
        node.ctime_ns = self._now()
        if node.directory is None and node is not self._tree.root:
            node.entry = entry
            return
        try:
            if node.is_directory:
                self._change_directory(node, entry)
            elif node.dirty:
                node.entry = entry  # with its next save
            elif node.is_link and node.directory is not None:
                self._tree.record(node.directory, entry)
                node.entry = entry
            else:
                node.entry = entry
                self._contents.expose(node)
                self._links.changed(node.path)
        except OSError:
            node.entry = before
            raise
        self._pending.discard(node)
        node.pending = False

    def _change_directory(self, node: Node, entry: Entry) -> None:
        directory = self._tree.below(node)
        was = self._rules.is_public_directory(directory)
        if node.directory is None:
            self._state.update(lambda item: replace(item, top=entry))
        else:
            self._tree.record(node.directory, entry)
        node.entry = entry
        if self._rules.is_public_directory(directory) != was:
            self._renames.expose_below(directory)

    # What may wait

    def write_pending(self) -> None:
        """Write what may wait: directory times, and what the store refused before.

        To be called every 50 ms or so. What cannot be written waits longer.
        """
        if self._read_only or (self._clock() < self._next_look and not self._pending):
            return
        try:
            self._write_records()
            if self._clock() >= self._next_look:
                self._next_look = self._clock() + max(self._timeout, RETRY)
                self._contents.retry()
                if self._state.others_links():
                    self._know_links()
        except OSError as error:  # told by `Items` when it begins
            log.debug("cannot write what waits: %s", error)

    def close(self) -> list[str]:
        """Write all that is pending; return a line for each thing that could not be written."""
        lost = []
        for node in {node for node, _ in self._handles.values()} | set(self._contents.unsaved):
            try:
                self._save(node)
            except OSError as error:
                lost.append(f"{os.fsdecode(node.path)}: {error.strerror}")
        try:
            self._write_records()
        except OSError as error:
            lost += [
                f"times of {os.fsdecode(node.path if node.directory else b'/')}: {error.strerror}"
                for node in self._pending
            ]
        self._items.close()
        return lost

    def _write_records(self) -> None:
        by_directory: dict[Directory, list[Node]] = {}
        for node in self._pending:
            if node is self._tree.root:
                self._state.update(lambda item: replace(item, top=self._tree.root.entry))
                node.pending = False
            elif node.directory is not None:
                by_directory.setdefault(node.directory, []).append(node)
        for directory, nodes in by_directory.items():
            self._tree.record(directory, *[node.entry for node in nodes])
            for node in nodes:
                node.pending = False
        self._pending.clear()

    def _later(self, node: Node) -> None:
        if not node.dirty and (node.directory is not None or node is self._tree.root):
            node.pending = True
            self._pending.add(node)

    def _touch(self, directory: Directory) -> None:
        node = directory.node
        now = self._now()
        node.ctime_ns = now
        node.entry = replace(node.entry, mtime_ns=now)
        self._later(node)

    # Finding

    def _node(self, path: bytes | None, handle: int | None) -> Node:
        if handle is not None:
            return self._open(handle)[0]
        if path is None:
            raise failure(errno.ESTALE)
        return self._tree.find(path)

    def _directory_node(self, path: bytes) -> Node:
        node = self._tree.find(path)
        if not node.is_directory:
            raise failure(errno.ENOTDIR)
        return node

    def _open(self, handle: int) -> tuple[Node, int]:
        try:
            return self._handles[handle]
        except KeyError:
            raise failure(errno.EBADF) from None

    def _handle(self, node: Node, flags: int) -> int:
        number = next(self._numbers)
        self._handles[number] = (node, flags)
        node.handles += 1
        return number

    def _room_for(self, path: bytes) -> tuple[Directory, bytes]:
        self._check_writable()
        above, name = split(path)
        directory = self._tree.directory(above)
        if not name or name in directory.children:
            raise failure(errno.EEXIST)
        return directory, name

    def _make(self, directory: Directory, name: bytes, mode: int, caller: Caller) -> Node:
        self._rules.check_name(directory.path, name)
        parent = directory.node.entry
        gid = parent.gid if (parent.mode or 0) & stat.S_ISGID else caller.gid
        flags = 0 if stat.S_ISDIR(mode) else NO_PAGE
        text = name.decode("latin-1")
        entry = Entry(text, mode, 0, self._now(), caller.uid, gid, flags=flags)
        return self._tree.node(directory, entry)

    def _check_writable(self) -> None:
        if self._read_only:
            raise failure(errno.EROFS)
