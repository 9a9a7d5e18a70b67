"""Web roots to measure with: many small files that prove themselves, and real documentation."""

import os
import random
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.documentation import LARGE, documentation

SMALLEST = 64
"""Bytes that the first line of a page always fits in."""

LARGEST = 128 * 1024
"""Bytes of the largest page that goes into memory by default (`max_page` of a site)."""

_SPREAD = 65_536


@dataclass(frozen=True)
class Page:
    """What a body says of itself: which file it is of, and how often that was changed."""

    number: int
    version: int


@cache
def _noise(size: int) -> bytes:
    return random.Random(0).randbytes(size + _SPREAD)


def body(page: Page, size: int) -> bytes:
    """Return `size` bytes that nothing compresses, with a checksum over all of them."""
    line = b"%d %d\n" % (page.number, page.version)
    start = (page.number * 7919 + page.version * 104_729) % _SPREAD
    rest = line + _noise(size)[start : start + size - 9 - len(line)]
    return b"%08x " % zlib.crc32(rest) + rest


def page_of(body: bytes) -> Page | None:
    """Return what `body` says of itself, None unless it is whole."""
    found = re.match(rb"([0-9a-f]{8}) (\d+) (\d+)\n", body)
    if found is None or int(found[1], 16) != zlib.crc32(body[9:]):
        return None
    return Page(int(found[2]), int(found[3]))


@dataclass(frozen=True)
class Tree:
    """`files` files of `size` bytes, evenly in `directories` directories under `root`.

    They are called .bin, which memfis does not try to compress.
    """

    root: Path
    files: int
    directories: int
    size: int

    def __str__(self) -> str:
        return f"{self.files:,} files of {self.size:,} bytes in {self.directories:,} directories"

    def url(self, number: int) -> str:
        """Return the path of file `number`, from the root on, with a slash before it."""
        return f"/{number % self.directories:04}/{number:06}.bin"

    def path(self, number: int) -> Path:
        """Return where file `number` is."""
        return Path(f"{self.root}{self.url(number)}")

    def make(self) -> None:
        """Write all files; the tree appears when it is complete."""
        if self.root.is_dir():
            return
        new = Tree(self.root.with_name(f"{self.root.name}.new"), *self._shape())
        shutil.rmtree(new.root, ignore_errors=True)
        for number in range(min(self.directories, self.files)):
            new.path(number).parent.mkdir(parents=True)
        for number in range(self.files):
            new.path(number).write_bytes(body(Page(number, 0), self.size))
        os.rename(new.root, self.root)

    def _shape(self) -> tuple[int, int, int]:
        return self.files, self.directories, self.size


@contextmanager
def made_tree(parent: Path, files: int, directories: int, size: int, keep: bool) -> Iterator[Tree]:
    """Yield a tree in `parent`, made unless an earlier run kept it; `keep`: leave it there."""
    name = f"memfis-tree-{files}-{directories}-{size}"
    tree = Tree(parent / name, files, directories, size)
    try:
        tree.make()
        yield tree
    finally:
        if not keep:
            shutil.rmtree(tree.root, ignore_errors=True)
            shutil.rmtree(f"{tree.root}.new", ignore_errors=True)


def copy_documentation(target: Path, most: int) -> tuple[int, int]:
    """Copy `most` HTML files of a documentation tree to `target`; return files and bytes."""
    source = documentation(*LARGE) / "usr/share/doc"
    pages = sorted(path for path in source.rglob("*.html") if not path.is_symlink())[:most]
    for page in pages:
        copy = target / page.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, copy)
    return len(pages), sum(page.stat().st_size for page in pages)
