"""inotify(7): which events are asked for, and what is said where the kernel sets a limit."""

import errno
import os
from collections.abc import Callable
from typing import Any

from inotify_simple import Event, INotify, flags

from memfis.errors import MemfisError

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

_FILE_MASK = flags.CLOSE_WRITE | flags.MODIFY | flags.ATTRIB
"""Of a file that is mounted by itself: who writes it by its other name is told of that name."""

_LIMITS = {
    errno.ENOSPC: "fs.inotify.max_user_watches",
    errno.EMFILE: "fs.inotify.max_user_instances",
}
"""What inotify_init(2) and inotify_add_watch(2) fail with when the kernel allows no more."""


class WatchLimitError(MemfisError):
    """The kernel allows no more watches."""


class Inotify:
    """Watches of the kernel's; each is for an inode, and is the same for all paths that it has."""

    def __init__(self, root: bytes) -> None:
        """Begin without any; `root` is what messages name. Raises WatchLimitError, OSError."""
        self._root = root
        self._inotify: INotify = self._allowed(INotify)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something happens."""
        return int(self._inotify.fileno())

    def read(self) -> list[Event]:
        """Return what happened since the last call, without waiting."""
        return list(self._inotify.read(timeout=0))

    def close(self) -> None:
        """End all watches."""
        self._inotify.close()

    def watch_directory(self, path: bytes) -> int:
        """Watch the directory `path`, and what is in it; raises WatchLimitError, OSError."""
        return self._add(path, _MASK)

    def watch_names(self, path: bytes) -> int:
        """Watch the names in the directory `path`; raises as `watch_directory`."""
        return self._add(path, _NAME_MASK)

    def watch_file(self, path: bytes) -> int:
        """Watch the file `path`, whatever name it is written by; raises as `watch_directory`."""
        return self._add(path, _FILE_MASK)

    def end(self, watch: int) -> None:
        """End `watch`, unless it went with its directory."""
        try:
            self._inotify.rm_watch(watch)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def _add(self, path: bytes, mask: int) -> int:
        return int(self._allowed(self._inotify.add_watch, path, mask))

    def _allowed(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `call` returns; raises WatchLimitError where the kernel sets a limit."""
        try:
            return call(*arguments)
        except OSError as error:
            limit = _LIMITS.get(error.errno or 0)
            if limit is None:
                raise
            raise WatchLimitError(
                f"cannot watch all of {os.fsdecode(self._root)}: raise the kernel's {limit}"
                " (sysctl); until then changes are found by looking"
            ) from error
