"""Whether a site can be mounted here: each thing that may be in the way, in one line."""

import errno
import os
import shutil
import stat
from pathlib import Path

from memfis.errors import ProgramError, UsageError
from memfis.mount.options import Options
from memfis.service.mountinfo import read_mountinfo

DEVICE = "/dev/fuse"
FUSE_CONF = "/etc/fuse.conf"
HELPER = "fusermount3"


def check(options: Options) -> None:
    """Raise UsageError or ProgramError for what would keep libfuse from mounting."""
    check_mountpoint(options.mountpoint)
    if not os.path.exists(DEVICE):
        raise ProgramError(
            f"there is no {DEVICE}: load the kernel's module (modprobe fuse), or give the container"
            " the device"
        )
    if os.geteuid() != 0 and not shutil.which(HELPER):
        raise ProgramError(
            f"{HELPER} is missing, which mounts for users: install it (Debian: fuse3)"
        )
    if options.allow_other and not may_allow_other():
        raise UsageError(
            "allow_other: only root may let other users in, unless the line user_allow_other is in"
            f" {FUSE_CONF}"
        )


def check_mountpoint(path: str) -> None:
    """Raise UsageError unless `path` is an empty directory that nothing is mounted on."""
    try:
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            raise UsageError(f"mount point {path}: is not a directory")
        with os.scandir(path) as names:  # fails where stat(2) need not ask what has ended
            is_empty = next(names, None) is None
        if os.path.ismount(path):
            raise UsageError(f"mount point {path}: {mounted_at(path)} is mounted there already")
        if not is_empty:
            raise UsageError(f"mount point {path}: is not empty, and what is in it would be hidden")
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            raise UsageError(
                f"mount point {path}: what was mounted there has ended without being unmounted:"
                f" {HELPER} -u {path}"
            ) from error
        raise UsageError(f"mount point {path}: {error.strerror}") from error


def wait_until_answering(path: str) -> None:
    """Return when what was mounted at `path` answers; raises ProgramError when it has ended."""
    try:
        os.stat(path)
    except OSError as error:
        raise ProgramError(f"mount point {path}: {error.strerror}") from error


def mounted_at(path: str) -> str:
    """Return what the kernel says is mounted on `path`, as `site (fuse.memfis)`."""
    point = os.fsencode(os.path.realpath(path))
    found = "something"
    try:
        lines = read_mountinfo()
    except OSError:
        return found
    for line in lines:
        if line.point == point:
            found = f"{os.fsdecode(line.source)} ({line.type})"
    return found


def may_allow_other() -> bool:
    """Whether this user may let others use what it mounts (mount.fuse3(8), "allow_other")."""
    if os.geteuid() == 0:
        return True
    try:
        lines = Path(FUSE_CONF).read_text(errors="replace").splitlines()
    except OSError:
        return False
    return "user_allow_other" in (line.strip() for line in lines)
