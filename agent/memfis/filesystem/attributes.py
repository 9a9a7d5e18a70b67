"""Attributes: what changes modes, owners and times also moves pages in and out of sight."""

import errno
import logging
import os
import stat

from msgspec.structs import replace

from memfis.filesystem.items import failure
from memfis.filesystem.moving import is_marked, marked
from memfis.filesystem.nodes import Node
from memfis.filesystem.volume import Volume
from memfis.layout.records import Entry

log = logging.getLogger(__name__)

EXTENDED_LIMIT = 64 * 1024
"""Bytes of all extended attributes of a file (XATTR_SIZE_MAX, linux/limits.h)."""


class AttributeChanges(Volume):
    """Operations that change what stat(2) and getxattr(2) tell."""

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
            elif node.is_link and node.directory is not None:
                self._tree.record(node.directory, entry)
                node.entry = entry
            else:
                node.entry = entry
                self._contents.expose(node)
                self._links.changed(node.path)
        except OSError:
            node.entry = before
            if node.directory is not None:
                node.directory.forget()  # whatever of it the store has
            raise
        self._pending.discard(node)
        node.pending = False

    def _change_directory(self, node: Node, entry: Entry) -> None:
        self.write_all()
        directory = self._tree.below(node)
        was = self._rules.is_public_directory(directory)
        begun = is_marked(entry)
        node.entry = entry = marked(entry, on=False)
        if begun or self._rules.is_public_directory(directory) != was:
            self._record_directory(node, marked(entry, on=True))  # until all is done
            self._renames.expose_below(directory, again=begun)
        self._record_directory(node, entry)
