"""The directories of a site that are in memory: not more than there is room for."""

from collections.abc import Iterator
from itertools import islice

from memfis.filesystem.nodes import Directory

KEPT = 100_000
"""Names that are kept in memory before the directories not used for longest are forgotten."""


class DirectoryCache:
    """Directories that were read, by their paths, which end with `/`; the root always is there."""

    def __init__(self, root: Directory) -> None:
        """Hold `root` only, which need not have been read yet."""
        self._directories = {root.path: root}
        self.get = self._directories.get
        """Return the directory at a path, or None."""
        self._names = 0

    def keep(self, directory: Directory) -> None:
        """Hold `directory`, and forget others when there are too many names."""
        self._directories.pop(directory.path, None)
        self._directories[directory.path] = directory  # at the end: used last
        self._names += len(directory.children)
        if self._names <= KEPT:
            return
        self._names = sum(len(each.children) for each in self._directories.values())
        for each in list(islice(self._directories.values(), len(self._directories) - 1)):
            if self._names <= KEPT // 2:
                break
            if each.path == b"/" or each.waiting:
                continue
            if not any(child.busy for child in each.children.values()):
                del self._directories[each.path]
                self._names -= len(each.children)

    def drop(self, path: bytes) -> None:
        """Forget the directory at `path`, which is gone."""
        self._directories.pop(path, None)

    def drop_all_but(self, directory: Directory) -> None:
        """Forget all but `directory`."""
        self._directories.clear()
        self._directories[directory.path] = directory

    def forget_all(self) -> None:
        """Note that everything is to be read anew."""
        for directory in self._directories.values():
            directory.forget()

    def forget_below(self, path: bytes) -> None:
        """Note that all directories below `path` are to be read anew."""
        for each, directory in self._directories.items():
            if each.startswith(path):
                directory.forget()

    def move(self, old: bytes, new: bytes) -> Iterator[Directory]:
        """Give all directories below `old` their paths below `new`, and yield them."""
        for path in [each for each in self._directories if each.startswith(old)]:
            directory = self._directories.pop(path).forget()
            directory.rename(new + path[len(old) :])
            self._directories[directory.path] = directory
            yield directory
