"""Mounts of one site on several hosts: each request is another one's turn."""

import itertools
from collections.abc import Sequence

from conformance.kernel import Kernel
from conformance.systems import Status
from memfis.filesystem import Filesystem


class Alternating(Kernel):
    """Several mounts as one System: what one of them has changed, the next one sees.

    A file that is open stays with the one that opened it.
    """

    def __init__(self, filesystems: Sequence[Filesystem]) -> None:
        super().__init__(filesystems[0])
        self._filesystems = filesystems
        self._turn = itertools.cycle(filesystems)
        self._last = filesystems[-1]

    def status(self, path: bytes, *, follow: bool) -> Status:
        """Return what stat(2) tells; an inode number means something only on the host it is of."""
        found = super().status(path, follow=follow)
        host = self._filesystems.index(self._last)
        return found._replace(inode=found.inode * len(self._filesystems) + host)

    @property
    def filesystem(self) -> Filesystem:
        self._last.write_pending()  # what may wait is written before the next one looks
        self._last = next(self._turn)
        return self._last

    def settle(self) -> None:
        for each in self._filesystems:
            each.write_pending()
