"""The paths that watches are for, as a tree of names: what is below one is found without a search.

The kernel has one watch for an inode (inotify(7)). Where bind mounts give a directory several
paths, the watch is for all of them.
"""

import os


class WatchedNames:
    """Watches and their paths, which are absolute and free of links."""

    def __init__(self) -> None:
        """Begin without any."""
        self._paths: dict[int, tuple[bytes, ...]] = {}
        self._watches: dict[bytes, int] = {}
        self._below: dict[bytes, set[bytes]] = {}
        """The paths that are watched in each directory."""

    def __len__(self) -> int:
        """Return how many paths there are."""
        return len(self._watches)

    def __contains__(self, path: bytes) -> bool:
        """Whether there is a watch for `path`."""
        return path in self._watches

    def paths(self, watch: int) -> tuple[bytes, ...]:
        """Return what `watch` is for; nothing for one that is not known (any more)."""
        return self._paths.get(watch, ())

    def add(self, path: bytes, watch: int) -> None:
        """Note that `watch` is for `path`, too."""
        before = self._watches.get(path)
        if before == watch:
            return
        if before is not None:
            self._part(path, before)
        self._watches[path] = watch
        self._paths[watch] = (*self._paths.get(watch, ()), path)
        self._below.setdefault(os.path.dirname(path), set()).add(path)

    def remove(self, top: bytes) -> tuple[list[bytes], list[int]]:
        """Forget `top` and all below.

        Returns the paths, and the watches that are for nothing any more.
        """
        self._discard(top)
        paths, watches = [top], []
        for path in paths:  # grows on the way
            paths += self._below.pop(path, ())
            watch = self._watches.pop(path, None)
            if watch is not None and self._part(path, watch):
                watches.append(watch)
        return paths, watches

    def forget(self, watch: int) -> None:
        """Forget `watch`, which the kernel has ended."""
        for path in self._paths.pop(watch, ()):
            del self._watches[path]
            self._discard(path)

    def _part(self, path: bytes, watch: int) -> bool:
        """Take `path` from those of `watch`; return whether none is left."""
        left = tuple(each for each in self._paths[watch] if each != path)
        if left:
            self._paths[watch] = left
        else:
            del self._paths[watch]
        return not left

    def _discard(self, path: bytes) -> None:
        """Take `path` from its directory."""
        directory = os.path.dirname(path)
        siblings = self._below.get(directory)
        if siblings is not None:
            siblings.discard(path)
            if not siblings:
                del self._below[directory]
