"""inotify on every directory of some trees (inotify(7)), and on every name on the way to them.

A new directory is watched first and listed afterwards, so nothing that is made in it between
is lost; whoever uses this compares the whole tree after `start`, and what `read` returns.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from inotify_simple import Event, flags

from memfis.watch.changes import Changes
from memfis.watch.kernel import Inotify, WatchLimitError
from memfis.watch.mounts import is_in, mount_points
from memfis.watch.names import WatchedNames
from memfis.watch.status import Access, access_of, is_new_file, number_of_names
from memfis.watch.writing import FilesBeingWritten
from memfis.webroot.links import names_on_the_way


class TreeWatcher:
    """Watches the directories that `root` and `follow` name now, and the names themselves."""

    def __init__(
        self,
        root: bytes,
        clock: Callable[[], float] = time.monotonic,
        follow: Sequence[bytes] = (),
    ) -> None:
        """Remember `root`, an absolute path, which may be a symbolic link, and others like it.

        Those of `follow` may be missing.
        """
        self._given = root
        self._follow = follow
        self._roots: list[bytes] = []
        self._left_out: list[bytes] = []
        self._inotify: Inotify | None = None
        self._names = WatchedNames()
        self._files: set[bytes] = set()
        self._way: set[bytes] = set()
        self._above: dict[int, dict[bytes, tuple[bytes, Access]]] = {}
        self._writing = FilesBeingWritten(clock)

    def start(self) -> None:
        """Watch the trees as they are now; raises WatchLimitError, or OSError for a missing root.

        A tree of `follow` that is missing, or that holds the root or is in it, is left out.
        """
        self.close()
        self._way = set()
        try:
            self._inotify = Inotify(self._given)
            for given in (self._given, *self._follow):
                self._watch_the_way(given)
            root = os.path.realpath(self._given, strict=True)
            self._roots = [root, *self._apart_from(root)]
            self._way.update(self._roots)
            for each in self._roots:
                self._add(each)
            self._add_mounted_files(self._roots)
        except (OSError, WatchLimitError):
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something changes."""
        if self._inotify is None:
            raise ValueError("not started")
        return self._inotify.fileno()

    @property
    def started(self) -> bool:
        """Whether the tree is being watched."""
        return self._inotify is not None

    @property
    def directories(self) -> int:
        """How many directories are watched."""
        return len(self._names) - len(self._files)

    @property
    def left_out(self) -> Sequence[bytes]:
        """Those of `follow`, as given, that hold the root or are in it now."""
        return self._left_out

    @property
    def roots(self) -> Sequence[bytes]:
        """The directories whose trees are watched, free of links; none before `start`."""
        return self._roots

    def read(self) -> Changes:
        """Return what happened since the last call, without waiting.

        After an overflow of the queue, or when the root itself was replaced, the tree is watched
        anew. Raises as `start` does.
        """
        changes = Changes()
        if self._inotify is None:
            return changes
        for event in self._inotify.read():
            changes.everything = self._replaced(event)
            if changes.everything:
                self.start()
                return changes
            paths = self._names.paths(event.wd)
            if event.mask & flags.IGNORED:
                self._files.difference_update(paths)
                self._names.forget(event.wd)
                continue
            for path in paths:
                self._changed(event, path, changes)
        for path in self._writing.overdue():
            changes.directories.add(os.path.dirname(path))
            changes.names.add(path)
        return changes

    def concerned(self, points: Iterable[bytes]) -> list[bytes]:
        """Return those of the mount points `points` that may have changed what is watched.

        That goes for what could not be watched when it was tried last, too.
        """
        return [
            point
            for point in points
            if point in self._way or any(is_in(point, root) for root in self._roots)
        ]

    def remounted(self, points: Iterable[bytes]) -> Changes:
        """Watch what there is now at `points`, where something was mounted or unmounted.

        Raises as `start` does.
        """
        changes = Changes()
        points = self.concerned(points)
        for point in points:
            if point in self._way:
                changes.everything = f"something was mounted or unmounted at {os.fsdecode(point)}"
                self.start()
                return changes
            changes.directories.add(os.path.dirname(point))
            changes.names.add(point)
            changes.trees.add(point)
            self._drop(point)
            self._add(point)
        self._add_mounted_files(points)
        return changes

    def writing(self) -> Iterator[tuple[bytes, bool]]:
        """Yield every file that is being written, and whether for longer than HELD seconds."""
        return iter(self._writing)

    @property
    def due(self) -> float | None:
        """When `read` has something to say even without an event (`clock`'s time); None: never."""
        return self._writing.due

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self._names, self._files, self._roots, self._above = WatchedNames(), set(), [], {}
        self._writing.clear()

    # -- names on the way ----------------------------------------------------------------------

    def _watch_the_way(self, given: bytes) -> None:
        assert self._inotify is not None
        for directory, name in names_on_the_way(given):
            watch = self._inotify.watch_names(directory)
            path = os.path.join(directory, name)
            names = self._above.setdefault(watch, {})
            names[name] = (path, access_of(path))
            # of what happens to a file system's own directory, no event bears its name
            names[b""] = (directory, access_of(directory))
            self._way |= {directory, path}

    def _apart_from(self, root: bytes) -> list[bytes]:
        """Return what `follow` names now, free of links, but for what holds `root` or is in it."""
        self._left_out = []
        apart = set()
        for given in self._follow:
            path = os.path.realpath(given)
            if is_in(path, root) or is_in(root, path):
                self._left_out.append(given)
            else:
                apart.add(path)
        return sorted(apart)

    def _replaced(self, event: Event) -> str:
        """Return what `event` says has become of the whole tree, nothing as a rule."""
        if event.mask & flags.Q_OVERFLOW:
            return "the kernel's queue of changes overflowed (fs.inotify.max_queued_events)"
        paths = self._names.paths(event.wd)
        if event.mask & flags.UNMOUNT and (paths or event.wd in self._above):
            return "a file system was unmounted"
        above = self._above.get(event.wd, {}).get(os.fsencode(event.name))
        if above is not None:
            path, access = above
            if not event.mask & flags.ATTRIB or access_of(path) != access:
                return f"{os.fsdecode(path)}, or what leads there, was replaced or changed"
        gone = event.mask & (flags.DELETE_SELF | flags.MOVE_SELF)
        if gone and not set(paths).isdisjoint(self._roots):
            return f"{os.fsdecode(paths[0])} was moved or removed"
        return ""

    # -- what is in the trees ------------------------------------------------------------------

    def _changed(self, event: Event, path: bytes, changes: Changes) -> None:
        """Note what `event` says of `path`, which one of the watches is for, or of what is in it.

        Where something is mounted, only its own watch says that its mode changed.
        """
        directory = path
        if event.name:
            path = os.path.join(path, os.fsencode(event.name))
        elif path in self._files or (event.mask & flags.ATTRIB and path not in self._roots):
            directory = os.path.dirname(path)
        else:
            return
        if event.mask & flags.ISDIR:
            self._directory_changed(event.mask, directory, path, changes)
        else:
            self._file_changed(event.mask, directory, path, changes)

    def _directory_changed(
        self, mask: int, directory: bytes, path: bytes, changes: Changes
    ) -> None:
        changes.directories.add(directory)
        changes.names.add(path)
        if mask & flags.ATTRIB:
            if path not in self._names:  # its mode changed: it may be open to us now
                self._add(path)
            return
        # Also after MOVED_FROM and DELETE: what is said to have gone may be another than is there
        # now. Two directories that are exchanged at once (renameat2(2)) say of each name first that
        # the other came, then that the one before went.
        self._drop(path)
        self._add(path)
        changes.trees.add(path)

    def _file_changed(self, mask: int, directory: bytes, path: bytes, changes: Changes) -> None:
        if mask & flags.MODIFY:
            self._writing.wrote(path)
            return
        if mask & flags.CREATE and is_new_file(path):
            self._writing.made(path)
            return  # whoever made it will close it
        if not mask & flags.ATTRIB:
            self._writing.done(path)
        if mask & flags.CLOSE_WRITE and number_of_names(path) > 1:
            changes.elsewhere = True
        changes.directories.add(directory)
        changes.names.add(path)

    def _add(self, top: bytes) -> None:
        """Watch the directory `top`, if it is one, and all below."""
        if self._inotify is None:
            return
        pending = [top]
        while pending:
            path = pending.pop()
            try:
                watch = self._inotify.watch_directory(path)
                self._names.add(path, watch)
                if path in self._roots:
                    self._above.setdefault(watch, {})[b""] = (path, access_of(path))
                with os.scandir(path) as children:
                    pending += [c.path for c in children if c.is_dir(follow_symlinks=False)]
            except OSError:
                # gone again, closed to the agent, a mount whose server is dead: the scan says so
                continue

    def _add_mounted_files(self, tops: Collection[bytes]) -> None:
        """Watch the files below `tops` that are mounted by themselves."""
        if self._inotify is None:
            return
        for point in mount_points():
            if any(is_in(point, top) for top in tops) and os.path.isfile(point):
                watch = self._inotify.watch_file(point)
                self._names.add(point, watch)
                self._files.add(point)

    def _drop(self, top: bytes) -> None:
        """Stop watching what was at `top` and below."""
        paths, watches = self._names.remove(top)
        self._writing.leave(paths)
        self._files.difference_update(paths)
        for watch in watches:
            if watch not in self._above and self._inotify is not None:
                self._inotify.end(watch)
