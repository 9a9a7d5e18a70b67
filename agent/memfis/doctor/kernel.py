"""What the kernel tells of the host: file systems, and the limits of inotify."""

import os
import re
from pathlib import Path
from typing import NamedTuple

MOUNTS = Path("/proc/self/mountinfo")
SYSCTLS = Path("/proc/sys")

SHARED = frozenset(
    (
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gfs2", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs"),
    )
)
"""File systems that others change too, of which the kernel here sends no event (inotify(7))."""

_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mounted file system: where, and its type such as `ext4` or `fuse.sshfs`."""

    point: bytes
    type: str

    @property
    def is_shared(self) -> bool:
        """Whether changes may come from where inotify does not see them."""
        return self.type in SHARED or self.type.startswith("fuse.")


class Limit(NamedTuple):
    """A sysctl and its value."""

    name: str
    value: int


class WatchLimits(NamedTuple):
    """How much of inotify one user may have (inotify(7), namespaces(7)).

    In a user namespace, such as a container without root, the lower of two limits holds.
    """

    watches: Limit
    instances: Limit


def mounts_of(root: bytes) -> list[Mount]:
    """Return what holds `root` (absolute, free of links) and what is mounted below it.

    Empty where the kernel does not tell (no /proc).
    """
    try:
        return parse_mounts(MOUNTS.read_bytes(), root)
    except FileNotFoundError:
        return []


def parse_mounts(mountinfo: bytes, root: bytes) -> list[Mount]:
    """Return the mounts of `root` as `mounts_of`, from text in the format of proc(5)."""
    holding: Mount | None = None
    below: dict[bytes, Mount] = {}
    for line in mountinfo.splitlines():  # later lines lie over earlier ones
        fields, _, rest = line.partition(b" - ")
        point = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields.split(b" ")[4])
        mount = Mount(point, rest.split(b" ")[0].decode("ascii", "replace"))
        if _is_in(root, point):
            if holding is None or len(point) >= len(holding.point):
                holding = mount
        elif _is_in(point, root):
            below[point] = mount
    return [*([holding] if holding else []), *below.values()]


def _is_in(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def watch_limits() -> WatchLimits | None:
    """Return what the kernel allows, None where it does not tell."""
    try:
        return WatchLimits(
            _lower("fs.inotify.max_user_watches", "user.max_inotify_watches"),
            _lower("fs.inotify.max_user_instances", "user.max_inotify_instances"),
        )
    except OSError:
        return None


def _lower(*names: str) -> Limit:
    limits = [Limit(name, int((SYSCTLS / name.replace(".", "/")).read_text())) for name in names]
    return min(limits, key=lambda limit: limit.value)


def watched(root: bytes) -> int:
    """Return how many directories are watched for `root`: all below it, and those on the way.

    Excluded ones too: what is excluded now may be published by a change of a setting.
    """
    number = root.count(b"/")
    pending = [root]
    while pending:
        number += 1
        try:
            with os.scandir(pending.pop()) as children:
                pending += [each.path for each in children if each.is_dir(follow_symlinks=False)]
        except OSError:
            continue  # closed to us, or gone: it cannot be watched either
    return number
