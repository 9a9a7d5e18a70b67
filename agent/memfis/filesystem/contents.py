"""The contents of files: read from their items, and published when a file is closed."""

import errno
import logging
from collections.abc import Callable

from msgspec.structs import replace

from memfis.compression import Compression
from memfis.entries import tombstone
from memfis.errors import MemfisError, shown
from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Content, Directory, Node
from memfis.filesystem.rules import Rules
from memfis.filesystem.tree import Tree
from memfis.pages import NO_PAGE, Page, content_of, make_page
from memfis.store import Answer, Request
from memfis.store import exchange as to

log = logging.getLogger(__name__)

UNSAVED = 64 * 1024 * 1024
"""Bytes that are kept of closed files that the store did not take."""

OVERHEAD = 512
"""Bytes of an item that are not its value: at most, with the longest key."""


class Contents:
    """Reads and writes the items of files."""

    def __init__(
        self,
        items: Items,
        tree: Tree,
        rules: Rules,
        compression: Compression,
        now: Callable[[], int],
    ) -> None:
        """Keep contents in `items` by `rules`; `now` gives nanoseconds since the epoch."""
        self._items = items
        self._tree = tree
        self._rules = rules
        self._compression = compression
        self._now = now
        self._item_limit = 0
        self.unsaved: dict[Node, str] = {}
        """Files that the store did not take when they were written, and why."""

    @property
    def limit(self) -> int:
        """How many bytes a file may have."""
        if not self._item_limit:
            self._item_limit = self._items.statistics().item_limit
        return self._item_limit - OVERHEAD

    def load(self, node: Node) -> Content:
        """Return the content of the file `node`; raises EIO when the store has lost it."""
        if node.content is None:
            found = self.fetch(node)
            if found is None:
                raise failure(errno.EIO, f"the store has lost {shown(node.name)}")
            try:
                node.content = Content(content_of(found))
            except MemfisError as error:
                raise failure(errno.EIO, str(error)) from error
        return node.content

    def fetch(self, node: Node) -> Page | None:
        """Return the stored form of `node`, wherever an interrupted change has left it."""
        directory = _place(node)
        for flags in (node.entry.flags, node.entry.flags ^ NO_PAGE):
            key = self._rules.key(directory.path, node.name, flags)
            [found] = self._items.exchange(to.fetch(key))
            if found.done:
                return Page(found.value, found.flags)
        return None

    def change(self, node: Node, begin: int, data: bytes) -> None:
        """Write `data` at the offset `begin`; raises EFBIG."""
        self.check_size(begin + len(data))
        content = self.load(node).writable()
        if begin > len(content):
            content.extend(bytes(begin - len(content)))
        content[begin : begin + len(data)] = data
        self.changed(node)

    def resize(self, node: Node, length: int) -> None:
        """Cut the file, or let it grow by zeros; raises EFBIG."""
        self.check_size(length)
        if length == 0:
            if node.content is None:
                node.content = Content(bytearray())
            node.content.data = bytearray()
        else:
            content = self.load(node).writable()
            if length < len(content):
                del content[length:]
            else:
                content.extend(bytes(length - len(content)))
        self.changed(node)

    def check_size(self, size: int) -> None:
        """Raise EFBIG when no file may have `size` bytes."""
        if size > self.limit:
            raise failure(errno.EFBIG, f"an item holds {self.limit} bytes at most")

    def changed(self, node: Node) -> None:
        """Take note that the content of `node` was written to."""
        assert node.content is not None
        node.content.dirty = True
        now = self._now()
        node.ctime_ns = now
        # write(2) takes away what lets a file run as somebody else, the kernel asks for it itself
        node.entry = replace(node.entry, size=len(node.content.data), mtime_ns=now)

    def save(self, node: Node) -> None:
        """Write the record and the content of `node` if the store lacks them; atomic for nginx.

        The file stays in memory when the store refuses it: `retry` writes it then.
        """
        if node.directory is None or not node.dirty:
            return
        try:
            self._save(node, node.directory)
        except OSError as error:
            self._keep(node, str(error.strerror or error))
            raise
        self.unsaved.pop(node, None)

    def _save(self, node: Node, directory: Directory) -> None:
        if node.content is None:  # only made
            node.content = Content(b"", dirty=True)
        data = bytes(node.content.data)
        page = make_page(node.name, data, self._compression)
        public = self._rules.is_public(node)
        flags = page.flags if public else page.flags | NO_PAGE
        entry = replace(node.entry, size=len(data), flags=flags)
        record = self._tree.append(directory, [entry])
        path = directory.path
        put = to.put(self._rules.key(path, node.name, flags), page.value, page.flags)
        if node.unwritten or node.has_page == public:
            written, stored = self._items.exchange(record, put)
        elif public:
            other = to.remove(self._rules.private_key(path, node.name))
            written, stored, _ = self._items.exchange(record, put, other)
        else:  # what may no longer be seen goes first
            other = to.remove(self._rules.page_key(path, node.name))
            _, written, stored = self._items.exchange(other, record, put)
        self._check_recorded(node, directory, record, written, put)
        node.entry = entry
        node.unwritten = node.pending = False
        if not stored.done:  # no room for two at once, and the old one has gone
            [stored] = self._items.exchange(put)
            if not stored.done:
                raise failure(errno.ENOSPC, stored.refusal)
        node.content.dirty = False

    def _check_recorded(
        self, node: Node, directory: Directory, record: Request, answer: Answer, put: Request
    ) -> None:
        try:
            self._tree.appended(directory, record, answer, 1)
        except OSError:
            # No page without a record: the directory is gone, or has no room.
            key = put[0].split(b" ", 2)[1]
            self._items.exchange(to.remove(key))
            raise

    def expose(self, node: Node) -> None:
        """Move the item of the file `node` to where its mode and its place want it."""
        directory = _place(node)
        public = self._rules.is_public(node)
        if node.dirty and (node.unwritten or not node.has_page or public):
            return  # with its next save
        if node.has_page == public:
            self._tree.record(directory, node.entry)
            return
        page = self.fetch(node)
        if page is None:
            raise failure(errno.EIO, f"the store has lost {shown(node.name)}")
        path = directory.path
        entry = replace(node.entry, flags=page.flags if public else page.flags | NO_PAGE)
        record = self._tree.append(directory, [entry])
        page_at = self._rules.page_key(path, node.name)
        private_at = self._rules.private_key(path, node.name)
        if public:
            written, stored = self._items.exchange(record, to.put(page_at, page.value, page.flags))
        else:
            [stored] = self._items.exchange(to.put(private_at, page.value, page.flags))
            if stored.done:
                _, written = self._items.exchange(to.remove(page_at), record)
        if not stored.done:
            raise failure(errno.ENOSPC, stored.refusal)
        self._tree.appended(directory, record, written, 1)
        node.entry = entry
        if public:
            self._items.exchange(to.remove(private_at))

    def delete(self, node: Node) -> None:
        """Take the name `node` out of the store: first its page, then its record."""
        directory = _place(node)
        self.unsaved.pop(node, None)
        if not node.unwritten:
            path = directory.path
            record = self._tree.append(directory, [tombstone(node.entry.name)])
            keys = [self._rules.page_key(path, node.name)]
            if not node.has_page and not node.is_link:
                keys.append(self._rules.private_key(path, node.name))
            *_, written = self._items.exchange(*map(to.remove, keys), record)
            self._tree.appended(directory, record, written, 1)
        directory.take_out(node)

    def _keep(self, node: Node, reason: str) -> None:
        held = sum(len(each.content.data) for each in self.unsaved if each.content)
        mine = len(node.content.data) if node.content else 0
        if node in self.unsaved or held + mine <= UNSAVED:
            self.unsaved[node] = reason
            return
        log.error("cannot keep %s, which the store did not take: %s", shown(node.path), reason)
        node.content = None
        if node.unwritten and node.directory:
            node.directory.take_out(node)

    def retry(self) -> None:
        """Try once more to write what the store did not take."""
        for node in list(self.unsaved):
            if node.directory is None:
                del self.unsaved[node]
                continue
            try:
                self.save(node)
            except OSError as error:  # save has kept it, and why
                if error.errno != errno.ENOENT:
                    return
                log.warning("%s is lost: its directory is gone", shown(node.path))
                del self.unsaved[node]
                continue
            if not node.handles:
                node.content = None
            log.info("%s is written now", shown(node.path))


def _place(node: Node) -> Directory:
    if node.directory is None:
        raise failure(errno.ESTALE, "the name is gone")
    return node.directory
