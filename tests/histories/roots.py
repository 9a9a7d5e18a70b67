"""What may happen to a web root as a whole: releases, mounts, and who may read what of it."""

import os
import struct
import subprocess
import time
from pwd import struct_passwd

from histories.operations import Tree
from support.mounting import bind, mount_tmpfs, mounted_below, unmount
from support.renaming import exchange

_ACL = "system.posix_acl_access"
_NOBODY = 0xFFFFFFFF
_OPEN = 0o755


class Root(Tree):
    """A web root that is a link, `srv/current`, to one of the directories `srv/releases/…`.

    Of what operations name, `..` and `../..` are the directories above it, an empty path the web
    root itself.
    """

    def __init__(self, srv: bytes, user: struct_passwd | None, *, pinned: bool) -> None:
        """Make it in the new directory `srv`; `user`: nginx's, or whoever runs this."""
        self._srv = srv
        self._releases = srv + b"/releases"
        self._uid, self._gid = (user.pw_uid, user.pw_gid) if user else (os.getuid(), os.getgid())
        self.given = srv + b"/current"
        """What the site names as its web root."""
        super().__init__(self._releases + b"/0", pinned=pinned)
        os.symlink(b"releases/0", self.given)

    def path(self, path: bytes) -> bytes:
        above = {b"": self.root, b"..": self._releases, b"../..": self._srv}
        return above.get(path) or super().path(path)

    def close(self) -> None:
        for point in mounted_below(self._srv):
            unmount(point)
        for path in (self._srv, self._releases):
            os.chmod(path, _OPEN)
        for name in os.listdir(self._releases):
            self.root = self._releases + b"/" + name
            super().close()

    # -- releases ------------------------------------------------------------------------------

    def switch(self, number: int) -> None:
        """Point the link to another release at once; one that is not there is made."""
        self._make(number)
        new = self.given + b".new"
        os.symlink(b"releases/%d" % number, new)
        os.rename(new, self.given)
        self.root = self._release(number)

    def exchange_roots(self, number: int) -> None:
        """Exchange the published release and another one at once."""
        self._make(number)
        exchange(self.root, self._release(number))

    def root_away(self, milliseconds: int) -> None:
        """Rename the published release away, and back after a while."""
        aside = self._releases + b"/aside"
        os.rename(self.root, aside)
        time.sleep(milliseconds / 1000)
        os.rename(aside, self.root)

    def _release(self, number: int) -> bytes:
        return self._releases + b"/%d" % number

    def _make(self, number: int) -> None:
        """Make a release, unless it is there, of what is published: a part has other content."""
        new = self._release(number)
        if os.path.lexists(new):
            return
        subprocess.run(["cp", "-a", self.root, new], check=False, stderr=subprocess.DEVNULL)
        files = [os.path.join(here, name) for here, _, names in os.walk(new) for name in names]
        for file in sorted(files)[number % 2 :: 2]:
            if os.path.isfile(file) and not os.path.islink(file):
                self._flip(file)

    # -- mounts --------------------------------------------------------------------------------

    def mount(self, path: bytes, size: int) -> None:
        """Mount a file system with two files over a directory."""
        here = self._directory(path)
        mount_tmpfs(here)
        for name in (b"/index.html", b"/page.html"):
            self._put(here + name, size, "text")

    def bind(self, path: bytes, target: bytes) -> None:
        """Let the directory `target` be seen at `path` too."""
        bind(self._directory(target), self._directory(path))

    def unmount(self, number: int) -> None:
        """Take away one of the mounts."""
        points = mounted_below(self._srv)
        if points:
            unmount(points[number % len(points)])

    def hide(self, milliseconds: int) -> None:
        """Mount a file system over the directory of all releases for a while."""
        mount_tmpfs(self._releases)
        time.sleep(milliseconds / 1000)
        unmount(self._releases)

    def _directory(self, path: bytes) -> bytes:
        here = os.path.realpath(self.path(path))
        if not os.path.isdir(here) or not (here + b"/").startswith(self.root + b"/"):
            raise NotADirectoryError
        return here

    # -- who may read --------------------------------------------------------------------------

    def chown(self, path: bytes, owner: str) -> None:
        """Give a file or directory to nginx's user (`user`), its `group`, or `nobody` of them."""
        numbers = {"user": (self._uid, 0), "group": (0, self._gid), "nobody": (0, 0)}
        os.chown(self.path(path), *numbers[owner])

    def acl(
        self, path: bytes, user: int | None, group: int | None, owning: int, mask: int, other: int
    ) -> None:
        """Give a file or directory an ACL (acl(5)); each number is of permissions, 4 to read.

        `user`, `group`: of nginx's user and its group, None: they have no entry of their own.
        """
        entries = [(0x01, 7, _NOBODY)]
        entries += [] if user is None else [(0x02, user, self._uid)]
        entries += [(0x04, owning, _NOBODY)]
        entries += [] if group is None else [(0x08, group, self._gid)]
        entries += [(0x10, mask, _NOBODY), (0x20, other, _NOBODY)]
        # linux/posix_acl_xattr.h: version 2, then tag, permissions and id of each entry
        data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)
        os.setxattr(self.path(path), _ACL, data)

    def reopen(self) -> None:
        """Let everybody into the web root and the directories above it."""
        for path in (self._srv, self._releases, self.root):
            if _ACL in os.listxattr(path):
                os.removexattr(path, _ACL)
            os.chmod(path, _OPEN)

    def closes_itself(self, path: bytes) -> bool:
        """Whether the file's own mode certainly keeps nginx's user out, whatever its ACL says."""
        status = os.stat(self.path(path))
        return not status.st_mode & 0o077 and status.st_uid != self._uid

    # -- secrets -------------------------------------------------------------------------------

    def put(self, path: bytes, content: bytes) -> None:
        """Write a file that has just this content, in place if it is there."""
        here = self._with_parents(path)
        self._check(here)
        self._fill(here, content)
