"""What is written later than it is done: times of files and directories, and what was closed."""

import errno
import logging
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from memfis.filesystem.links import Links
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.recorder import Recorder
from memfis.filesystem.saves import Saves
from memfis.filesystem.timing import Timing
from memfis.filesystem.tree import Tree
from memfis.layout.paths import shown
from memfis.layout.records import Entry

log = logging.getLogger(__name__)


class Writeback:
    """Collects changes, and writes them when they are due."""

    def __init__(
        self, tree: Tree, recorder: Recorder, saves: Saves, links: Links, timing: Timing
    ) -> None:
        """Write records of `tree` by `recorder`, and files by `saves`."""
        self._tree = tree
        self._recorder = recorder
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
            if node.directory is not None:
                self._links.changed(node.path)

    def write_due(self) -> None:
        """Write files and records that have waited for long enough."""
        self._write_closed()
        if self._pending and self._clock() >= self._pending_since + self._batch:
            self.write_records()

    def write_all(self) -> None:
        """Write all that waits, at once."""
        self._write_closed(now=True)
        self._recorder.write_waiting(0)
        self.write_records()

    def write_last(self, still_open: set[Node]) -> list[str]:
        """Write all that waits, and the files `still_open`; return a line for what cannot be."""
        lost = []
        try:
            self._write_closed(now=True)
            self._recorder.write_waiting(0)
        except OSError as error:
            log.debug("cannot write what waits: %s", error)  # each is tried once more
        for node in still_open | set(self._saves.unsaved):
            if node.directory is None:
                continue
            path = node.path
            try:
                self.save(node)
            except OSError as error:
                lost.append(f"{shown(path)}: {error.strerror}")
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
                self._recorder.change(node, partial(_with_times, node))
                node.pending = False
            elif node.directory is not None:
                by_directory.setdefault(node.directory, []).append(node)
        for directory, nodes in by_directory.items():
            try:
                self._recorder.update(directory, partial(_records, directory, nodes))
            except OSError as error:
                if error.errno != errno.ENOENT:  # gone with all that is in it
                    raise
            for node in nodes:
                node.pending = False
                node.recorded = _with_times(node, node.recorded)
        self._pending.clear()

    def _write_closed(self, *, now: bool = False) -> None:
        for nodes in self._saves.due(now=now):
            self.save(*nodes)
            for node in nodes:
                if not node.handles:
                    node.content = None


def _with_times(node: Node, entry: Entry) -> Entry:
    """Return the record `entry`, as others have left it, with the times that `node` has here."""
    return replace(entry, mtime_ns=node.entry.mtime_ns)


def _records(directory: Directory, nodes: Sequence[Node]) -> list[Entry]:
    return [_with_times(node, node.recorded) for node in nodes if node.directory is directory]
