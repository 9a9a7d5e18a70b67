"""One writer a site: a lock file that the kernel lets go of when its holder ends."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memfis.errors import UntrustedError, UsageError
from memfis.service.trust import OpenDirectory, check_owner, own_directory


@contextmanager
def try_lock(directory: Path, site: str) -> Iterator[bool]:
    """Hold the lock of `site` if nobody has it, and say so.

    Raises UsageError, and UntrustedError where another user may have made the directory or the
    lock.
    """
    path = directory / f"{site}.lock"
    try:
        with own_directory(directory, make=True) as place:
            descriptor = _open(path, place)
    except OSError as error:
        if error.errno == errno.ELOOP and os.path.islink(path):
            raise UntrustedError(
                f"lock {path}: a symbolic link: not followed; remove it"
            ) from error
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


def _open(path: Path, place: OpenDirectory) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(
            path.name, flags | os.O_CREAT | os.O_EXCL, 0o660, dir_fd=place.descriptor
        )
    except FileExistsError:
        return _open_existing(path, place, flags)
    if os.geteuid() == 0:  # the agent must be able to take a lock that root made
        owner = os.fstat(place.descriptor)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def _open_existing(path: Path, place: OpenDirectory, flags: int) -> int:
    try:
        descriptor = os.open(path.name, flags, dir_fd=place.descriptor)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UntrustedError(f"lock {path}: a symbolic link; remove it") from error
        raise
    status = os.fstat(descriptor)
    try:
        check_owner(status, f"lock {path}", place.owners)
    except UntrustedError:
        os.close(descriptor)
        raise
    return descriptor
