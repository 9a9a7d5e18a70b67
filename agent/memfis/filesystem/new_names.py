"""What every new name of a file, directory or link begins with."""

import errno
import random
import stat
from collections.abc import Callable

from memfis.filesystem.interface import Caller
from memfis.filesystem.items import failure
from memfis.filesystem.nodes import Directory, Node
from memfis.filesystem.rules import Rules
from memfis.filesystem.tree import Tree, split
from memfis.layout.pages import NO_PAGE
from memfis.layout.records import Entry


class NewNames:
    """Finds room for new names, and makes nodes of them."""

    def __init__(self, tree: Tree, rules: Rules, now: Callable[[], int]) -> None:
        """Make names in `tree` that `rules` allow; `now` gives nanoseconds since the epoch."""
        self._tree = tree
        self._rules = rules
        self._now = now

    def room_for(self, path: bytes) -> tuple[Directory, bytes]:
        """Return the directory of `path` and its last name; raises EEXIST, EROFS."""
        self._rules.check_writable()
        above, name = split(path)
        directory = self._tree.directory(above)
        if not name or name in directory.children:
            raise failure(errno.EEXIST)
        return directory, name

    @staticmethod
    def adding(directory: Directory, node: Node) -> Callable[[], list[Entry]]:
        """Return what makes the record of the new name `node`; that raises EEXIST."""

        def records() -> list[Entry]:
            if node.name in directory.children:
                raise failure(errno.EEXIST)
            return [node.entry]

        return records

    def node(self, directory: Directory, name: bytes, mode: int, caller: Caller) -> Node:
        """Return a node that is to be added to `directory`; raises ENAMETOOLONG."""
        self._rules.check_name(directory.path, name)
        parent = directory.node.entry
        gid = parent.gid if (parent.mode or 0) & stat.S_ISGID else caller.gid
        flags = 0 if stat.S_ISDIR(mode) else NO_PAGE
        text = name.decode("latin-1")
        now = self._now()
        own = random.getrandbits(48) if stat.S_ISREG(mode) else 0
        entry = Entry(text, mode, 0, now, caller.uid, gid, flags=flags, inode=own)
        return self._tree.node(directory, entry, made=now)
