"""What may happen to a web root: each operation a tuple of plain values, so that it can be printed.

An operation that the tree does not allow (a file where a directory should be, a name that is not
there) does nothing. Paths are relative to the web root.
"""

import os
import random
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from support.renaming import exchange

Operation = tuple[Any, ...]

_LINE = b"All work and no play makes Jack a dull boy.\n"


PINNED = 10**9
"""Nanoseconds since the epoch: when every file was changed, where times are pinned."""


class Tree:
    """A web root and what is done to it."""

    root: bytes
    """Where it is, free of links."""

    def __init__(self, root: bytes, *, pinned: bool = False) -> None:
        """Make it, and a directory that is not published; `pinned`: all times are equal."""
        self.root = root
        self.outside = root + b".outside"
        self._pinned = pinned
        self._made = 0
        os.makedirs(root)
        os.mkdir(self.outside)
        self._put(self.outside + b"/secret.html", 77, "text")

    def path(self, path: bytes) -> bytes:
        return self.root + b"/" + path

    def do(self, operation: Operation) -> None:
        """Do one operation, as far as the tree allows."""
        name, *arguments = operation
        act: Callable[..., None] = getattr(self, name)
        with suppress(OSError):
            act(*arguments)

    def close(self) -> None:
        """Open every directory again, so that whoever made them may remove them."""
        for directory, names, _ in os.walk(self.root):
            for each in names:
                path = os.path.join(directory, each)
                if not os.path.islink(path):
                    os.chmod(path, 0o755)

    def write(self, path: bytes, size: int, kind: str) -> None:
        """Write a file, in place if it is there, with the directories above it."""
        self._put(self._with_parents(path), size, kind)

    def write_slowly(self, path: bytes, size: int, kind: str) -> None:
        """Write a file in two steps; whoever reads in between reads half of it."""
        here = self._with_parents(path)
        self._check(here)
        content = self._content(size, kind)
        with open(here, "wb", buffering=0) as file:
            file.write(content[: size // 2])
            time.sleep(0.1)
            file.write(content[size // 2 :])
        self._pin(here)

    def replace(self, path: bytes, size: int, kind: str) -> None:
        """Write a new file and rename it over."""
        new = self.root + b"/.new"
        self._put(new, size, kind)
        self._rename_over(new, path)

    def append(self, path: bytes, size: int, kind: str) -> None:
        file = self._file(path)
        with open(file, "ab") as opened:
            opened.write(self._content(size, kind))
        self._pin(file)

    def truncate(self, path: bytes, size: int) -> None:
        """Cut a file, in place and open."""
        file = self._file(path)
        if size < os.stat(file).st_size:
            with open(file, "r+b") as opened:
                opened.truncate(size)
            self._pin(file)

    def rewrite(self, path: bytes) -> None:
        """Change the content and neither size nor time of modification."""
        self._flip(self._file(path))

    def touch(self, path: bytes, seconds: int) -> None:
        """Set the modification time, which may be long ago."""
        os.utime(self.path(path), (seconds, seconds))
        self._pin(self.path(path))

    def delete(self, path: bytes) -> None:
        """Delete a file, a link or a whole tree."""
        self._remove(self.path(path))

    def rename(self, path: bytes, to: bytes) -> None:
        """Rename a file or directory, over whatever the kernel allows."""
        os.rename(self.path(path), self._with_parents(to))

    def chmod(self, path: bytes, mode: int) -> None:
        os.chmod(self.path(path), mode)

    def symlink(self, path: bytes, target: bytes) -> None:
        """Make a link, or point the one that is there elsewhere.

        `target`: a path from the web root; `outside…` leads out of it, `self` to the link itself.
        """
        link = self._with_parents(path)
        if target.startswith(b"outside"):
            target = self.outside + target.removeprefix(b"outside")
        else:
            target = link if target == b"self" else self.path(target)
        new = self.root + b"/.new"
        os.symlink(os.path.relpath(target, os.path.dirname(link)), new)
        self._rename_over(new, path)

    def hard_link(self, path: bytes, target: bytes) -> None:
        """Give a file a second name."""
        os.link(self._file(target), self._with_parents(path))

    def exchange(self, path: bytes, other: bytes) -> None:
        """Exchange two names at once: files, directories, or one of each."""
        exchange(self.path(path), self.path(other))

    def swap(self, path: bytes, other: bytes) -> None:
        """Exchange two names in three steps, over a name inside the web root."""
        one, two, aside = self.path(path), self.path(other), self.path(b"aside")
        if os.path.lexists(one) and os.path.lexists(two) and not os.path.lexists(aside):
            for source, target in ((one, aside), (two, one), (aside, two)):
                os.rename(source, target)

    def become(self, path: bytes, kind: str, size: int) -> None:
        """Replace whatever has the name by a file, a directory with two files, or a FIFO."""
        here = self._with_parents(path)
        if os.path.lexists(here):
            self._remove(here)
        if kind == "fifo":
            os.mkfifo(here)
        elif kind == "file":
            self._put(here, size, "text")
        else:
            os.mkdir(here)
            self._put(here + b"/index.html", size, "text")
            self._put(here + b"/page.html", size, "noise")

    def deep(self, path: bytes, depth: int, size: int) -> None:
        """Make directories in directories as fast as it goes, a file in each."""
        here = self.path(path)
        for level in range(depth):
            os.makedirs(here, exist_ok=True)
            self._put(here + b"/page.html", size, "text")
            here += b"/%d" % level

    def _rename_over(self, new: bytes, path: bytes) -> None:
        try:
            os.rename(new, self._with_parents(path))
        except OSError:
            os.unlink(new)

    def _with_parents(self, path: bytes) -> bytes:
        here = self.path(path)
        os.makedirs(os.path.dirname(here), exist_ok=True)
        return here

    def _file(self, path: bytes) -> bytes:
        """Return the path of a regular file: to open a FIFO would wait for ever."""
        here = self.path(path)
        if not stat.S_ISREG(os.stat(here).st_mode) or not os.path.realpath(here).startswith(
            self.root + b"/"
        ):
            raise FileNotFoundError
        return here

    def _check(self, path: bytes) -> None:
        """Raise OSError where a file cannot be written, or would be outside."""
        if os.path.exists(path):
            self._file(os.path.relpath(path, self.root))

    def _put(self, path: bytes, size: int, kind: str) -> None:
        self._check(path)
        self._fill(path, self._content(size, kind))

    def _fill(self, path: bytes, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)
        self._pin(path)

    def _flip(self, file: bytes) -> None:
        status = os.stat(file)
        with open(file, "r+b") as opened:
            content = opened.read()
            opened.seek(0)
            opened.write(bytes(byte ^ 1 for byte in content[:16]) + content[16:])
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _pin(self, path: bytes) -> None:
        """Set the time back, as programs do that copy files with their times."""
        if self._pinned:
            os.utime(path, ns=(PINNED, PINNED))

    def _remove(self, path: bytes) -> None:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def _content(self, size: int, kind: str) -> bytes:
        """Return `size` bytes that no other content of this tree begins with."""
        self._made += 1
        if kind == "noise":
            return random.Random(self._made).randbytes(size)
        return (b"<p>%d</p>\n" % self._made + _LINE * (size // len(_LINE) + 1))[:size]
