"""Temporary directories that servers running as somebody else can reach."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.process import unprivileged


@contextmanager
def reachable_directory(parent: Path | None = None) -> Iterator[Path]:
    """Yield a directory that the servers may read and write, in `parent` or where TMPDIR says.

    Not pytest's: those are for their owner only, and too long for the name of a unix socket.
    """
    directory = Path(tempfile.mkdtemp(prefix="memfis-", dir=parent))
    try:
        directory.chmod(0o755)
        user = unprivileged()
        if user is not None:
            # Each keeps what is his: what is root's there can be trusted (memfis.service.trust).
            os.chown(directory, 0, user.pw_gid)
            directory.chmod(0o1775)
        yield directory
    finally:
        shutil.rmtree(os.fsencode(directory))
