"""Names: directories and links are made, and everything is renamed and removed."""

import errno
import logging
import stat

from msgspec.structs import replace

from memfis.filesystem.interface import RENAME_NOREPLACE, Caller
from memfis.filesystem.items import failure
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.tree import split
from memfis.filesystem.volume import Volume
from memfis.layout.records import encode_log, tombstone
from memfis.store import exchange as to

log = logging.getLogger(__name__)


class Names(Volume):
    """Operations that add names, move them and take them away."""

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
        [found] = self._items.exchange(to.state(key))
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
        directory = self._empty(path)
        gone = self._tree.append(parent, [tombstone(node.entry.name)])
        if directory is None:
            self._sweep(path + b"/")
            [written] = self._items.exchange(gone)
            self._tree.appended(parent, gone, written, 1)
        else:
            remove = to.remove(self._rules.directory_key(path + b"/"), directory.cas)
            removed, written = self._items.exchange(remove, gone)
            self._tree.appended(parent, gone, written, 1)
            if removed.status == b"EX":  # somebody has put something into it meanwhile
                self._tree.record(parent, node.entry)
                raise failure(errno.ENOTEMPTY)
        parent.take_out(node)
        self._tree.drop(path + b"/")
        self._pending.discard(node)
        self._touch(parent)
        self._links.changed(path)

    def _sweep(self, path: bytes) -> None:
        """Remove all that is below the directory `path`, whose records are lost."""
        below = (
            self._rules.page_key(path, b""),
            self._rules.private_key(path, b""),
            self._rules.directory_key(path),
        )
        self._items.delete_many([key for key in self._items.all_keys() if key.startswith(below)])

    def _empty(self, path: bytes) -> Directory | None:
        """Return the directory `path`, None if its records are lost; raises ENOTEMPTY."""
        try:
            directory = self._tree.directory(path + b"/", now=True)
        except OSError as error:
            if error.errno != errno.EIO or self._items.away:
                raise
            return None  # the name can go
        if directory.children:
            raise failure(errno.ENOTEMPTY)
        return directory

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
            self.write_all()
        elif self._contents.is_held(node):
            self._save(node)
        if node.is_directory:
            if target is not None and not target.is_directory:
                raise failure(errno.ENOTDIR)
            if new.startswith(old + b"/"):
                raise failure(errno.EINVAL)
            self._write_records()
            if target is not None and self._renames.is_begun(old, target.entry):
                self._renames.take_up(above, target.entry)
                self._know_links()
                return
            if target is not None:
                self._empty(new)
            try:
                self._renames.move_directory(node, new)
            except OSError:
                self._tree.forget_all()
                raise
            if target is not None:
                directory.take_out(target)
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
