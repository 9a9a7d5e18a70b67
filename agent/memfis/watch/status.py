"""What a watch wants to know of a path beside what an event says."""

import errno
import os
import stat

Access = tuple[int, int, int, bytes] | None

_ACL = "system.posix_acl_access"


def access_of(path: bytes) -> Access:
    """Return what decides who may go through `path`: its mode, owner and ACL (acl(5))."""
    try:
        status = os.lstat(path)
        acl = b"" if stat.S_ISLNK(status.st_mode) else os.getxattr(path, _ACL)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            return None
        acl = b""
    return status.st_mode, status.st_uid, status.st_gid, acl


def number_of_names(path: bytes) -> int:
    """Return how many names the file at `path` has, 0 when it is gone."""
    try:
        return os.lstat(path).st_nlink
    except OSError:
        return 0


def is_new_file(path: bytes) -> bool:
    """Whether what was just made is a file that somebody will write and close."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
