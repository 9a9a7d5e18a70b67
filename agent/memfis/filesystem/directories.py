"""mkdir(2) and rmdir(2)."""

import errno
import stat

from memfis.filesystem.interface import Caller
from memfis.filesystem.items import Items, failure
from memfis.filesystem.links import Links
from memfis.filesystem.new_names import NewNames
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.recorder import Recorder
from memfis.filesystem.rules import Rules
from memfis.filesystem.tree import Tree, split
from memfis.filesystem.writeback import Writeback
from memfis.layout.records import tombstone
from memfis.store import exchange as to


class Directories:
    """Operations that make and remove directories."""

    def __init__(
        self,
        items: Items,
        tree: Tree,
        recorder: Recorder,
        rules: Rules,
        new_names: NewNames,
        links: Links,
        writeback: Writeback,
    ) -> None:
        """Make and remove directories of `tree`, and their items."""
        self._items = items
        self._tree = tree
        self._recorder = recorder
        self._rules = rules
        self._new_names = new_names
        self._links = links
        self._writeback = writeback

    def make_directory(self, path: bytes, mode: int, caller: Caller) -> None:
        """Make the directory `path` (mkdir(2))."""
        directory, name = self._new_names.room_for(path)
        permissions = mode & 0o1777 | stat.S_IFDIR
        if directory.node.mode & stat.S_ISGID:
            permissions |= stat.S_ISGID
        node = self._new_names.node(directory, name, permissions, caller)
        if not self._tree.make_log(path + b"/"):
            self._take_over(path)
        self._recorder.update(directory, self._new_names.adding(directory, node))
        directory.add(node)
        self._writeback.touch(directory)

    def _take_over(self, path: bytes) -> None:
        """Empty the item of a directory that nobody names; raises EEXIST when somebody does."""
        above, name = split(path)
        if name in self._tree.directory(above, now=True).children:
            raise failure(errno.EEXIST)
        if not self._tree.empty_log(path + b"/"):
            raise failure(errno.EEXIST)

    def remove_directory(self, path: bytes) -> None:
        """Remove the empty directory `path` (rmdir(2))."""
        self._rules.check_writable()
        node = self._tree.find(path)
        if not node.is_directory:
            raise failure(errno.ENOTDIR)
        parent = node.directory
        if parent is None:
            raise failure(errno.EBUSY)
        directory = self.empty(path)
        if directory is None:
            self._sweep(path + b"/")
            self._recorder.update(parent, lambda: [tombstone(node.entry.name)])
        else:
            self._remove(node, directory, parent)
        parent.take_out(node)
        self._tree.drop(path + b"/")
        self._writeback.forget(node)
        self._writeback.touch(parent)
        self._links.changed(path)

    def _remove(self, node: Node, directory: Directory, parent: Directory) -> None:
        gone = [tombstone(node.entry.name)]
        remove = to.remove(self._tree.key(directory), directory.cas)
        for _ in self._recorder.attempts(parent):
            if node.directory is not parent:
                raise failure(errno.ENOENT)
            record = self._recorder.append(parent, gone)
            removed, written = self._items.exchange(remove, record)
            if not self._recorder.appended(parent, record, written, gone):
                continue
            self._recorder.tidy(parent)
            if removed.status == b"EX":  # somebody has put something into it meanwhile
                self._recorder.update(parent, lambda: [node.recorded])
                raise failure(errno.ENOTEMPTY)
            return

    def _sweep(self, path: bytes) -> None:
        """Remove all that is below the directory `path`, whose records are lost."""
        below = (
            self._rules.page_key(path, b""),
            self._rules.private_key(path, b""),
            self._rules.head_key(path, b""),
            self._rules.directory_key(path),
        )
        self._items.delete_many([key for key in self._items.all_keys() if key.startswith(below)])

    def empty(self, path: bytes) -> Directory | None:
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
