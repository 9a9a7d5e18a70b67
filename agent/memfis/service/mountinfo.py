"""What is mounted where, as the kernel tells this process (proc_pid_mountinfo(5))."""

import asyncio
import contextlib
import os
import re
import select
from collections.abc import Callable, Iterator, Sequence, Set
from io import FileIO
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


class MountTable:
    """What is mounted, for those who must know when that changes, in the running event loop."""

    def __init__(self, path: Path = MOUNTINFO) -> None:
        """Prepare to read `path`."""
        self._path = path
        self._lines: list[MountLine] = []
        self._told: list[Callable[[Set[bytes]], None]] = []
        self._open: tuple[FileIO, select.epoll] | None = None

    @property
    def lines(self) -> Sequence[MountLine]:
        """What is mounted, in the kernel's order; nothing while nobody listens, or without /proc.

        Where the kernel has news that were not told yet, they may be missing.
        """
        return self._lines

    @contextlib.contextmanager
    def telling(self, told: Callable[[Set[bytes]], None]) -> Iterator[None]:
        """Call `told` with the mount points at which anything changed, whenever it does."""
        if not self._told:
            self._begin()
        self._told.append(told)
        try:
            yield
        finally:
            self._told.remove(told)
            if not self._told:
                self._end()

    def look(self) -> None:
        """Read what is mounted, and tell what changed since it was read last."""
        if self._open is None:
            return
        file, epoll = self._open
        epoll.poll(0)  # takes what the kernel has to say, which need not say it again (proc(5))
        file.seek(0)
        before, self._lines = self._lines, parse_mountinfo(file.read())
        points = {line.point for line in {*before} ^ {*self._lines}}
        if points:
            for told in list(self._told):
                if told in self._told:  # and was not taken away by one before
                    told(points)

    def _begin(self) -> None:
        try:
            file = self._path.open("rb", buffering=0)
        except FileNotFoundError:
            return
        epoll = select.epoll()
        epoll.register(file, select.EPOLLPRI | select.EPOLLERR)
        self._open = file, epoll
        self._lines = parse_mountinfo(file.read())
        asyncio.get_running_loop().add_reader(epoll.fileno(), self.look)

    def _end(self) -> None:
        if self._open is None:
            return
        file, epoll = self._open
        asyncio.get_running_loop().remove_reader(epoll.fileno())
        epoll.close()
        file.close()
        self._open, self._lines = None, []
