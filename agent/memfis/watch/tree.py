"""inotify on every directory of a tree (inotify(7)), and on every name on the way to it.

A new directory is watched first and listed afterwards, so nothing that is made in it between
is lost; whoever uses this compares the whole tree after `start`, and what `read` returns.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from inotify_simple import Event, INotify, flags

from memfis.errors import MemfisError
from memfis.webroot.links import names_on_the_way

HELD = 1.0
"""Seconds that a file may be open for writing before its old page goes out of memory."""

FORSAKEN = 60.0
"""Seconds without a write after which nobody is taken to be still writing (truncate(2) says that
it wrote, but never that it is done)."""

_MASK = (
    flags.CLOSE_WRITE
    | flags.MODIFY
    | flags.MOVED_TO
    | flags.MOVED_FROM
    | flags.CREATE
    | flags.DELETE
    | flags.ATTRIB
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
    | flags.DONT_FOLLOW
    | flags.EXCL_UNLINK
)

_NAME_MASK = (
    flags.MOVED_TO | flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.ATTRIB | flags.ONLYDIR
)


_LIMITS = {
    errno.ENOSPC: "fs.inotify.max_user_watches",
    errno.EMFILE: "fs.inotify.max_user_instances",
}
"""What inotify_init(2) and inotify_add_watch(2) fail with when the kernel allows no more."""

_Access = tuple[int, int, int] | None


class WatchLimitError(MemfisError):
    """The kernel allows no more watches."""


@dataclass
class Changes:
    """What happened, as absolute paths on disk, free of links."""

    directories: set[bytes] = field(default_factory=set)
    """Directories in which a name changed."""
    trees: set[bytes] = field(default_factory=set)
    """Directories that are new, with all that is below."""
    names: set[bytes] = field(default_factory=set)
    """The names that changed."""
    elsewhere: bool = False
    """A file was written that has other names (hard links), of which no event tells."""
    everything: str = ""
    """Why the whole tree must be compared; empty: it need not be."""

    def __bool__(self) -> bool:
        """Whether anything happened."""
        return bool(self.directories or self.trees or self.everything)


@dataclass
class _Writing:
    since: float
    last: float
    wrote: bool
    told: bool = False


class TreeWatcher:
    """Watches the directory that `root` names now, and the name itself."""

    def __init__(self, root: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember `root`, an absolute path, which may be a symbolic link."""
        self._given = root
        self._clock = clock
        self._root = b""
        self._inotify: INotify | None = None
        self._paths: dict[int, bytes] = {}
        self._watches: dict[bytes, int] = {}
        self._above: dict[int, dict[bytes, tuple[bytes, _Access]]] = {}
        self._writing: dict[bytes, _Writing] = {}

    def start(self) -> None:
        """Watch the tree as it is now; raises WatchLimitError, or OSError for a vanished root."""
        self.close()
        try:
            self._inotify = self._allowed(INotify)
            for directory, name in names_on_the_way(self._given):
                watch = self._allowed(self._inotify.add_watch, directory, _NAME_MASK)
                path = os.path.join(directory, name)
                self._above.setdefault(watch, {})[name] = (path, _access(path))
            self._root = os.path.realpath(self._given, strict=True)
            self._add(self._root)
        except (OSError, WatchLimitError):
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something changes."""
        if self._inotify is None:
            raise ValueError("not started")
        return int(self._inotify.fileno())

    @property
    def started(self) -> bool:
        """Whether the tree is being watched."""
        return self._inotify is not None

    @property
    def directories(self) -> int:
        """How many directories of the tree are watched."""
        return len(self._watches)

    def read(self) -> Changes:
        """Return what happened since the last call, without waiting.

        After an overflow of the queue, or when the root itself was replaced, the tree is watched
        anew. Raises as `start` does.
        """
        changes = Changes()
        if self._inotify is None:
            return changes
        for event in self._inotify.read(timeout=0):
            changes.everything = self._replaced(event)
            if changes.everything:
                self.start()
                return changes
            directory = self._paths.get(event.wd)
            if event.mask & flags.IGNORED:
                self._forget_watch(event.wd)
            elif directory is not None and event.name:
                path = os.path.join(directory, os.fsencode(event.name))
                if event.mask & flags.ISDIR:
                    self._directory_changed(event.mask, directory, path, changes)
                else:
                    self._file_changed(event.mask, directory, path, changes)
        self._add_held(changes)
        return changes

    def writing(self) -> Iterator[tuple[bytes, bool]]:
        """Yield every file that is being written, and whether for longer than HELD seconds."""
        now = self._clock()
        for path, state in self._writing.items():
            yield path, now - state.since >= HELD

    @property
    def due(self) -> float | None:
        """When `read` has something to say even without an event (`clock`'s time); None: never."""
        pending = [state.since + HELD for state in self._writing.values() if not state.told]
        pending += [state.last + FORSAKEN for state in self._writing.values() if state.told]
        return min(pending, default=None)

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self._paths, self._watches, self._above, self._writing = {}, {}, {}, {}

    def _replaced(self, event: Event) -> str:
        """Return what `event` says has become of the whole tree, nothing as a rule."""
        if event.mask & flags.Q_OVERFLOW:
            return "the kernel's queue of changes overflowed (fs.inotify.max_queued_events)"
        if event.mask & flags.UNMOUNT:
            return "a file system was unmounted"
        above = self._above.get(event.wd, {}).get(os.fsencode(event.name))
        if above is not None:
            path, access = above
            if not event.mask & flags.ATTRIB or _access(path) != access:
                return "the web root, or a directory above it, was replaced or changed"
        gone = event.mask & (flags.DELETE_SELF | flags.MOVE_SELF)
        if gone and self._paths.get(event.wd) == self._root:
            return "the web root was moved or removed"
        return ""

    def _directory_changed(
        self, mask: int, directory: bytes, path: bytes, changes: Changes
    ) -> None:
        changes.directories.add(directory)
        changes.names.add(path)
        if mask & flags.ATTRIB:
            if path not in self._watches:  # its mode changed: it may be open to us now
                self._add(path)
            return
        # Also after MOVED_FROM and DELETE: what is said to have gone may be another than is there
        # now. Two directories that are exchanged at once (renameat2(2)) say of each name first that
        # the other came, then that the one before went.
        self._drop(path)
        self._add(path)
        changes.trees.add(path)

    def _file_changed(self, mask: int, directory: bytes, path: bytes, changes: Changes) -> None:
        now = self._clock()
        if mask & flags.MODIFY:
            state = self._writing.setdefault(path, _Writing(now, now, wrote=True))
            state.last, state.wrote = now, True
            return
        if mask & flags.CREATE and _is_new_file(path):
            self._writing.setdefault(path, _Writing(now, now, wrote=False))
            return  # whoever made it will close it
        if not mask & flags.ATTRIB:
            self._writing.pop(path, None)
        if mask & flags.CLOSE_WRITE and _names(path) > 1:
            changes.elsewhere = True
        changes.directories.add(directory)
        changes.names.add(path)

    def _add_held(self, changes: Changes) -> None:
        """Add the files that are open for writing for too long, or were made without a writer."""
        now = self._clock()
        for path, state in list(self._writing.items()):
            if state.told and now - state.last >= FORSAKEN:
                del self._writing[path]
            elif not state.told and now - state.since >= HELD:
                state.told = True
                if not state.wrote:  # linked from a nameless file, say (O_TMPFILE)
                    del self._writing[path]
            else:
                continue
            changes.directories.add(os.path.dirname(path))
            changes.names.add(path)

    def _allowed(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `call` returns; raises WatchLimitError where the kernel sets a limit."""
        try:
            return call(*arguments)
        except OSError as error:
            limit = _LIMITS.get(error.errno or 0)
            if limit is None:
                raise
            raise WatchLimitError(
                f"cannot watch all of {os.fsdecode(self._given)}: raise the kernel's {limit}"
                " (sysctl); until then changes are found by looking"
            ) from error

    def _add(self, top: bytes) -> None:
        if self._inotify is None:
            return
        pending = [top]
        while pending:
            path = pending.pop()
            try:
                watch = self._allowed(self._inotify.add_watch, path, _MASK)
                self._paths[watch] = path
                self._watches[path] = watch
                with os.scandir(path) as children:
                    pending += [c.path for c in children if c.is_dir(follow_symlinks=False)]
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # gone again, or closed to the agent: the scan says so where it matters

    def _drop(self, top: bytes) -> None:
        """Stop watching what was at `top` and below."""
        below = top + b"/"
        for path in [p for p in self._watches if p == top or p.startswith(below)]:
            watch = self._watches.pop(path)
            if self._paths.get(watch) == path:
                del self._paths[watch]
                if watch not in self._above and self._inotify is not None:
                    try:
                        self._inotify.rm_watch(watch)
                    except OSError as error:  # EINVAL: it went with its directory
                        if error.errno != errno.EINVAL:
                            raise
        for path in [p for p in self._writing if p.startswith(below)]:
            del self._writing[path]

    def _forget_watch(self, watch: int) -> None:
        path = self._paths.pop(watch, None)
        if path is not None and self._watches.get(path) == watch:
            del self._watches[path]


def _access(path: bytes) -> _Access:
    """Return what decides who may go through `path`: its mode and owner."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_mode, status.st_uid, status.st_gid


def _names(path: bytes) -> int:
    """Return how many names the file at `path` has, 0 when it is gone."""
    try:
        return os.lstat(path).st_nlink
    except OSError:
        return 0


def _is_new_file(path: bytes) -> bool:
    """Whether what was just made is a file that somebody will write and close."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
