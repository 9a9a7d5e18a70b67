"""What the filesystem is compared with: a directory of the operating system, in memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TMPFS = Path("/dev/shm")


@contextmanager
def in_memory() -> Iterator[Path]:
    """Yield an empty directory; on disk where there is no tmpfs."""
    with tempfile.TemporaryDirectory(dir=TMPFS if TMPFS.is_dir() else None) as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
