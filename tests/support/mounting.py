"""Mounts that only this process and what it starts can see (mount_namespaces(7), mount(2))."""

import ctypes
import os
import re
from functools import cache
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x20000  # linux/sched.h
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000  # linux/mount.h
_MNT_DETACH = 2  # umount(2)


@cache
def own_namespace() -> bool:
    """Put this thread, and what it starts from now on, into a namespace of its own; once.

    Returns whether that worked: only root may, and not in every container.
    """
    if os.geteuid() != 0 or _libc.unshare(_CLONE_NEWNS):
        return False
    _mount(None, b"/", None, _MS_REC | _MS_PRIVATE)
    return True


def mount_tmpfs(target: bytes) -> None:
    """Mount an empty file system over the directory `target`; raises OSError."""
    _check()
    _mount(b"tmpfs", target, b"tmpfs", 0, b"mode=0755,size=16m")


def bind(source: bytes, target: bytes) -> None:
    """Let the directory `source` be seen at `target` too; raises OSError."""
    _check()
    _mount(source, target, None, _MS_BIND)


def unmount(target: bytes) -> None:
    """Take away what was mounted last at `target`, whoever has a file of it open; or OSError."""
    _check()
    if _libc.umount2(target, _MNT_DETACH):
        raise _error(target)


def mounted_below(directory: bytes) -> list[bytes]:
    """Return the mount points in `directory`, the last one first."""
    lines = Path("/proc/thread-self/mountinfo").read_bytes().splitlines()
    points = [re.sub(rb"\\(\d{3})", _unescaped, line.split(b" ")[4]) for line in lines]
    return [point for point in points[::-1] if point.startswith(directory + b"/")]


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8)])


def _check() -> None:
    if not own_namespace():
        raise PermissionError("no mount namespace of its own")


def _mount(
    source: bytes | None, target: bytes, kind: bytes | None, flags: int, options: bytes = b""
) -> None:
    if _libc.mount(source, target, kind, ctypes.c_ulong(flags), options or None):
        raise _error(target)


def _error(target: bytes) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), target)
