"""What is behind one name of a web root, and how a listing notes it."""

import errno
import os
import stat
from typing import Protocol

from memfis.layout.records import Entry
from memfis.webroot.links import names_on_the_way
from memfis.webroot.listing import Link, Listing, Problem
from memfis.webroot.place import CLOSED, MISSING


class Child(Protocol):
    """What is needed of an `os.DirEntry`."""

    @property
    def name(self) -> bytes:
        """Its name in the directory."""

    @property
    def path(self) -> bytes:
        """Where it is."""

    def is_dir(self) -> bool:
        """Whether it is a directory, links followed."""

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""

    def stat(self) -> os.stat_result:
        """Return its status, links followed; raises OSError."""


class Named:
    """One name in a directory that is not listed; as `Child` says."""

    def __init__(self, directory: bytes, name: bytes) -> None:
        """Take `name` in `directory`, a path on disk."""
        self.name = name
        self.path = os.path.join(directory, name)

    def is_dir(self) -> bool:
        """Whether it is a directory now."""
        return os.path.isdir(self.path)

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link now."""
        return os.path.islink(self.path)

    def stat(self) -> os.stat_result:
        """Return its status now; raises OSError."""
        return os.stat(self.path)


def link_of(child: Child) -> Link:
    """Return where the symbolic link `child` leads, and by which names."""
    way = tuple(os.path.join(*step) for step in names_on_the_way(child.path))
    return Link(child.name, way, os.path.realpath(child.path))


def entry_of(name: str, status: os.stat_result, inode: int) -> Entry:
    """Return what a record keeps of the file or directory `name`; of directories only who may."""
    if stat.S_ISDIR(status.st_mode):
        return Entry(name, status.st_mode, 0, status.st_mtime_ns, status.st_uid, status.st_gid)
    return Entry(
        name,
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_uid,
        status.st_gid,
        ctime_ns=status.st_ctime_ns,
        inode=inode,
    )


def note_failed(listing: Listing, child: Child, error: OSError) -> None:
    """Note in `listing` that what `child` is could not be found out, for `error`."""
    text = child.name.decode("latin-1")
    if error.errno in CLOSED:
        listing.withheld.add(text)
    elif error.errno not in MISSING:
        listing.unknown.add(text)
    elif not child.is_symlink():
        return  # it went just now
    if error.errno == errno.ELOOP:
        reason = "circular symbolic link"
    elif error.errno in MISSING:
        reason = "dangling symbolic link"
    else:
        reason = error.strerror or str(error)
    listing.problems.append(Problem(listing.path + child.name, reason))
