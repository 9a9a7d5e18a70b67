"""When files are saved: at once, together with others of their directory, or once there is room."""

import errno
import logging
from collections.abc import Iterator, Sequence

from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.timing import Timing
from memfis.filesystem.writing import Writing
from memfis.layout.paths import shown

log = logging.getLogger(__name__)

UNSAVED = 64 * 1024 * 1024
"""Bytes that are kept of closed files that wait, or that the store did not take."""

TOGETHER = 4 * 1024 * 1024
"""Bytes of contents that are made ready to be written together."""


class Saves:
    """Saves files, and keeps those in memory that are not saved yet."""

    def __init__(self, writing: Writing, timing: Timing) -> None:
        """Save files by `writing`."""
        self._writing = writing
        self._batch, self._clock = timing.batch, timing.clock
        self._held: dict[Node, float] = {}
        """Closed files that wait for others in their directory, and since when."""
        self.unsaved: dict[Node, str] = {}
        """Files that the store did not take when they were written, and why."""

    def is_held(self, node: Node) -> bool:
        """Whether the file waits for others in its directory to be written with them."""
        return node in self._held

    def hold(self, node: Node) -> bool:
        """Keep a closed file until others in its directory are closed; False when it may not."""
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
            self._writing.write(nodes)
        except OSError as error:
            for node in nodes:
                if node.directory is not None and error.errno == errno.ENOENT:
                    log.warning("%s is lost: its directory is gone", shown(node.path))
                    self.unsaved.pop(node, None)
                    node.directory.take_out(node)
                elif node.directory is not None and node.dirty:
                    self._keep(node, str(error.strerror or error))
            raise
        finally:
            for node in nodes:
                if not node.dirty or node.directory is None:
                    self.unsaved.pop(node, None)

    def delete(self, node: Node) -> None:
        """Remove the name `node` of a file or link, saved or not."""
        directory = node.place
        self.unsaved.pop(node, None)
        self._held.pop(node, None)
        if not node.unwritten:
            later = bool(self._batch) and not node.is_link
            self._writing.delete(node, record_later=later)
        directory.take_out(node)

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
                continue
            if node.directory is None:
                continue
            if not node.handles:
                node.content = None
            log.info("%s is written now", shown(node.path))

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
