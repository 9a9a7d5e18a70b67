"""One file, read and written in every way there is, as the file system exerciser fsx does it."""

import mmap
import os
import random
from collections import deque
from pathlib import Path

import pytest

from conformance.seeds import EFFORT, numbers
from support.mount import Mount
from support.syscalls import KEEP_SIZE, PUNCH_HOLE, fallocate

OPERATIONS = 1500 * EFFORT
LARGEST = 300_000
"""Bytes of the file, at most: some 70 pages of the kernel's cache."""

TOLD = 20
"""Operations before a difference that are told of."""


class File:
    """An open file, and the bytes that it must hold. The public methods are operations."""

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.expected = bytearray()
        self.done: deque[str] = deque(maxlen=TOLD)
        self._random = random.Random(number)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def happen(self) -> None:
        """Do a random operation, and look whether the size is right."""
        operations = (
            *(self.read, self.write, self.map_and_read, self.map_and_write) * 3,
            *(self.cut, self.append, self.allocate, self.keep, self.punch),
            *(self.close_and_open, self.sync, self.sync_data, self.read_as_another, self.copy),
        )
        operation = self._random.choice(operations)
        self.done.append(operation.__name__)
        operation()
        self.check(os.fstat(self._file).st_size == len(self.expected), "size by fstat")
        self.check(os.stat(self.path).st_size == len(self.expected), "size by stat")

    def check(self, right: bool, what: str) -> None:
        assert right, f"{what}, after {', '.join(self.done)}"

    def close(self) -> None:
        os.close(self._file)

    def _range(self, end: int) -> tuple[int, int]:
        """Return offset and length of a range that ends at `end`, at most."""
        offset = self._random.randrange(end)
        length = min(self._random.choice((1, 100, 4096, 70_000)), end - offset)
        self.done[-1] += f"({offset}, {length})"
        return offset, length

    def read(self) -> None:
        offset, length = self._range(LARGEST)
        read = os.pread(self._file, length, offset)
        self.check(read == self.expected[offset : offset + length], "read")

    def read_as_another(self) -> None:
        self.check(self.path.read_bytes() == self.expected, "read as another")

    def write(self) -> None:
        offset, length = self._range(LARGEST)
        content = self._random.randbytes(length)
        self.check(os.pwrite(self._file, content, offset) == length, "length written")
        self._grow(offset)
        self.expected[offset : offset + length] = content

    def append(self) -> None:
        content = self._random.randbytes(self._random.randrange(5000))
        if len(self.expected) + len(content) <= LARGEST:
            with open(self.path, "ab", buffering=0) as file:
                file.write(content)
            self.expected += content

    def cut(self) -> None:
        length = self._random.randrange(LARGEST)
        self.done[-1] += f"({length})"
        os.ftruncate(self._file, length)
        del self.expected[length:]
        self._grow(length)

    def allocate(self) -> None:
        offset, length = self._range(LARGEST)
        fallocate(self._file, 0, offset, length)
        self._grow(offset + length)

    def keep(self) -> None:
        fallocate(self._file, KEEP_SIZE, *self._range(LARGEST))

    def punch(self) -> None:
        offset, length = self._range(LARGEST)
        fallocate(self._file, KEEP_SIZE | PUNCH_HOLE, offset, length)
        end = min(offset + length, len(self.expected))
        if end > offset:
            self.expected[offset:end] = bytes(end - offset)

    def copy(self) -> None:
        """Let the kernel copy from one place to another that does not overlap it."""
        half = len(self.expected) // 2
        if half:
            offset, length = self._range(half)
            copied = os.copy_file_range(self._file, self._file, length, offset, offset + half)
            content = self.expected[offset : offset + copied]
            self.expected[offset + half : offset + half + copied] = content

    def map_and_read(self) -> None:
        if self.expected:
            offset, length = self._range(len(self.expected))
            with mmap.mmap(self._file, 0, prot=mmap.PROT_READ) as mapped:
                read = mapped[offset : offset + length]
            self.check(read == self.expected[offset : offset + length], "read by mmap")

    def map_and_write(self) -> None:
        if self.expected:
            offset, length = self._range(len(self.expected))
            content = self._random.randbytes(length)
            with mmap.mmap(self._file, 0) as mapped:
                mapped[offset : offset + length] = content
                if self._random.random() < 0.5:
                    mapped.flush()
            self.expected[offset : offset + length] = content

    def close_and_open(self) -> None:
        os.close(self._file)
        if self._random.random() < 0.5:
            self.read_as_another()
        self._file = os.open(self.path, os.O_RDWR)

    def sync(self) -> None:
        os.fsync(self._file)

    def sync_data(self) -> None:
        os.fdatasync(self._file)

    def _grow(self, length: int) -> None:
        self.expected += bytes(max(0, length - len(self.expected)))


@pytest.mark.parametrize("number", numbers(1))
def test_a_file_holds_what_was_written_to_it(mount: Mount, number: int) -> None:
    file = File(mount.path / "file.bin", number)
    for _ in range(OPERATIONS):
        file.happen()
    file.read_as_another()
    file.close()
    file.read_as_another()

    mount.unmount()
    mount.start()
    file.read_as_another()


@pytest.mark.parametrize("number", [1])
def test_a_tmpfs_passes_too(memory: Path, number: int) -> None:
    """Show that it is the file system that is tested, not the test."""
    file = File(memory / "file.bin", number)
    for _ in range(OPERATIONS):
        file.happen()
    file.close()
    file.read_as_another()
