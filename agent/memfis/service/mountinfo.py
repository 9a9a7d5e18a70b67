"""What is mounted where, as the kernel tells this process (proc_pid_mountinfo(5))."""

import os
import re
from pathlib import Path
from typing import NamedTuple

MOUNTINFO = Path("/proc/self/mountinfo")

_OCTAL = re.compile(rb"\\([0-7]{3})")


class MountLine(NamedTuple):
    """One line of it. A later one lies over an earlier one of the same place."""

    point: bytes
    """Absolute path, free of links."""
    type: str
    """Such as `ext4`, `fuse.sshfs`."""
    source: bytes
    """A device, a network path, or whatever the file system calls itself."""
    device: int = 0
    """Its number, as `st_dev` of stat(2) has it on most file systems."""
    mount: bytes = b""
    """The mount's number, and what of the device's tree is mounted: with the device, one mount is
    told from another by these, unless the former and all of its file system had gone before."""


def read_mountinfo() -> list[MountLine]:
    """Return what is mounted now, in the kernel's order; raises OSError (no /proc)."""
    return parse_mountinfo(MOUNTINFO.read_bytes())


def parse_mountinfo(text: bytes) -> list[MountLine]:
    """Return the lines of `text`. After the fields that may be many come type and source."""
    lines = []
    for line in text.splitlines():
        fields, _, rest = line.partition(b" - ")
        kind, source, *_ = rest.split(b" ")
        mount, _, device, root, point, *_ = fields.split(b" ")
        number = os.makedev(*map(int, device.split(b":")))
        lines.append(
            MountLine(
                _plain(point),
                kind.decode("ascii", "replace"),
                _plain(source),
                number,
                b"%b %b" % (mount, root),
            )
        )
    return lines


def _plain(name: bytes) -> bytes:
    """Return `name` without the escapes that the kernel writes for white space and backslashes."""
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), name)
