"""What the records of a whole site tell: where links are, and what was interrupted."""

import logging

from memfis.catalog.catalog import Catalog
from memfis.filesystem.links import Links
from memfis.filesystem.nodes import Node
from memfis.filesystem.recorder import Recorder
from memfis.filesystem.relocation import Relocation
from memfis.filesystem.shared_site import SharedSite
from memfis.filesystem.tree import Tree
from memfis.filesystem.tree_exposure import is_marked, marked
from memfis.layout.paths import shown
from memfis.layout.records import MOVING, Entry

log = logging.getLogger(__name__)


class Recovery:
    """Reads all records of a site, goes on with what was interrupted, and follows the links."""

    def __init__(
        self,
        catalog: Catalog,
        tree: Tree,
        links: Links,
        relocation: Relocation,
        shared: SharedSite,
        recorder: Recorder,
    ) -> None:
        """Read `catalog`; `shared` tells of links. What is to be done is done by the others."""
        self._shared = shared
        self._catalog = catalog
        self._tree = tree
        self._links = links
        self._relocation = relocation
        self._recorder = recorder

    def take_up(self) -> None:
        """Go on with moves and changes of modes that were interrupted, then follow all links."""
        entries = self._entries()
        moves = [each for each in entries if MOVING in (each[1].extended or {})]
        if moves:
            for path, entry in moves:
                self._move_again(path, entry)
            entries = self._entries()
        for path in [path + entry.raw for path, entry in entries if is_marked(entry)]:
            self._expose_again(self._tree.find(path))
        if is_marked(self._tree.root.entry):
            self._expose_again(self._tree.root)
        self._follow(entries)

    def follow_links(self) -> None:
        """Follow all links, those of other mounts too."""
        self._follow(self._entries())

    def follow_others(self) -> None:
        """Follow all links if other mounts have made or removed some since that was done last."""
        if self._shared.others_links():
            self.follow_links()

    def _follow(self, entries: list[tuple[bytes, Entry]]) -> None:
        self._links.follow_all(
            [path + entry.raw for path, entry in entries if entry.target is not None]
        )

    def _move_again(self, path: bytes, entry: Entry) -> None:
        log.info("going on with the move to %s", shown(path + entry.raw))
        try:
            self._relocation.take_up(path, entry)
        except OSError as error:
            log.error("cannot end it: %s", error.strerror)  # noqa: TRY400 - clear enough

    def _expose_again(self, node: Node) -> None:
        log.info("going on with the mode of %s", shown(node.path if node.directory else b"/"))
        try:
            self._relocation.expose_below(self._tree.below(node), again=True)
            self._recorder.change(node, lambda entry: marked(entry, on=False))
        except OSError as error:
            log.error("cannot end it: %s", error.strerror)  # noqa: TRY400 - clear enough

    def _entries(self) -> list[tuple[bytes, Entry]]:
        """Return the links and whatever has extended attributes, each with where it is."""
        return [
            (path, entry)
            for path, directory in self._catalog.tree(b"/")
            for entry in (directory.entries.values() if directory else ())
            if entry.target is not None or entry.extended
        ]
