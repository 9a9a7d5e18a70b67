"""A kept memory on disk: written when the host is shut down, taken up once when it is back.

In its directory `memory` is the copy, and `mark` says that it is whole. The mark goes before the
copy is used, and so no crash later brings an older memory back.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memfis.errors import UnfitMemoryError
from memfis.layout.paths import size as shown_size
from memfis.memory.copying import copy
from memfis.memory.mark import LIMIT, Mark, Terms, check_terms, check_time, open_own

META = ".meta"
"""What memcached adds to the name of its memory for its second file."""


class KeptMemory:
    """The copy below one directory, which is its user's alone."""

    def __init__(self, directory: Path) -> None:
        """Keep it in `directory`, which exists."""
        self._directory = directory
        self._copy = directory / "memory"
        self._mark = directory / "mark"

    # -- when the host is shut down ------------------------------------------------------------

    def write(self, memory: Path, terms: Terms, stopped: float) -> str:
        """Keep `memory`, which memcached left whole when it `stopped`; return what was done.

        What was kept before goes first. Raises UnfitMemoryError, after which nothing is kept.
        """
        self.remove()
        try:
            meta = memory.with_name(memory.name + META).read_text("latin-1")
        except OSError as error:
            raise UnfitMemoryError(
                "memcached did not say what its memory holds: it was killed, or has failed"
            ) from error
        try:
            with _closing(os.open(memory, os.O_RDONLY)) as source:
                length = os.fstat(source).st_size
                with self._written(self._copy) as target:
                    checksum = copy(source, target)
                    used = os.fstat(target).st_blocks * 512
            mark = Mark(terms, length, checksum, stopped, meta)
            with self._written(self._mark) as target:
                _write(target, mark.encode())
        except OSError as error:
            self.remove()
            raise UnfitMemoryError(f"{self._directory}: {error.strerror}") from error
        return f"{shown_size(used)} of {shown_size(length)} kept"

    def remove(self) -> bool:
        """Remove whatever is kept, the mark first; return whether there was something."""
        there = False
        for path in (self._mark, self._copy, _part(self._mark), _part(self._copy)):
            with suppress(FileNotFoundError):
                path.unlink()
                there = True
                self._flush()
        return there

    @contextmanager
    def _written(self, path: Path) -> Iterator[int]:
        """Yield a new file that is at `path` once it is whole, and on the disk."""
        part = _part(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with _closing(os.open(part, flags, 0o600)) as file:
            os.fchmod(file, 0o600)
            yield file
            os.fsync(file)
        part.rename(path)
        self._flush()

    def _flush(self) -> None:
        with _closing(os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)) as directory:
            os.fsync(directory)

    # -- when it is back -----------------------------------------------------------------------

    def take(self, memory: Path, terms: Terms) -> float:
        """Move what is kept to `memory`, if it fits `terms`; return when memcached had stopped.

        Nothing is kept afterwards. Raises UnfitMemoryError where it cannot be used, OSError.
        """
        try:
            return self._take(memory, terms)
        except (UnfitMemoryError, OSError):
            for path in (memory, memory.with_name(memory.name + META)):
                path.unlink(missing_ok=True)
            raise
        finally:
            self.remove()

    def _take(self, memory: Path, terms: Terms) -> float:
        mark = self._read_mark()
        check_terms(mark.terms, terms)
        check_time(mark.stopped)
        try:
            source = open_own(self._copy)
        except FileNotFoundError as error:
            raise UnfitMemoryError("the file of the kept memory is missing") from error
        with _closing(source):
            length = os.fstat(source).st_size
            if length != mark.size:
                raise UnfitMemoryError(f"the kept memory has {length} bytes, and had {mark.size}")
            self._mark.unlink()
            self._flush()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with _closing(os.open(memory, flags, 0o600)) as target:
                if copy(source, target) != mark.checksum:
                    raise UnfitMemoryError("the kept memory is damaged")
        memory.with_name(memory.name + META).write_text(mark.meta, "latin-1")
        return mark.stopped

    def _read_mark(self) -> Mark:
        """Return the mark; raises UnfitMemoryError."""
        try:
            file = open_own(self._mark)
        except FileNotFoundError as error:
            if self._copy.exists() or _part(self._copy).exists():
                raise UnfitMemoryError("the copy of the memory was not finished") from error
            raise UnfitMemoryError("no memory is kept") from error
        with _closing(file):
            return Mark.decode(os.read(file, LIMIT))


def _part(path: Path) -> Path:
    """Return under which name what is to be at `path` is written."""
    return path.with_name(path.name + ".part")


def _write(file: int, text: bytes) -> None:
    if os.write(file, text) < len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _closing(file: int) -> Iterator[int]:
    try:
        yield file
    finally:
        os.close(file)
