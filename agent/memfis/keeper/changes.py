"""From what happened on disk to the directories of a site to compare, symbolic links followed."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from memfis.sync.difference import Task
from memfis.watch import Changes
from memfis.webroot import Link, WebRoot


class Links:
    """The symbolic links of a site: what each depends on, and where it leads."""

    def __init__(self) -> None:
        """Begin without any."""
        self._of: dict[bytes, Sequence[Link]] = {}
        self._depending: dict[bytes, set[tuple[bytes, bytes]]] = {}
        self._leading: dict[bytes, set[bytes]] = {}

    def update(self, links: Mapping[bytes, Sequence[Link]]) -> None:
        """Note what `links` the directories (URL paths) hold now."""
        for path, held in links.items():
            for link in self._of.pop(path, ()):
                for name in link.way:
                    self._depending[name].discard((path, link.name))
                self._leading[link.target].discard(path + link.name)
            if held:
                self._of[path] = held
            for link in held:
                for name in link.way:
                    self._depending.setdefault(name, set()).add((path, link.name))
                self._leading.setdefault(link.target, set()).add(path + link.name)

    def depending(self, name: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Return the links that depend on `name` (path on disk): directory (URL path), and name."""
        return self._depending.get(name, ())

    def also(self, disk: bytes) -> Iterator[bytes]:
        """Yield the URL paths, without a slash at the end, that links give the path `disk`."""
        if not self._leading:
            return
        above = disk
        while True:
            for link in self._leading.get(above, ()):
                yield link + disk[len(above.rstrip(b"/")) :].rstrip(b"/")
            if above == b"/":
                return
            above = os.path.dirname(above)


class Pending:
    """The directories of a site that are to be compared, by URL path."""

    def __init__(self) -> None:
        """Begin with none."""
        self.links = Links()
        self._deep: dict[bytes, bool] = {}
        self._named: dict[bytes, set[str]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._deep)

    def add(self, webroot: WebRoot, changes: Changes) -> None:
        """Note what `changes` mean."""
        for disk in changes.directories:
            self._add(webroot, disk, deep=False)
        for name in changes.names:
            directory, base = os.path.split(name)
            if directory in changes.directories:
                for path in self._paths(webroot, directory):
                    self._named.setdefault(path, set()).add(base.decode("latin-1"))
        for disk in changes.trees:
            self._add(webroot, disk, deep=True)
        for name in changes.names:
            for path, link in self.links.depending(name):
                # another file, or a whole directory that is another; what is beside it is not
                self._deep.setdefault(path, False)
                self._named.setdefault(path, set()).add(link.decode("latin-1"))
                self._deep[path + link + b"/"] = True

    def add_directory(self, path: bytes) -> None:
        """Have the directory at URL path `path` compared."""
        self._deep.setdefault(path, False)

    def clear(self) -> None:
        """Forget them: the whole site is compared anyway."""
        self._deep.clear()
        self._named.clear()

    def take(self, webroot: WebRoot, later: Callable[[bytes], bool]) -> list[Task]:
        """Return what is published of them now, and forget them; but leave some for `later`."""
        left = {path: deep for path, deep in self._deep.items() if later(path)}
        tasks = []
        for path, deep in self._deep.items():
            directory = None if path in left else webroot.directory(path)
            if directory is not None:
                named = frozenset(self._named.get(path, ()))
                tasks.append(Task(directory, None, deep, named))
        self._deep = left
        self._named = {path: names for path, names in self._named.items() if path in left}
        return tasks

    def _add(self, webroot: WebRoot, disk: bytes, *, deep: bool) -> None:
        for path in self._paths(webroot, disk):
            self._deep[path] = deep or self._deep.get(path, False)

    def _paths(self, webroot: WebRoot, disk: bytes) -> list[bytes]:
        """Return every URL path, with a slash at the end, of the directory `disk`."""
        own = webroot.url_path(disk)
        paths = [path + b"/" for path in self.links.also(disk)]
        return paths if own is None else [own, *paths]
