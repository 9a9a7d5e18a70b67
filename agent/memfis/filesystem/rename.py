"""rename(2): what may be renamed, and what is written before and after it."""

import errno

from memfis.filesystem.directories import Directories
from memfis.filesystem.file_moves import FileMoves
from memfis.filesystem.interface import RENAME_NOREPLACE
from memfis.filesystem.items import failure
from memfis.filesystem.links import Links
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.recovery import Recovery
from memfis.filesystem.relocation import Relocation
from memfis.filesystem.rules import Rules
from memfis.filesystem.tree import Tree, split
from memfis.filesystem.writeback import Writeback


class Rename:
    """The operation that gives files, links and directories other names."""

    def __init__(
        self,
        tree: Tree,
        rules: Rules,
        links: Links,
        file_moves: FileMoves,
        relocation: Relocation,
        directories: Directories,
        recovery: Recovery,
        writeback: Writeback,
    ) -> None:
        """Check in `tree` what is asked for, and have it done by `file_moves` and `relocation`."""
        self._tree = tree
        self._rules = rules
        self._links = links
        self._file_moves = file_moves
        self._relocation = relocation
        self._directories = directories
        self._recovery = recovery
        self._writeback = writeback

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        """Give `old` the path `new` (renameat2(2)); of the flags, RENAME_NOREPLACE."""
        self._rules.check_writable()
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
            self._writeback.write_all()
            if self._move_directory(node, target, directory, new):
                return
        else:
            self._writeback.settle(node)
            if target is not None and target.is_directory:
                raise failure(errno.EISDIR)
            self._file_moves.replace(node, target, new)
        self._writeback.forget(node)
        if target is not None:
            self._writeback.forget(target)
        self._writeback.stamp(node)
        self._writeback.touch(before)
        self._writeback.touch(directory)
        self._links.changed_below(old)
        self._links.changed_below(new)
        self._recovery.follow_others()  # what is not public here may have had the page of a link

    def _move_directory(
        self, node: Node, target: Node | None, directory: Directory, new: bytes
    ) -> bool:
        """Give the directory `node` the path `new`, in `directory`, that `target` has had.

        Return whether an interrupted move was ended in its place.
        """
        old = node.path
        if target is not None and not target.is_directory:
            raise failure(errno.ENOTDIR)
        if new.startswith(old + b"/"):
            raise failure(errno.EINVAL)
        self._writeback.write_records()
        if target is not None and self._relocation.is_begun(old, target.entry):
            self._relocation.take_up(directory.path, target.entry)
            self._recovery.follow_links()
            return True
        if target is not None:
            self._directories.empty(new)
        try:
            self._relocation.move_directory(node, new)
        except OSError:
            self._tree.forget_all()
            raise
        if target is not None:
            directory.take_out(target)
        return False
