"""One writer a site: a lock file that the kernel lets go of when its holder ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memfis.errors import UsageError


@contextmanager
def try_lock(directory: Path, site: str) -> Iterator[bool]:
    """Hold the lock of `site` if nobody has it, and say so; raises UsageError."""
    path = directory / f"{site}.lock"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _open(path)
    except OSError as error:
        raise UsageError(
            f"lock {path}: {error.strerror}; set 'runtime_directory' to one you may write"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o660)
    except FileExistsError:
        return os.open(path, flags)
    if os.geteuid() == 0:  # the agent must be able to take a lock that root made
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor
