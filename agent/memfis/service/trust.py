"""Directories and sockets that nobody else can have put there, looked at as the kernel finds them.

Whoever may write to a directory may put another in the place of what is in it. So the whole way
from `/` is looked at, each directory once it is open. Trusted are root and this process's own user;
and whomever root gave the last directory to, as tmpfiles.d(5) gives `/run/memfis` to the agent's.
"""

import contextlib
import errno
import grp
import os
import pwd
import socket
import stat
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from memfis.errors import UntrustedError

LINKS = 40
"""Symbolic links that the kernel follows in one path (path_resolution(7))."""

_WHOLE_MAP = ["0", "0", "4294967295"]
"""What user_namespaces(7) say where every user is known."""

_ADVICE = "or set 'runtime_directory' to a directory of your own"


class OpenDirectory(NamedTuple):
    """A directory that was found in order."""

    descriptor: int
    """Opened with O_PATH."""
    owners: frozenset[int]
    """The users who may put something there: what others own is not theirs."""


@contextmanager
def own_directory(path: Path, *, make: bool = False) -> Iterator[OpenDirectory]:
    """Open the directory `path`, in which only those put something who are trusted.

    `make`: where it is missing, make it for this user alone (0700). Raises OSError, and
    UntrustedError where others may write to it or to a directory above, or made a link on the way.
    """
    way = _Way(make=make)
    try:
        way.go(os.path.join(os.getcwd(), path))
        yield way.end()
    finally:
        way.close()


class _Way:
    """From `/` down to a directory, name by name, each directory looked at once it is open."""

    def __init__(self, *, make: bool) -> None:
        self._make = make
        self._trusted = _trusted()
        self._links = 0
        self._begin()

    def _begin(self) -> None:
        self._shown = "/"
        self._here = os.open("/", os.O_PATH | os.O_CLOEXEC)

    def close(self) -> None:
        """Close what is open."""
        os.close(self._here)

    def go(self, path: str) -> None:
        """Go on to the directory `path`, absolute or from where we are."""
        rest = [name for name in path.split("/")[::-1] if name not in ("", ".")]
        while rest:
            target = self._step(rest.pop(), last=not rest)
            if target is not None:
                rest += [name for name in target.split("/")[::-1] if name not in ("", ".")]
                if target.startswith("/"):
                    os.close(self._here)
                    self._begin()

    def _step(self, name: str, *, last: bool) -> str | None:
        """Enter the directory `name`; where it is a link, stay and return its target."""
        others_write = self._check_above()
        shown = os.path.normpath(os.path.join(self._shown, name))
        step = self._open(name, shown, last=last)
        try:
            status = os.fstat(step)
            if stat.S_ISLNK(status.st_mode):
                self._check_link(shown, status, others_write=others_write)
                return os.readlink("", dir_fd=step)
            if not stat.S_ISDIR(status.st_mode):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), shown)
            if others_write and status.st_uid not in self._trusted:
                raise _of_another(shown, status)
            self._shown = shown
            self._here, step = step, self._here
        finally:
            os.close(step)
        return None

    def _open(self, name: str, shown: str, *, last: bool) -> int:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            if self._make:
                with contextlib.suppress(FileExistsError):
                    if not _is_there(name, self._here):
                        os.mkdir(name, 0o700 if last else 0o755, dir_fd=self._here)
            return os.open(name, flags, dir_fd=self._here)
        except OSError as error:
            error.filename = shown
            raise

    def _check_above(self) -> bool:
        """Look whether only those who are trusted can replace what has a name here.

        Return whether others may make names: each removes only his own then (the sticky bit).
        """
        status = os.fstat(self._here)
        if status.st_uid not in self._trusted:
            raise _of_another(self._shown, status)
        others_write = _others_may_write(self._here, status)
        if others_write and not status.st_mode & stat.S_ISVTX:
            raise _writable(self._shown, status)
        return others_write

    def _check_link(self, shown: str, status: os.stat_result, *, others_write: bool) -> None:
        if others_write:
            raise UntrustedError(
                f"{shown}: a symbolic link of user {name_of(status.st_uid)}, where others may make"
                f" some: not followed; remove it, {_ADVICE}"
            )
        self._links += 1
        if self._links > LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), shown)

    def end(self) -> OpenDirectory:
        """Return the directory where we are, which others may not write to."""
        status = os.fstat(self._here)
        if _others_may_write(self._here, status):
            raise _writable(self._shown, status)
        return OpenDirectory(self._here, frozenset((0, os.geteuid(), status.st_uid)))


def _is_there(name: str, above: int) -> bool:
    try:
        os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _trusted() -> frozenset[int]:
    """Return the users who may own what is above: root, ourselves.

    In a user namespace also whoever is not known there: what is above was made outside of it.
    """
    ours = {0, os.geteuid()}
    with contextlib.suppress(OSError):
        if Path("/proc/self/uid_map").read_text().split() != _WHOLE_MAP:
            ours.add(int(Path("/proc/sys/kernel/overflowuid").read_text()))
    return frozenset(ours)


def _others_may_write(descriptor: int, status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_alone(descriptor, status)


def _is_alone(descriptor: int, status: os.stat_result) -> bool:
    """Whether the group is the owner's own, as most systems make one for each user.

    With an access control list the bits of the group are those of everybody named in it (acl(5)).
    """
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
        listed = os.listxattr(f"/proc/self/fd/{descriptor}")
    except (KeyError, OSError):
        return False
    return (
        (owner.pw_gid, owner.pw_name) == (group.gr_gid, group.gr_name)
        and set(group.gr_mem) <= {owner.pw_name}
        and "system.posix_acl_access" not in listed
    )


def _of_another(shown: str, status: os.stat_result) -> UntrustedError:
    return UntrustedError(
        f"{shown}: belongs to user {name_of(status.st_uid)}, and not to"
        f" {name_of(os.geteuid())} or root: not used; remove it, {_ADVICE}"
    )


def _writable(shown: str, status: os.stat_result) -> UntrustedError:
    return UntrustedError(
        f"{shown}: others may write to it ({stat.filemode(status.st_mode)}, user"
        f" {name_of(status.st_uid)}, group {_group(status.st_gid)}): not used; chmod go-w"
        f" {shown}, {_ADVICE}"
    )


def name_of(uid: int) -> str:
    """Return the name of a user, or the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def check_peer(connection: socket.socket, path: str, owners: Collection[int]) -> None:
    """Look who listens at the unix socket that `connection` leads to (unix(7), SO_PEERCRED).

    Raises UntrustedError where that is none of `owners`.
    """
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    if uid not in owners:
        raise UntrustedError(f"{path}: user {name_of(uid)} listens there, who is not trusted")


def check_owner(status: os.stat_result, path: str, owners: Collection[int]) -> None:
    """Raise UntrustedError where what `status` is of belongs to none of `owners`."""
    if status.st_uid not in owners:
        raise UntrustedError(
            f"{path}: belongs to user {name_of(status.st_uid)}: not used; remove it, {_ADVICE}"
        )
