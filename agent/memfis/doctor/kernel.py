"""What the kernel tells of the host: file systems, and the limits of inotify."""

import os
import re
from pathlib import Path
from typing import NamedTuple

MOUNTS = Path("/proc/self/mountinfo")
LIMITS = Path("/proc/sys/fs/inotify")

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


class WatchLimits(NamedTuple):
    """How much of inotify one user may have (inotify(7), "/proc interfaces")."""

    watches: int
    instances: int


def mounts_of(root: bytes) -> list[Mount]:
    """Return what holds `root` (absolute, free of links) and what is mounted below it.

    Empty where the kernel does not tell (no /proc).
    """
    try:
        lines = MOUNTS.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    holding: Mount | None = None
    below: dict[bytes, Mount] = {}
    for line in lines:  # proc(5): later lines lie over earlier ones
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
        watches, instances = (
            int((LIMITS / name).read_text()) for name in ("max_user_watches", "max_user_instances")
        )
    except OSError:
        return None
    return WatchLimits(watches, instances)


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
