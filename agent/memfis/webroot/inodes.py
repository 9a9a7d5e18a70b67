"""On which file systems the number of a file says that it is the same one."""

from memfis.service.mountinfo import read_mountinfo

MADE_UP = frozenset(
    (
        *("9p", "afs", "cifs", "exfat", "fuse", "fuseblk", "msdos", "prl_fs", "smb3", "smbfs"),
        *("vboxsf", "vfat", "virtiofs"),
    )
)
"""File systems that may make up the numbers of files anew, at each mount or whenever the kernel
forgot them."""


def devices_with_made_up_inodes() -> frozenset[int]:
    """Return the devices whose file systems give a file another number now and then."""
    try:
        mounted = read_mountinfo()
    except FileNotFoundError:  # no /proc
        return frozenset()
    return frozenset(
        line.device for line in mounted if line.type in MADE_UP or line.type.startswith("fuse.")
    )
