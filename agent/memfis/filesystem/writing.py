"""How the records and items of files are written, so that visitors get the old page or the new."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from memfis.filesystem.contents import Contents
from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Content, Directory, Node
from memfis.filesystem.rules import Rules
from memfis.filesystem.tree import Tree
from memfis.layout.compression import Compression
from memfis.layout.pages import NO_PAGE, make_page
from memfis.layout.paths import shown
from memfis.layout.records import Entry, tombstone
from memfis.store import Request
from memfis.store import exchange as to


@dataclass(frozen=True)
class _Save:
    """What is to be written for one file."""

    node: Node
    entry: Entry
    put: Request
    before: tuple[Request, ...] = ()
    """What may no longer be seen goes first."""
    after: tuple[Request, ...] = ()


class Writing:
    """Writes files into the store, moves them in and out of sight, and removes them."""

    def __init__(
        self,
        items: Items,
        tree: Tree,
        rules: Rules,
        contents: Contents,
        compression: Compression,
    ) -> None:
        """Write the files of `tree` into `items`, by `rules`."""
        self._items = items
        self._tree = tree
        self._rules = rules
        self._contents = contents
        self._compression = compression

    def write(self, nodes: Sequence[Node]) -> None:
        """Write records and contents of `nodes`, files of one directory, in one round trip."""
        self._write([self._ready(node) for node in nodes], nodes[0].place)

    def _ready(self, node: Node) -> _Save:
        if node.content is None:  # only made
            node.content = Content(b"", dirty=True)
        data = bytes(node.content.data)
        page = make_page(node.name, data, self._compression)
        public = self._rules.is_public(node)
        flags = page.flags if public else page.flags | NO_PAGE
        entry = replace(node.entry, size=len(data), flags=flags)
        path = node.place.path
        put = to.put(self._rules.key(path, node.name, flags), page.value, page.flags)
        if node.unwritten or node.has_page == public:
            return _Save(node, entry, put)
        if public:
            return _Save(
                node, entry, put, after=(to.remove(self._rules.private_key(path, node.name)),)
            )
        return _Save(node, entry, put, before=(to.remove(self._rules.page_key(path, node.name)),))

    def _write(self, saves: Sequence[_Save], directory: Directory) -> None:
        """Write `saves` into `directory`; atomic for nginx, a file at a time."""
        record = self._tree.append(directory, [each.entry for each in saves])
        first = [request for each in saves for request in each.before]
        puts = [each.put for each in saves]
        last = [request for each in saves for request in each.after]
        answers = self._items.exchange(*first, record, *puts, *last)[len(first) :]
        try:
            self._tree.appended(directory, record, answers[0], len(saves))
        except OSError:
            # No page without a record: the directory is gone, or has no room.
            self._items.exchange(*[to.remove(put[0].split(b" ", 2)[1]) for put in puts])
            raise
        refusal: str | None = None
        for each, stored in zip(saves, answers[1:], strict=False):
            node = each.node
            node.entry = each.entry
            node.unwritten = node.pending = False
            if not stored.done:  # no room for two at once, and the old one has gone
                [stored] = self._items.exchange(each.put)
            if stored.done:
                assert node.content is not None
                node.content.dirty = False
            else:
                refusal = stored.refusal
        if refusal is not None:
            raise failure(errno.ENOSPC, refusal)

    def expose(self, node: Node) -> None:
        """Move the item of the file `node` to where its mode and its place want it."""
        directory = node.place
        public = self._rules.is_public(node)
        if node.dirty and (node.unwritten or not node.has_page or public):
            return  # with its next save
        if node.has_page == public:
            self._tree.record(directory, node.entry)
            return
        page = self._contents.fetch(node)
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

    def delete(self, node: Node, *, record_later: bool) -> None:
        """Take the file or link `node` out of the store: first its page, then its record.

        `record_later`: the record may wait for others in the directory.
        """
        directory = node.place
        path = directory.path
        gone = tombstone(node.entry.name)
        keys = [self._rules.page_key(path, node.name)]
        if not node.has_page and not node.is_link:
            keys.append(self._rules.private_key(path, node.name))
        if record_later:
            self._items.exchange(*map(to.remove, keys))
            self._tree.record_later(directory, gone)
        else:
            record = self._tree.append(directory, [gone])
            *_, written = self._items.exchange(*map(to.remove, keys), record)
            self._tree.appended(directory, record, written, 1)
