"""A key holds the whole path, so what gets another name moves in the store."""

from msgspec.structs import replace

from memfis.filesystem.links import Links
from memfis.filesystem.moving import Mover
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.recorder import Recorder
from memfis.filesystem.rules import Rules
from memfis.filesystem.tree import Tree, split
from memfis.filesystem.tree_exposure import TreeExposure
from memfis.layout.records import MOVING, Entry, tombstone


class Relocation:
    """Gives directories of one tree other names, and moves what the store has of them."""

    def __init__(
        self,
        tree: Tree,
        recorder: Recorder,
        rules: Rules,
        links: Links,
        mover: Mover,
        exposure: TreeExposure,
    ) -> None:
        """Rename in `tree`; `mover` moves what is below, and `exposure` shows or hides it."""
        self._tree = tree
        self._recorder = recorder
        self._rules = rules
        self._links = links
        self._mover = mover
        self._exposure = exposure

    def move_directory(self, node: Node, new: bytes) -> None:
        """Give the directory `node` the path `new`, which nothing has, or an empty directory.

        That one's item stays, and is filled: whatever interrupts this, its name can be looked into.
        """
        old_directory, old = node.place, node.path
        above, name = split(new)
        directory = self._tree.directory(above)
        self._recorder.look(old_directory, directory)
        self._mover.check(old + b"/", new + b"/")
        entry = replace(node.entry, name=name.decode("latin-1"))
        origin = {**(entry.extended or {}), MOVING: old.decode("latin-1")}
        self._recorder.update(directory, lambda: [replace(entry, extended=origin)])
        public = self._move_below(old, new, entry, directory)
        self._recorder.update(old_directory, lambda: [tombstone(node.recorded.name)])

        def done() -> list[Entry]:
            there = directory.children.get(name)
            if there is not None and self.is_begun(old, there.recorded):
                return [_moved(there.recorded)]
            return [entry]

        self._recorder.update(directory, done)  # what says where it came from goes last
        old_directory.take_out(node)
        self._tree.drop(new + b"/")
        self._tree.move(old + b"/", new + b"/")
        there = directory.children.get(name)
        if there is not None and there is not node:
            directory.take_out(there)
        self._tree.give_name(node, directory, name)
        self._links.moved(old, new)
        self._check_below(node, public=public)

    def _check_below(self, node: Node, *, public: bool) -> None:
        """Move the pages below `node` once more if its place was closed or opened meanwhile."""
        directory = self._tree.below(node)
        self._recorder.look(directory)
        if self._rules.is_public_directory(directory) != public:
            self.expose_below(directory, again=True)

    def _move_below(self, old: bytes, new: bytes, entry: Entry, directory: Directory) -> bool:
        """Move what is below `old` to `new`, the directory `entry` in `directory`.

        Return whether it may be served there.
        """
        public = (
            self._rules.fit(directory.path, entry.raw, is_directory=True)
            and self._rules.open_to_visitors(entry)
            and self._rules.is_public_directory(directory)
        )
        self._mover.move(old + b"/", new + b"/", public=public)
        return public

    @staticmethod
    def is_begun(old: bytes, entry: Entry) -> bool:
        """Whether a move from `old` to the directory `entry` was interrupted."""
        return (entry.extended or {}).get(MOVING) == old.decode("latin-1")

    def take_up(self, directory: bytes, entry: Entry) -> None:
        """Go on with an interrupted move to the directory `entry` in `directory`."""
        old = (entry.extended or {})[MOVING].encode("latin-1")
        place = self._tree.directory(directory)
        done = _moved(entry)
        self._move_below(old, directory + entry.raw, done, place)
        above, name = split(old)
        source = self._tree.exists(old)
        if source is not None:
            parent = self._tree.directory(above)
            self._recorder.update(parent, lambda: [tombstone(name.decode("latin-1"))])
            parent.take_out(source)
        self._recorder.update(place, lambda: [done])
        self._tree.forget_all()

    def expose_below(self, directory: Directory, *, again: bool) -> None:
        """Move the pages below `directory` to where its mode, or its place, wants them.

        `again`: that was begun and may have been interrupted.
        """
        for _ in self._recorder.attempts(directory):
            public = self._rules.is_public_directory(directory)
            self._exposure.expose(directory.path, public=public, again=again)
            # Another host may have closed what is above. What is in it has just been moved.
            self._recorder.look(directory.node.directory or directory)
            if self._rules.is_public_directory(directory) == public:
                break
            again = True
        self._tree.forget_below(directory.path)
        self._links.changed_below(directory.path.rstrip(b"/"))


def _moved(entry: Entry) -> Entry:
    """Return `entry` without what says where it came from."""
    extended = dict(entry.extended or {})
    extended.pop(MOVING, None)
    return replace(entry, extended=extended or None)
