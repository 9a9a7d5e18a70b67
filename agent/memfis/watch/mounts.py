"""Which file systems hold a web root, and whether inotify tells what happens there."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from memfis.service.mountinfo import MountLine, read_mountinfo
from memfis.webroot.links import names_on_the_way

SHARED = frozenset(
    (
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gfs2", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs"),
    )
)
"""File systems that others change too, of which the kernel here sends no event (inotify(7))."""


class Mount(NamedTuple):
    """A mounted file system: where, and its type such as `ext4` or `fuse.sshfs`."""

    point: bytes
    type: str

    @property
    def is_shared(self) -> bool:
        """Whether changes may come from where inotify does not see them."""
        return self.type in SHARED or self.type.startswith("fuse.")

    @property
    def may_keep_waiting(self) -> bool:
        """Whether a look at it may wait for another host or program, for ever if that is dead."""
        # autofs mounts when it is looked at; fuseblk is served by a program, as all of FUSE
        return self.is_shared or self.type in ("autofs", "fuseblk")


def waiting_on(paths: Iterable[bytes], lines: Sequence[MountLine]) -> Mount | None:
    """Return a mount that a look at one of the trees `paths` may wait for; None: there is none.

    That is one on the way to it, links included, or below. Nothing on such a mount is touched.
    """
    mounts = [mount for line in lines if (mount := Mount(line.point, line.type)).may_keep_waiting]
    if not mounts:
        return None
    for path in paths:
        here = b"/"
        for step in names_on_the_way(path):
            here = os.path.join(*step)
            # what lies over it, or was there before, may be of another type
            over = [mount for mount in mounts_among(lines, here) if is_in(here, mount.point)]
            if over and over[0].may_keep_waiting:
                return over[0]
        for mount in mounts:
            if is_in(mount.point, here):
                return mount
    return None


def mounts_of(root: bytes) -> list[Mount]:
    """Return what holds `root` (absolute, free of links) and what is mounted below it.

    Empty where the kernel does not tell (no /proc).
    """
    try:
        return mounts_among(read_mountinfo(), root)
    except FileNotFoundError:
        return []


def mounts_among(lines: Iterable[MountLine], root: bytes) -> list[Mount]:
    """Return those of `lines`, in the kernel's order, that `mounts_of` is about."""
    holding: Mount | None = None
    below: dict[bytes, Mount] = {}
    for line in lines:
        point = line.point
        mount = Mount(point, line.type)
        if is_in(root, point):
            if holding is None or len(point) >= len(holding.point):
                holding = mount
        elif is_in(point, root):
            below[point] = mount
    return [*([holding] if holding else []), *below.values()]


def mount_points() -> list[bytes]:
    """Return where anything is mounted; nowhere, if the kernel does not tell (no /proc)."""
    try:
        return [line.point for line in read_mountinfo()]
    except FileNotFoundError:
        return []


def is_in(path: bytes, directory: bytes) -> bool:
    """Whether `path` is `directory` or below it; both are absolute and free of links."""
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")
