"""symlink(2) and unlink(2)."""

import errno
import stat

from msgspec.structs import replace

from memfis.filesystem.contents import Contents
from memfis.filesystem.interface import Caller
from memfis.filesystem.items import failure
from memfis.filesystem.links import Links
from memfis.filesystem.new_names import NewNames
from memfis.filesystem.recorder import Recorder
from memfis.filesystem.rules import Rules
from memfis.filesystem.saves import Saves
from memfis.filesystem.tree import Tree
from memfis.filesystem.writeback import Writeback


class Names:
    """Operations that add links, and take names of links and files away."""

    def __init__(
        self,
        tree: Tree,
        recorder: Recorder,
        rules: Rules,
        new_names: NewNames,
        contents: Contents,
        saves: Saves,
        links: Links,
        writeback: Writeback,
    ) -> None:
        """Add names to `tree` and remove them by `recorder`, and what the store has of them."""
        self._tree = tree
        self._recorder = recorder
        self._rules = rules
        self._new_names = new_names
        self._contents = contents
        self._saves = saves
        self._links = links
        self._writeback = writeback

    def make_link(self, path: bytes, target: bytes, caller: Caller) -> None:
        """Make a symbolic link at `path` that points to `target` (symlink(2))."""
        directory, name = self._new_names.room_for(path)
        node = self._new_names.node(directory, name, stat.S_IFLNK | 0o777, caller)
        node.record(replace(node.entry, target=target.decode("latin-1"), size=len(target)))
        self._recorder.update(directory, self._new_names.adding(directory, node))
        directory.add(node)
        self._writeback.touch(directory)
        self._links.tell()
        self._links.add(path)
        self._links.changed(path)

    def remove(self, path: bytes) -> None:
        """Remove the name `path` of a file or link (unlink(2)); open files live on."""
        self._rules.check_writable()
        node = self._tree.find(path)
        directory = node.directory
        if node.is_directory or directory is None:
            raise failure(errno.EISDIR)
        self._contents.load_if_open(node)
        self._saves.delete(node)
        self._writeback.forget(node)
        self._writeback.stamp(node)
        self._writeback.touch(directory)
        if node.is_link:
            self._links.forget(path)
            self._links.tell()
        self._links.changed(path)
