"""Attributes: what changes modes, owners and times also moves pages in and out of sight."""

import errno
import os
import stat
from collections.abc import Callable

from msgspec.structs import replace

from memfis.filesystem.exposing import Exposing
from memfis.filesystem.handles import Handles
from memfis.filesystem.items import failure
from memfis.filesystem.links import Links
from memfis.filesystem.nodes import Node
from memfis.filesystem.recorder import Change, Recorder
from memfis.filesystem.relocation import Relocation
from memfis.filesystem.rules import Rules
from memfis.filesystem.tree import Tree
from memfis.filesystem.tree_exposure import is_marked, marked
from memfis.filesystem.writeback import Writeback
from memfis.layout.records import Entry

EXTENDED_LIMIT = 64 * 1024
"""Bytes of the values of all extended attributes of a file, and of their names.

XATTR_SIZE_MAX and XATTR_LIST_MAX (linux/limits.h), which are those of one value and of all names.
"""


class AttributeChanges:
    """Operations that change what stat(2) and getxattr(2) tell."""

    def __init__(
        self,
        tree: Tree,
        recorder: Recorder,
        rules: Rules,
        handles: Handles,
        exposing: Exposing,
        links: Links,
        relocation: Relocation,
        writeback: Writeback,
        follow_others: Callable[[], None],
    ) -> None:
        """Change nodes of `tree`, and what the store has of them.

        `follow_others` follows the links of other mounts that are not known yet.
        """
        self._tree = tree
        self._recorder = recorder
        self._rules = rules
        self._handles = handles
        self._exposing = exposing
        self._links = links
        self._relocation = relocation
        self._writeback = writeback
        self._follow_others = follow_others

    def change_mode(self, path: bytes | None, mode: int, handle: int | None = None) -> None:
        """Change the permission bits (chmod(2))."""

        def change(entry: Entry) -> Entry:
            return replace(entry, mode=stat.S_IFMT(entry.mode or 0) | stat.S_IMODE(mode))

        self._change(self._handles.find(path, handle), change)

    def change_owner(
        self, path: bytes | None, uid: int, gid: int, handle: int | None = None
    ) -> None:
        """Change owner and group (chown(2)); -1: as it is."""

        def change(entry: Entry) -> Entry:
            return replace(
                entry,
                uid=entry.uid if uid in (-1, 0xFFFFFFFF) else uid,
                gid=entry.gid if gid in (-1, 0xFFFFFFFF) else gid,
            )

        self._change(self._handles.find(path, handle), change)

    def change_times(
        self,
        path: bytes | None,
        atime_ns: int | None,
        mtime_ns: int | None,
        handle: int | None = None,
    ) -> None:
        """Change the times (utimensat(2)); None: as it is. That of the last access is not kept."""
        self._rules.check_writable()
        node = self._handles.find(path, handle)
        self._writeback.stamp(node)
        if atime_ns is not None:
            node.atime_ns = atime_ns
        if mtime_ns is not None:
            node.entry = replace(node.entry, mtime_ns=mtime_ns)
            self._writeback.later(node)

    def set_extended(
        self,
        path: bytes | None,
        name: bytes,
        value: bytes,
        flags: int,
        handle: int | None = None,
    ) -> None:
        """Set an extended attribute (setxattr(2))."""
        text = name.decode("latin-1")
        if not text.startswith("user."):
            raise failure(errno.EOPNOTSUPP)

        def change(entry: Entry) -> Entry:
            kept = dict(entry.extended or {})
            if flags & os.XATTR_CREATE and text in kept:
                raise failure(errno.EEXIST)
            if flags & os.XATTR_REPLACE and text not in kept:
                raise failure(errno.ENODATA)
            kept[text] = value.decode("latin-1")
            if (
                sum(map(len, kept)) > EXTENDED_LIMIT
                or sum(map(len, kept.values())) > EXTENDED_LIMIT
            ):
                raise failure(errno.ENOSPC)
            return replace(entry, extended=kept)

        self._change(self._handles.find(path, handle), change)

    def remove_extended(self, path: bytes | None, name: bytes, handle: int | None = None) -> None:
        """Remove an extended attribute (removexattr(2))."""
        text = name.decode("latin-1")

        def change(entry: Entry) -> Entry:
            kept = dict(entry.extended or {})
            if not text.startswith("user.") or text not in kept:
                raise failure(errno.ENODATA)
            del kept[text]
            return replace(entry, extended=kept or None)

        self._change(self._handles.find(path, handle), change)

    def _change(self, node: Node, change: Change) -> None:
        """Give `node` the attributes that `change` makes, and pages their right places."""
        self._rules.check_writable()
        self._writeback.stamp(node)
        if node.unwritten or (node.directory is None and node is not self._tree.root):
            node.entry = change(node.entry)  # with its first save, if there is one
            return
        try:
            if node.is_directory:
                self._change_directory(node, change)
            elif node.is_link:
                self._recorder.change(node, change)
            else:
                self._exposing.change(node, change)
                if node.directory is not None:
                    self._links.changed(node.path)
        except OSError:
            if node.directory is not None:
                node.directory.forget()  # whatever of it the store has
            raise
        if not node.pending:
            self._writeback.forget(node)
        if not self._is_public(node):
            self._follow_others()  # a link that we do not know yet may have had its page

    def _is_public(self, node: Node) -> bool:
        if node.is_directory:
            return self._rules.is_public_directory(self._tree.below(node))
        return node.has_page

    def _change_directory(self, node: Node, change: Change) -> None:
        self._writeback.write_all()
        directory = self._tree.below(node)
        self._recorder.look(directory)
        was = self._rules.is_public_directory(directory)
        begun = is_marked(node.recorded)
        opens = self._rules.open_to_visitors
        moves = begun or opens(change(node.recorded)) != opens(node.recorded)
        self._recorder.change(
            node, lambda entry: marked(change(entry), on=moves)
        )  # until all is done
        if begun or self._rules.is_public_directory(directory) != was:
            self._relocation.expose_below(directory, again=begun)
        if moves:
            self._recorder.change(node, lambda entry: marked(entry, on=False))
