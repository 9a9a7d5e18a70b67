"""One site in a store: what every operation of the filesystem works on."""

import errno
import logging
import stat
import time
from collections.abc import Callable
from itertools import count

from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.errors import MemfisError, StoreError, UsageError
from memfis.filesystem.contents import Contents
from memfis.filesystem.interface import Caller
from memfis.filesystem.items import Items, failure
from memfis.filesystem.links import Links
from memfis.filesystem.moving import is_marked, marked
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.relocation import Renames
from memfis.filesystem.rules import Rules
from memfis.filesystem.shared_site import SiteState, check_source, root_entry
from memfis.filesystem.tree import Tree, split
from memfis.layout.pages import NO_PAGE
from memfis.layout.paths import shown
from memfis.layout.records import MOVING, Entry
from memfis.settings.load import Site
from memfis.store import Store

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds between two attempts to write what the store did not take."""


class Volume:
    """A site in a store, opened: its tree, its files, and what is still to be written."""

    def __init__(
        self,
        store: Store,
        site: Site,
        *,
        read_only: bool = False,
        timeout: float = 1.0,
        batch: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """Serve the files of `site` in `store`; what another changes is seen after `timeout` s.

        `batch`: seconds that what is closed or removed waits for more in its directory; 0: nothing
        waits, and a close has its error.
        """
        self._store = store
        self._site = site
        self._read_only = read_only
        self._timeout = timeout
        self._batch = batch
        self._clock = clock
        self._now = now
        self._items = Items(store, clock)
        self._state = SiteState(store, self._items, site)
        self._handles: dict[int, tuple[Node, int]] = {}
        self._numbers = count(1)
        self._pending: set[Node] = set()
        self._pending_since = 0.0
        self._next_look = 0.0
        self._tree: Tree
        self._contents: Contents
        self._links: Links
        self._renames: Renames
        self._rules: Rules

    def start(self, caller: Caller) -> None:
        """Look at the store; read-write: make the site and its root, owned by `caller`, if absent.

        Raises StoreError (unreachable) and UsageError (another source, another layout).
        """
        try:
            self._start(caller)
        except OSError as error:
            raise StoreError(str(error.strerror or error)) from error

    def _start(self, caller: Caller) -> None:
        item = self._state.read()
        top = root_entry(caller, self._now())
        if item is None:
            if self._read_only:
                raise UsageError(
                    f"site {self._site.name} is not in store {self._store.address}: the first mount"
                    " that may write makes it"
                )
            self._state.make(top)
            item = self._state.read()
            if item is None:
                raise UsageError(f"store {self._store.address} does not keep what is written to it")
        if not self._read_only:
            check_source(item, self._site.name)
            if item.lost:  # whoever mounts it anew has been told
                self._state.update(lambda item: replace(item, lost=0.0))
        site = self._state.settled(item)
        self._rules = Rules(site)
        self._tree = Tree(
            self._items,
            self._rules,
            item.top or top,
            timeout=self._timeout,
            clock=self._clock,
            now=self._now,
            begin=self._begin,
        )
        self._contents = Contents(
            *(self._items, self._tree, self._rules, site.compression, self._now),
            *(self._batch, self._clock),
        )
        self._links = Links(self._items, self._tree, self._rules, self._contents, site.compression)
        self._renames = Renames(self._items, self._tree, self._rules, self._contents, self._links)
        if not self._read_only:
            self._tree.make_root()
            self._know_links(beginning=True)

    def _begin(self) -> bool:
        """Make the site anew in a store that began anew; False when it is not ours to make."""
        try:
            if self._read_only or self._state.read() is not None:
                return False
        except MemfisError as error:
            raise failure(errno.EIO, str(error)) from error
        log.warning("the store has lost site %s: it begins anew, empty", self._site.name)
        self._state.make(self._tree.root.entry, lost=self._now() / 1e9)
        self._links.know([])
        return self._tree.make_root()

    def _know_links(self, *, beginning: bool = False) -> None:
        """Find the links of the site; in the `beginning` go on with what was interrupted."""
        entries = self._entries()
        moves = [each for each in entries if MOVING in (each[1].extended or {})]
        if beginning and moves:
            for path, entry in moves:
                self._take_up(path, entry)
            entries = self._entries()
        if beginning:
            for path in [path + entry.raw for path, entry in entries if is_marked(entry)]:
                self._expose_again(self._tree.find(path))
            if is_marked(self._tree.root.entry):
                self._expose_again(self._tree.root)
        self._links.know([path + entry.raw for path, entry in entries if entry.target is not None])

    def _take_up(self, path: bytes, entry: Entry) -> None:
        log.info("going on with the move to %s", shown(path + entry.raw))
        try:
            self._renames.take_up(path, entry)
        except OSError as error:
            log.error("cannot end it: %s", error.strerror)  # noqa: TRY400 - clear enough

    def _expose_again(self, node: Node) -> None:
        log.info("going on with the mode of %s", shown(node.path if node.directory else b"/"))
        try:
            self._renames.expose_below(self._tree.below(node), again=True)
            node.entry = marked(node.entry, on=False)
            self._record_directory(node, node.entry)
        except OSError as error:
            log.error("cannot end it: %s", error.strerror)  # noqa: TRY400 - clear enough

    def _record_directory(self, node: Node, entry: Entry) -> None:
        """Write the record of the directory `node`, whose entry is to be `entry`."""
        if node.directory is None:
            self._state.update(lambda item: replace(item, top=entry))
        else:
            self._tree.record(node.directory, entry)

    def _entries(self) -> list[tuple[bytes, Entry]]:
        """Return the links and whatever has extended attributes, each with where it is."""
        return [
            (path, entry)
            for path, directory in Catalog(self._store, self._site.name).tree(b"/")
            for entry in (directory.entries.values() if directory else ())
            if entry.target is not None or entry.extended
        ]

    # What may wait

    def write_pending(self) -> None:
        """Write what may wait: directory times, batches, and what the store refused before.

        To be called every 50 ms or so. What cannot be written waits longer.
        """
        if self._read_only:
            return
        try:
            self._write_closed()
            if self._pending and self._clock() >= self._pending_since + self._batch:
                self._write_records()
            if self._clock() >= self._next_look:
                self._next_look = self._clock() + max(self._timeout, RETRY)
                self._contents.retry()
                if self._state.others_links():
                    self._know_links()
            self._tree.write_waiting(self._batch)
        except (OSError, StoreError) as error:  # told by `Items` when it begins
            log.debug("cannot write what waits: %s", error)

    def write_all(self) -> None:
        """Write all that waits, at once."""
        self._write_closed(now=True)
        self._tree.write_waiting(0)
        self._write_records()

    def _write_closed(self, *, now: bool = False) -> None:
        for nodes in self._contents.due(now=now):
            self._save(*nodes)
            for node in nodes:
                if not node.handles:
                    node.content = None

    def close(self) -> list[str]:
        """Write all that is pending; return a line for each thing that could not be written."""
        lost = []
        try:
            self._write_closed(now=True)
            self._tree.write_waiting(0)
        except OSError as error:
            log.debug("cannot write what waits: %s", error)  # each is tried once more
        for node in {node for node, _ in self._handles.values()} | set(self._contents.unsaved):
            try:
                self._save(node)
            except OSError as error:
                lost.append(f"{shown(node.path)}: {error.strerror}")
        try:
            self._write_records()
        except OSError as error:
            lost += [
                f"times of {shown(node.path if node.directory else b'/')}: {error.strerror}"
                for node in self._pending
            ]
        self._items.close()
        return lost

    def _write_records(self) -> None:
        by_directory: dict[Directory, list[Node]] = {}
        for node in self._pending:
            if node is self._tree.root:
                self._state.update(lambda item: replace(item, top=self._tree.root.entry))
                node.pending = False
            elif node.directory is not None:
                by_directory.setdefault(node.directory, []).append(node)
        for directory, nodes in by_directory.items():
            try:
                self._tree.directory(directory.path, now=True)  # others may have changed more
                self._tree.record(directory, *[node.entry for node in nodes if node.directory])
            except OSError as error:
                if error.errno != errno.ENOENT:  # gone with all that is in it
                    raise
            for node in nodes:
                node.pending = False
        self._pending.clear()

    def _later(self, node: Node) -> None:
        if not node.dirty and (node.directory is not None or node is self._tree.root):
            node.pending = True
            if not self._pending:
                self._pending_since = self._clock()
            self._pending.add(node)

    def _touch(self, directory: Directory) -> None:
        node = directory.node
        now = self._now()
        node.ctime_ns = now
        node.entry = replace(node.entry, mtime_ns=now)
        self._later(node)

    def _publish(self, node: Node) -> None:
        """Write what was closed, now or together with others."""
        if node.dirty and node.directory is not None and not self._contents.hold(node):
            self._save(node)

    def _save(self, *nodes: Node) -> None:
        """Write files of one directory."""
        nodes = tuple(node for node in nodes if node.dirty and node.directory is not None)
        self._contents.save(*nodes)
        for node in nodes:
            self._pending.discard(node)
            self._links.changed(node.path)

    # Finding

    def _node(self, path: bytes | None, handle: int | None) -> Node:
        if handle is not None:
            return self._open(handle)[0]
        if path is None:
            raise failure(errno.ESTALE)
        return self._tree.find(path)

    def _directory_node(self, path: bytes) -> Node:
        node = self._tree.find(path)
        if not node.is_directory:
            raise failure(errno.ENOTDIR)
        return node

    def _open(self, handle: int) -> tuple[Node, int]:
        try:
            return self._handles[handle]
        except KeyError:
            raise failure(errno.EBADF) from None

    def _handle(self, node: Node, flags: int) -> int:
        number = next(self._numbers)
        self._handles[number] = (node, flags)
        node.handles += 1
        return number

    def _room_for(self, path: bytes) -> tuple[Directory, bytes]:
        self._check_writable()
        above, name = split(path)
        directory = self._tree.directory(above)
        if not name or name in directory.children:
            raise failure(errno.EEXIST)
        return directory, name

    def _make(self, directory: Directory, name: bytes, mode: int, caller: Caller) -> Node:
        self._rules.check_name(directory.path, name)
        parent = directory.node.entry
        gid = parent.gid if (parent.mode or 0) & stat.S_ISGID else caller.gid
        flags = 0 if stat.S_ISDIR(mode) else NO_PAGE
        text = name.decode("latin-1")
        now = self._now()
        entry = Entry(text, mode, 0, now, caller.uid, gid, flags=flags)
        return self._tree.node(directory, entry, made=now)

    def _check_writable(self) -> None:
        if self._read_only:
            raise failure(errno.EROFS)
