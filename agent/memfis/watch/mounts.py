"""Which file systems hold a web root, and whether inotify tells what happens there."""

import re
from pathlib import Path
from typing import NamedTuple

MOUNTS = Path("/proc/self/mountinfo")

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
