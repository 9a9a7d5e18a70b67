"""What is mounted, watched by an event loop: the kernel says when it changes (proc(5))."""

import asyncio
import contextlib
import select
from collections.abc import Callable, Iterator, Sequence, Set
from io import FileIO
from pathlib import Path

from memfis.service.mountinfo import MOUNTINFO, MountLine, parse_mountinfo


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
