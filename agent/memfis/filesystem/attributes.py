"""Attributes: what changes modes, owners and times also moves pages in and out of sight."""

import errno
import os
import stat

from msgspec.structs import replace

from memfis.filesystem.handles import Handles
from memfis.filesystem.items import failure
from memfis.filesystem.links import Links
from memfis.filesystem.moving import is_marked, marked
from memfis.filesystem.nodes import Node
from memfis.filesystem.relocation import Relocation
from memfis.filesystem.rules import Rules
from memfis.filesystem.tree import Tree
from memfis.filesystem.writeback import Writeback
from memfis.filesystem.writing import Writing
from memfis.layout.records import Entry

EXTENDED_LIMIT = 64 * 1024
"""Bytes of all extended attributes of a file (XATTR_SIZE_MAX, linux/limits.h)."""


class AttributeChanges:
    """Operations that change what stat(2) and getxattr(2) tell."""

    def __init__(
        self,
        tree: Tree,
        rules: Rules,
        handles: Handles,
        writing: Writing,
        links: Links,
        relocation: Relocation,
        writeback: Writeback,
    ) -> None:
        """Change nodes of `tree`, and what the store has of them."""
        self._tree = tree
        self._rules = rules
        self._handles = handles
        self._writing = writing
        self._links = links
        self._relocation = relocation
        self._writeback = writeback

    def change_mode(self, path: bytes | None, mode: int, handle: int | None = None) -> None:
        """Change the permission bits (chmod(2))."""
        node = self._handles.find(path, handle)
        self._change(node, replace(node.entry, mode=stat.S_IFMT(node.mode) | stat.S_IMODE(mode)))

    def change_owner(
        self, path: bytes | None, uid: int, gid: int, handle: int | None = None
    ) -> None:
        """Change owner and group (chown(2)); -1: as it is."""
        node = self._handles.find(path, handle)
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
        self._rules.check_writable()
        node = self._handles.find(path, handle)
        self._writeback.stamp(node)
        if atime_ns is not None:
            node.atime_ns = atime_ns
        if mtime_ns is not None:
            node.entry = replace(node.entry, mtime_ns=mtime_ns)
            self._writeback.later(node)

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
        self._rules.check_writable()
        before = node.entry
        self._writeback.stamp(node)
        if node.directory is None and node is not self._tree.root:
            node.entry = entry
            return
        try:
            if node.is_directory:
                self._change_directory(node, entry)
            elif node.is_link and node.directory is not None:
                self._tree.record(node.directory, entry)
                node.entry = entry
            else:
                node.entry = entry
                self._writing.expose(node)
                self._links.changed(node.path)
        except OSError:
            node.entry = before
            if node.directory is not None:
                node.directory.forget()  # whatever of it the store has
            raise
        self._writeback.forget(node)
        node.pending = False

    def _change_directory(self, node: Node, entry: Entry) -> None:
        self._writeback.write_all()
        directory = self._tree.below(node)
        was = self._rules.is_public_directory(directory)
        begun = is_marked(entry)
        node.entry = entry = marked(entry, on=False)
        if begun or self._rules.is_public_directory(directory) != was:
            self._writeback.record_directory(node, marked(entry, on=True))  # until all is done
            self._relocation.expose_below(directory, again=begun)
        self._writeback.record_directory(node, entry)
