"""inotify on every directory of a tree (inotify(7)).

A new directory is watched first and looked into afterwards, so nothing that is made in it between
is lost; whoever uses this scans the tree after `start` and after every change.
"""

import errno
import os

from inotify_simple import INotify, flags

from memfis.errors import MemfisError

_MASK = (
    flags.CLOSE_WRITE
    | flags.MOVED_TO
    | flags.MOVED_FROM
    | flags.CREATE
    | flags.DELETE
    | flags.ATTRIB
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
    | flags.EXCL_UNLINK
)

_NAME_MASK = flags.MOVED_TO | flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.ONLYDIR


_MAXIMUM_STEPS = 400
"""More names than any path resolves to (path_resolution(7): 40 links, PATH_MAX)."""


class WatchLimitError(MemfisError):
    """The kernel allows no more watches."""


class TreeWatcher:
    """Watches the directory that `root` names now, and the name itself."""

    def __init__(self, root: bytes) -> None:
        """Remember `root`, an absolute path, which may be a symbolic link."""
        self._given = root
        self._inotify: INotify | None = None
        self._paths: dict[int, bytes] = {}
        self._above: dict[int, set[str]] = {}

    def start(self) -> None:
        """Watch the tree as it is now; raises WatchLimitError, or OSError for a vanished root."""
        self.close()
        self._inotify = INotify()
        try:
            self._watch_way()
            self._add(os.path.realpath(self._given, strict=True))
        except OSError as error:
            self.close()
            if error.errno == errno.ENOSPC:
                raise WatchLimitError(
                    f"cannot watch all of {os.fsdecode(self._given)}: raise"
                    " fs.inotify.max_user_watches; until then changes are found by looking"
                ) from error
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

    def changed(self) -> bool:
        """Read what happened; return whether the tree may be another than before.

        After an overflow of the queue, or when the root itself was replaced, the tree is watched
        anew. Raises as `start` does.
        """
        if self._inotify is None:
            return False
        changed = False
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                self.start()
                return True
            if event.wd in self._above and event.wd not in self._paths:
                if event.name in self._above[event.wd]:
                    self.start()
                    return True
                continue
            if event.mask & flags.IGNORED:
                self._paths.pop(event.wd, None)
                continue
            changed = True
            path = self._paths.get(event.wd)
            if path and event.mask & flags.ISDIR and event.mask & (flags.CREATE | flags.MOVED_TO):
                self._add(os.path.join(path, os.fsencode(event.name)))
        return changed

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self._paths = {}
        self._above = {}

    def _watch_way(self) -> None:
        """Watch every name on the way to the root, as the kernel resolves it, links included.

        Deployment tools switch a link, often one above the web root (`current/public`).
        """
        rest = self._given.split(b"/")[:0:-1]
        here = b"/"
        for _ in range(_MAXIMUM_STEPS):
            if not rest or self._inotify is None:
                return
            name = rest.pop()
            if name in (b"", b".", b".."):
                here = os.path.normpath(os.path.join(here, name))
                continue
            watch = self._inotify.add_watch(here, _NAME_MASK)
            self._above.setdefault(watch, set()).add(os.fsdecode(name))
            path = os.path.join(here, name)
            if os.path.islink(path):
                target = os.readlink(path)
                rest += target.split(b"/")[::-1]
                here = b"/" if target.startswith(b"/") else here
            else:
                here = path

    def _add(self, top: bytes) -> None:
        if self._inotify is None:
            return
        pending = [top]
        while pending:
            path = pending.pop()
            try:
                watch = self._inotify.add_watch(path, _MASK)
                self._paths[watch] = path
                with os.scandir(path) as children:
                    pending += [c.path for c in children if c.is_dir(follow_symlinks=False)]
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # gone again, or closed to the agent: the scan says so where it matters
