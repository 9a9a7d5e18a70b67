"""The operations of the filesystem. (Being written: this is the interface others build on.)"""

from collections.abc import Callable
import time

from memfis.config import Site
from memfis.filesystem.interface import Attributes, Caller, Space
from memfis.store import Store


class Filesystem:
    """One site's files. Paths are bytes, absolute, without a `/` at the end but for the root.

    Every operation raises OSError with the errno that POSIX gives it, EIO when the store cannot be
    asked, ENOSPC when it has no room. Not thread-safe: one caller at a time.
    """

    def __init__(
        self,
        store: Store,
        site: Site,
        *,
        read_only: bool = False,
        timeout: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """Serve the files of `site` in `store`; what another changes is seen after `timeout` s."""
        raise NotImplementedError

    def start(self, caller: Caller) -> None:
        """Look at the store; read-write: make the site and its root, owned by `caller`, if absent.

        Raises StoreError (unreachable) and UsageError (another source, another layout).
        """
        raise NotImplementedError

    # handles are numbers; path is given too, or None for a file that has lost its name
    def attributes(self, path: bytes | None, handle: int | None = None) -> Attributes: raise NotImplementedError
    def names(self, path: bytes) -> list[tuple[bytes, Attributes]]: raise NotImplementedError  # without . and ..
    def create(self, path: bytes, flags: int, mode: int, caller: Caller) -> int: raise NotImplementedError
    def open(self, path: bytes, flags: int) -> int: raise NotImplementedError
    def read(self, handle: int, size: int, offset: int) -> bytes: raise NotImplementedError
    def write(self, handle: int, data: bytes, offset: int) -> int: raise NotImplementedError  # O_APPEND honoured
    def flush(self, handle: int) -> None: raise NotImplementedError  # close(2): published
    def sync(self, handle: int) -> None: raise NotImplementedError  # fsync(2): published, directory times too
    def release(self, handle: int) -> None: raise NotImplementedError
    def truncate(self, path: bytes | None, length: int, handle: int | None = None) -> None: raise NotImplementedError
    def allocate(self, handle: int, mode: int, offset: int, length: int) -> None: raise NotImplementedError
    def make_directory(self, path: bytes, mode: int, caller: Caller) -> None: raise NotImplementedError
    def remove_directory(self, path: bytes) -> None: raise NotImplementedError
    def remove(self, path: bytes) -> None: raise NotImplementedError  # unlink(2)
    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None: raise NotImplementedError
    def make_link(self, path: bytes, target: bytes, caller: Caller) -> None: raise NotImplementedError  # symlink(2)
    def target(self, path: bytes) -> bytes: raise NotImplementedError  # readlink(2)
    def change_mode(self, path: bytes | None, mode: int, handle: int | None = None) -> None: raise NotImplementedError
    def change_owner(self, path: bytes | None, uid: int, gid: int, handle: int | None = None) -> None: raise NotImplementedError  # -1: as it is
    def change_times(self, path: bytes | None, atime_ns: int | None, mtime_ns: int | None, handle: int | None = None) -> None: raise NotImplementedError  # None: as it is
    def extended(self, path: bytes) -> dict[bytes, bytes]: raise NotImplementedError
    def set_extended(self, path: bytes, name: bytes, value: bytes, flags: int) -> None: raise NotImplementedError
    def remove_extended(self, path: bytes, name: bytes) -> None: raise NotImplementedError
    def space(self) -> Space: raise NotImplementedError
    def write_pending(self) -> None:
        """Write what may wait (directory times, what was refused before); to be called every 50 ms."""
        raise NotImplementedError
    def close(self) -> list[str]:
        """Write all that is pending; return a line for each thing that could not be written."""
        raise NotImplementedError
