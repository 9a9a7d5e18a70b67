"""Who reads the web root for visitors: nginx's user, as mode bits, groups and ACLs treat it."""

import errno
import grp
import os
import pwd
import stat
import struct
from dataclasses import dataclass, field

from memfis.errors import UsageError

READ, SEARCH = 4, 1

_ACL = "system.posix_acl_access"
# acl(5) and linux/posix_acl_xattr.h: a 32-bit version, then (tag, permissions, id) an entry
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32


@dataclass(frozen=True)
class Reader:
    """A user as the kernel sees it: numeric user id and every group id."""

    name: str
    uid: int
    gids: frozenset[int] = field(repr=False)

    @classmethod
    def called(cls, name: str | None) -> "Reader":
        """Return the user `name`, or whoever runs this process; raises UsageError."""
        if name is None:
            uid = os.geteuid()
            try:
                name = pwd.getpwuid(uid).pw_name
            except KeyError:
                name = str(uid)
            return cls(name, uid, frozenset([os.getegid(), *os.getgroups()]))
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            raise UsageError(f"reader {name!r}: no such user; set 'reader' to nginx's") from None
        groups = (group.gr_gid for group in grp.getgrall() if name in group.gr_mem)
        return cls(name, user.pw_uid, frozenset([user.pw_gid, *groups]))

    @property
    def numbers(self) -> str:
        """The user as the kernel knows it, `UID:GID,GID…`: whoever has the same reads the same."""
        return f"{self.uid}:{','.join(map(str, sorted(self.gids)))}"

    def reads_by_mode(self, status: os.stat_result) -> bool:
        """Whether mode bits let the user read what has `status`; an ACL may say otherwise."""
        return self.may_by_mode(READ, status.st_mode, status.st_uid, status.st_gid)

    def certainly_reads(self, path: bytes, status: os.stat_result) -> bool:
        """Whether mode bits alone let the user read the file `path`: fast, and True is certain.

        `status` is that of `path` itself, which is no link. With any extended attribute, an ACL may
        be, or an error, the answer is False: ask `may`.
        """
        if self.uid == 0:
            return True
        try:
            return self.reads_by_mode(status) and not os.listxattr(path)
        except OSError:
            return False

    def may(self, want: int, path: bytes | int, status: os.stat_result) -> bool:
        """Whether the user has the permission `want` (READ, SEARCH) on `path`.

        `path` may be a file descriptor; `status` is that of `path`, links followed. Raises
        OSError when the ACL cannot be read.
        """
        if self.uid == 0:
            return want == READ or stat.S_ISDIR(status.st_mode)
        # Linux asks no ACL whose mask, which the group's mode bits show, is empty (fs/namei.c,
        # acl_permission_check): a named user is one of the others then
        acl = _acl(path) if status.st_mode & stat.S_IRWXG else None
        if acl is not None:
            return self._may_by_acl(want, acl, status)
        return self.may_by_mode(want, status.st_mode, status.st_uid, status.st_gid)

    def may_by_mode(self, want: int, mode: int, uid: int, gid: int) -> bool:
        """Whether the user has the permission `want` on what has `mode`, `uid` and `gid`."""
        if self.uid == 0:
            return want == READ or stat.S_ISDIR(mode)
        if uid == self.uid:
            mode >>= 6
        elif gid in self.gids:
            mode >>= 3
        return bool(mode & want)

    def _may_by_acl(
        self, want: int, acl: list[tuple[int, int, int]], status: os.stat_result
    ) -> bool:
        """Decide as acl(5), "Access check algorithm"."""
        mask = next((bits for tag, bits, _ in acl if tag == _MASK), 7)
        if status.st_uid == self.uid:
            return any(bits & want for tag, bits, _ in acl if tag == _USER_OBJ)
        for tag, bits, number in acl:
            if tag == _USER and number == self.uid:
                return bool(bits & mask & want)
        groups = [
            bits
            for tag, bits, number in acl
            if (tag == _GROUP_OBJ and status.st_gid in self.gids)
            or (tag == _GROUP and number in self.gids)
        ]
        if groups:
            return any(bits & mask & want for bits in groups)
        return any(bits & want for tag, bits, _ in acl if tag == _OTHER)


def _acl(path: bytes | int) -> list[tuple[int, int, int]] | None:
    """Return the access ACL of `path`, None where mode bits are all there is."""
    try:
        if _ACL not in os.listxattr(path):
            return None
        data = os.getxattr(path, _ACL)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return None
        raise
    return list(struct.iter_unpack("<HHI", data[4:]))
