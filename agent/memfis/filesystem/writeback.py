"""What is written later than it is done: times of files and directories, and what was closed."""

import errno
import logging

from msgspec.structs import replace

from memfis.filesystem.links import Links
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.saves import Saves
from memfis.filesystem.shared_site import SharedSite
from memfis.filesystem.timing import Timing
from memfis.filesystem.tree import Tree
from memfis.layout.paths import shown
from memfis.layout.records import Entry

log = logging.getLogger(__name__)


class Writeback:
    """Collects changes, and writes them when they are due."""

    def __init__(
        self, tree: Tree, shared: SharedSite, saves: Saves, links: Links, timing: Timing
    ) -> None:
        """Write records into `tree`, that of the root into `shared`, and files by `saves`."""
        self._tree = tree
        self._shared = shared
        self._saves = saves
        self._links = links
        self._batch, self._clock, self._now = timing.batch, timing.clock, timing.now
        self._pending: set[Node] = set()
        self._pending_since = 0.0

    # What is noted

    def later(self, node: Node) -> None:
        """Note that the record of `node` is to be written, with its latest times."""
        if not node.dirty and (node.directory is not None or node is self._tree.root):
            node.pending = True
            if not self._pending:
                self._pending_since = self._clock()
            self._pending.add(node)

    def touch(self, directory: Directory) -> None:
        """Note that a name in `directory` has come, gone or changed."""
        node = directory.node
        now = self._now()
        node.ctime_ns = now
        node.entry = replace(node.entry, mtime_ns=now)
        self.later(node)

    def stamp(self, node: Node) -> None:
        """Note that what stat(2) tells of `node` has changed just now."""
        node.ctime_ns = self._now()

    def forget(self, node: Node) -> None:
        """Forget what was noted of `node`: it was written with something else, or is gone."""
        self._pending.discard(node)

    # What is written

    def record_directory(self, node: Node, entry: Entry) -> None:
        """Write the record of the directory `node`, whose entry is to be `entry`."""
        if node.directory is None:
            self._shared.write_top(entry)
        else:
            self._tree.record(node.directory, entry)

    def publish(self, node: Node) -> None:
        """Write a file that was closed, now or together with others."""
        if node.dirty and node.directory is not None and not self._saves.hold(node):
            self.save(node)

    def settle(self, node: Node) -> None:
        """Write a file that waits for others in its directory."""
        if self._saves.is_held(node):
            self.save(node)

    def save(self, *nodes: Node) -> None:
        """Write files of one directory."""
        nodes = tuple(node for node in nodes if node.dirty and node.directory is not None)
        self._saves.save(*nodes)
        for node in nodes:
            self._pending.discard(node)
            self._links.changed(node.path)

    def write_due(self) -> None:
        """Write files and records that have waited for long enough."""
        self._write_closed()
        if self._pending and self._clock() >= self._pending_since + self._batch:
            self.write_records()

    def write_all(self) -> None:
        """Write all that waits, at once."""
        self._write_closed(now=True)
        self._tree.write_waiting(0)
        self.write_records()

    def write_last(self, still_open: set[Node]) -> list[str]:
        """Write all that waits, and the files `still_open`; return a line for what cannot be."""
        lost = []
        try:
            self._write_closed(now=True)
            self._tree.write_waiting(0)
        except OSError as error:
            log.debug("cannot write what waits: %s", error)  # each is tried once more
        for node in still_open | set(self._saves.unsaved):
            try:
                self.save(node)
            except OSError as error:
                lost.append(f"{shown(node.path)}: {error.strerror}")
        try:
            self.write_records()
        except OSError as error:
            lost += [
                f"times of {shown(node.path if node.directory else b'/')}: {error.strerror}"
                for node in self._pending
            ]
        return lost

    def write_records(self) -> None:
        """Write the records that wait."""
        by_directory: dict[Directory, list[Node]] = {}
        for node in self._pending:
            if node is self._tree.root:
                self._shared.write_top(self._tree.root.entry)
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

    def _write_closed(self, *, now: bool = False) -> None:
        for nodes in self._saves.due(now=now):
            self.save(*nodes)
            for node in nodes:
                if not node.handles:
                    node.content = None
