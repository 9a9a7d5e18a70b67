"""The walk over a web root, a directory at a time."""

import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from memfis.config import Site
from memfis.entries import Entry
from memfis.errors import UsageError
from memfis.keys import KEY_LIMIT, longest_key, page_path
from memfis.webroot.exclusions import Exclusions, is_refused
from memfis.webroot.reader import READ, SEARCH, Reader

READS = 4
"""How often a file is read that changes meanwhile, before it is left to the next pass."""


class Problem(NamedTuple):
    """Something that should be in memory and cannot: a visitor gets it by the fallback."""

    path: bytes
    reason: str


class Skipped(NamedTuple):
    """Something that a setting keeps out of memory: a visitor gets it by the fallback."""

    path: bytes
    reason: str


class Listing(msgspec.Struct):
    """What one directory publishes, and what it does not."""

    path: bytes
    """URL path, begins and ends with `/`."""
    entries: dict[str, Entry] = msgspec.field(default_factory=dict)
    problems: list[Problem] = msgspec.field(default_factory=list)
    skipped: list[Skipped] = msgspec.field(default_factory=list)


class _Ancestor(NamedTuple):
    device: int
    inode: int
    linked: bool = False


Ancestors = tuple[_Ancestor, ...]
_Below = tuple[bytes, bytes, Ancestors]
"""URL path, path on disk, and the directories above of a directory still to be listed."""


class WebRoot:
    """A site's directory on disk, seen with the rights of nginx's user."""

    def __init__(self, site: Site) -> None:
        """Check the web root of `site`; raises UsageError when it cannot be one."""
        self._site = site
        self._index = site.index_name
        self._exclusions = Exclusions(site.exclude)
        self.reader = Reader.called(site.reader)
        self.given = os.fsencode(site.root)
        self.root = self._checked_root()
        self._below = self.root.rstrip(b"/") + b"/"

    def _checked_root(self) -> bytes:
        shown = os.fsdecode(self.given)
        try:
            root = os.path.realpath(self.given, strict=True)
            if not stat.S_ISDIR(os.stat(root).st_mode):
                raise UsageError(f"web root {shown}: not a directory")
            os.scandir(root).close()
            closed = self._closed_directory(b"/", root)
        except OSError as error:
            raise UsageError(f"web root {shown}: {error.strerror}") from error
        if closed:
            mode = stat.filemode(os.stat(closed).st_mode)
            raise UsageError(
                f"web root {shown}: nginx's user {self.reader.name} may not enter"
                f" {os.fsdecode(closed)} ({mode}); nginx could serve nothing of it"
            )
        return root

    def _closed_directory(self, above: bytes, directory: bytes) -> bytes | None:
        """Return the first directory from `above` down to `directory` that the reader cannot enter.

        Both are absolute and free of links.
        """
        steps = [directory]
        while steps[-1] != above and steps[-1] != b"/":
            steps.append(os.path.dirname(steps[-1]))
        for step in reversed(steps):
            if not self.reader.may(SEARCH, step, os.stat(step)):
                return step
        return None

    def walk(self) -> Iterator[Listing]:
        """Yield a listing for every published directory, parents before children."""
        status = os.stat(self.root)
        pending: list[_Below] = [(b"/", self.root, (_Ancestor(status.st_dev, status.st_ino),))]
        while pending:
            path, directory, ancestors = pending.pop()
            listing = Listing(path)
            found = self._list(listing, directory, ancestors)
            yield listing
            pending += reversed(found)

    def _list(self, listing: Listing, directory: bytes, ancestors: Ancestors) -> list[_Below]:
        """Fill `listing` from `directory`; return the directories to go on with."""
        found: list[_Below] = []
        try:
            with os.scandir(directory) as names:
                children = sorted(names, key=lambda child: child.name)
        except OSError as error:
            listing.problems.append(Problem(listing.path, f"cannot be listed: {error.strerror}"))
            return found
        for child in children:
            path = listing.path + child.name
            try:
                entry = self._entry(listing, child, path, ancestors)
            except OSError as error:
                if not isinstance(error, FileNotFoundError) or child.is_symlink():
                    listing.problems.append(Problem(path, _link_reason(error)))
                continue
            if entry is None:
                continue
            listing.entries[entry.name] = entry
            if entry.is_directory:
                status = child.stat()
                here = _Ancestor(status.st_dev, status.st_ino, child.is_symlink())
                found.append((path + b"/", child.path, (*ancestors, here)))
        return found

    def _entry(
        self,
        listing: Listing,
        child: "os.DirEntry[bytes]",
        path: bytes,
        ancestors: Ancestors,
    ) -> Entry | None:
        """Return the entry to publish for `child`, or None with the reason put in `listing`."""
        name = child.name
        is_directory = child.is_dir()
        if is_refused(listing.path, name) or self._exclusions.excludes(
            listing.path, name, is_directory
        ):
            listing.skipped.append(Skipped(path, "excluded"))
            return None
        if is_directory and child.is_symlink() and any(each.linked for each in ancestors):
            # following links from links could multiply a small tree without end
            listing.skipped.append(Skipped(path, "linked directory in a linked directory"))
            return None
        status = child.stat()
        reason = self._obstacle(child, path, status, ancestors)
        if reason:
            listing.problems.append(Problem(path, reason))
            return None
        return Entry(
            name.decode("latin-1"),
            status.st_mode,
            0 if is_directory else status.st_size,
            status.st_mtime_ns,
            status.st_uid,
            status.st_gid,
        )

    def _obstacle(
        self,
        child: "os.DirEntry[bytes]",
        path: bytes,
        status: os.stat_result,
        ancestors: Ancestors,
    ) -> str | None:
        """Return why `child` may not be published, None when it may."""
        is_directory = stat.S_ISDIR(status.st_mode)
        if not is_directory and not stat.S_ISREG(status.st_mode):
            return f"not a regular file but a {_kind(status.st_mode)}"
        key_length = longest_key(self._site.name, path)
        if key_length > KEY_LIMIT:
            return f"key too long: {key_length} bytes, {KEY_LIMIT} at most"
        if child.is_symlink():
            reason = self._link_obstacle(child, status, ancestors)
            if reason:
                return reason
        if not self.reader.may(SEARCH if is_directory else READ, child.path, status):
            mode = stat.filemode(status.st_mode)
            return f"not readable for nginx's user {self.reader.name} ({mode})"
        return None

    def _link_obstacle(
        self,
        child: "os.DirEntry[bytes]",
        status: os.stat_result,
        ancestors: Ancestors,
    ) -> str | None:
        target = os.path.realpath(child.path, strict=True)
        if target != self.root and not target.startswith(self._below):
            return f"symbolic link out of the web root, to {os.fsdecode(target)}"
        if any((status.st_dev, status.st_ino) == each[:2] for each in ancestors):
            return "circular symbolic link"
        directory, _, name = target[len(self._below) - 1 :].rpartition(b"/")
        if any(
            is_refused(b"/" if depth == 0 else b"/x/", part)
            for depth, part in enumerate([*directory.split(b"/")[1:], name])
        ):
            return f"symbolic link to a name that is never served, {os.fsdecode(target)}"
        closed = self._closed_directory(self.root, os.path.dirname(target))
        if closed:
            return f"nginx's user {self.reader.name} may not enter {os.fsdecode(closed)}"
        return None

    def read(self, path: bytes) -> tuple[bytes, os.stat_result]:
        """Return the content of the file at URL path `path` and its status when it was read.

        What was found publishable may have become something else since: it is checked once more
        on the open file. Raises OSError, with what is wrong as its `strerror`.
        """
        for _ in range(READS):
            descriptor = os.open(self.root + path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                before = os.fstat(descriptor)
                self._check_open(descriptor, before)
                content = _read_all(descriptor, before.st_size)
                after = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if (before.st_size, before.st_mtime_ns) == (len(content), after.st_mtime_ns):
                return content, after
        raise OSError(errno.EAGAIN, "changes while it is read")

    def _check_open(self, descriptor: int, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EAGAIN, f"became a {_kind(status.st_mode)} since it was found")
        if not os.readlink(b"/proc/self/fd/%d" % descriptor).startswith(self._below):
            raise OSError(errno.EAGAIN, "leads out of the web root since it was found")
        if not self.reader.may(READ, descriptor, status):
            raise OSError(errno.EAGAIN, f"not readable for nginx's user {self.reader.name}")

    def url(self, directory: bytes, name: bytes) -> bytes:
        """Return the URL path that the file `name` in `directory` is stored for."""
        return page_path(directory, name, self._index)


def _read_all(descriptor: int, size: int) -> bytes:
    """Return the content of the open file, which has `size` bytes unless it grows meanwhile."""
    content = os.read(descriptor, size + 1)
    if len(content) == size:  # nearly always, and the end of the file is known without a read
        return content
    parts = [content]
    while parts[-1]:
        parts.append(os.read(descriptor, 1024 * 1024))
    return b"".join(parts)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "FIFO",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "character device",
        stat.S_IFBLK: "block device",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")


def _link_reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "dangling symbolic link"
    if error.errno == errno.ELOOP:
        return "circular symbolic link"
    return error.strerror or str(error)
