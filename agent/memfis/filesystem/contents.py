"""The contents of files: read from their items, and published when a file is closed."""

import errno
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from memfis.errors import MemfisError
from memfis.filesystem.items import Items, failure
from memfis.filesystem.nodes import Content, Directory, Node
from memfis.filesystem.rules import Rules
from memfis.filesystem.tree import Tree
from memfis.layout.compression import Compression
from memfis.layout.pages import NO_PAGE, Page, content_of, make_page
from memfis.layout.paths import shown
from memfis.layout.records import Entry, tombstone
from memfis.store import Request
from memfis.store import exchange as to

log = logging.getLogger(__name__)

UNSAVED = 64 * 1024 * 1024
"""Bytes that are kept of closed files that the store did not take."""

OVERHEAD = 512
"""Bytes of an item that are not its value: at most, with the longest key."""

TOGETHER = 4 * 1024 * 1024
"""Bytes of contents that are made ready to be written together."""


@dataclass(frozen=True)
class _Save:
    """What is to be written for one file."""

    node: Node
    entry: Entry
    put: Request
    before: tuple[Request, ...] = ()
    """What may no longer be seen goes first."""
    after: tuple[Request, ...] = ()


class Contents:
    """Reads and writes the items of files."""

    def __init__(
        self,
        items: Items,
        tree: Tree,
        rules: Rules,
        compression: Compression,
        now: Callable[[], int],
        batch: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep contents in `items` by `rules`; `now` gives nanoseconds since the epoch.

        `batch`: seconds that what is closed or removed may wait for more in its directory, so that
        their records are written at once; 0: nothing waits.
        """
        self._items = items
        self._tree = tree
        self._rules = rules
        self._compression = compression
        self._now = now
        self._batch, self._clock = batch, clock
        self._held: dict[Node, float] = {}
        """Closed files that wait for others in their directory, and since when."""
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
        self.settle(node)
        content = self.load(node).writable()
        if begin > len(content):
            content.extend(bytes(begin - len(content)))
        content[begin : begin + len(data)] = data
        self.changed(node)

    def resize(self, node: Node, length: int) -> None:
        """Cut the file, or let it grow by zeros; raises EFBIG."""
        self.check_size(length)
        self.settle(node)
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

    def is_held(self, node: Node) -> bool:
        """Whether the file waits for others in its directory to be written with them."""
        return node in self._held

    def hold(self, node: Node) -> bool:
        """Let a closed file wait for others in its directory; False when it may not."""
        if not self._batch or self._held_bytes() + _size(node) > UNSAVED:
            return False
        self._held.setdefault(node, self._clock())
        return True

    def settle(self, node: Node) -> None:
        """Write a file that waits, before anything is done to it."""
        if node in self._held:
            self.save(node)

    def due(self, *, now: bool = False) -> list[list[Node]]:
        """Return files to `save` together: those of a directory where one has waited for long.

        `now`: all that wait.
        """
        until = self._clock() - (0 if now else self._batch)
        waiting: dict[Directory, list[Node]] = {}
        for node in list(self._held):
            if node.directory is None or not node.dirty:
                del self._held[node]
            else:
                waiting.setdefault(node.directory, []).append(node)
        return [
            portion
            for nodes in waiting.values()
            if min(self._held[node] for node in nodes) <= until
            for portion in _portions(nodes)
        ]

    def save(self, *nodes: Node) -> None:
        """Write records and contents of files in one directory, as far as the store lacks them.

        A file that the store refuses stays in memory: `retry` writes it then.
        """
        nodes = tuple(node for node in nodes if node.directory is not None and node.dirty)
        for node in nodes:
            self._held.pop(node, None)
        if not nodes:
            return
        try:
            self._save([self._ready(node) for node in nodes], _place(nodes[0]))
        except OSError as error:
            for node in nodes:
                if node.dirty:
                    self._keep(node, str(error.strerror or error))
            raise
        finally:
            for node in nodes:
                if not node.dirty:
                    self.unsaved.pop(node, None)

    def _ready(self, node: Node) -> _Save:
        if node.content is None:  # only made
            node.content = Content(b"", dirty=True)
        data = bytes(node.content.data)
        page = make_page(node.name, data, self._compression)
        public = self._rules.is_public(node)
        flags = page.flags if public else page.flags | NO_PAGE
        entry = replace(node.entry, size=len(data), flags=flags)
        path = _place(node).path
        put = to.put(self._rules.key(path, node.name, flags), page.value, page.flags)
        if node.unwritten or node.has_page == public:
            return _Save(node, entry, put)
        if public:
            return _Save(
                node, entry, put, after=(to.remove(self._rules.private_key(path, node.name)),)
            )
        return _Save(node, entry, put, before=(to.remove(self._rules.page_key(path, node.name)),))

    def _save(self, saves: Sequence[_Save], directory: Directory) -> None:
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
        self._held.pop(node, None)
        if not node.unwritten:
            path = directory.path
            gone = tombstone(node.entry.name)
            keys = [self._rules.page_key(path, node.name)]
            if not node.has_page and not node.is_link:
                keys.append(self._rules.private_key(path, node.name))
            if self._batch and not node.is_link:
                self._items.exchange(*map(to.remove, keys))
                self._tree.record_later(directory, gone)
            else:
                record = self._tree.append(directory, [gone])
                *_, written = self._items.exchange(*map(to.remove, keys), record)
                self._tree.appended(directory, record, written, 1)
        directory.take_out(node)

    def _keep(self, node: Node, reason: str) -> None:
        if node in self.unsaved or self._held_bytes() + _size(node) <= UNSAVED:
            self.unsaved[node] = reason
            return
        log.error("cannot keep %s, which the store did not take: %s", shown(node.path), reason)
        node.content = None
        if node.unwritten and node.directory:
            node.directory.take_out(node)

    def _held_bytes(self) -> int:
        return sum(map(_size, self.unsaved.keys() | self._held.keys()))

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


def _size(node: Node) -> int:
    return len(node.content.data) if node.content else 0


def _portions(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Yield `nodes` in portions of TOGETHER bytes; a larger one alone."""
    portion: list[Node] = []
    held = 0
    for node in nodes:
        if portion and held + _size(node) > TOGETHER:
            yield portion
            portion, held = [], 0
        portion.append(node)
        held += _size(node)
    yield portion
