"""What a filesystem answers: the types that travel between it and whatever mounts it."""

from typing import NamedTuple

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2


class Attributes(NamedTuple):
    """What stat(2) tells. Times are nanoseconds since the epoch, sizes bytes."""

    inode: int
    mode: int
    links: int
    uid: int
    gid: int
    size: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int


class Caller(NamedTuple):
    """Who makes something: its new owner."""

    uid: int
    gid: int


class Space(NamedTuple):
    """What statfs(2) tells, from the store's own figures: bytes, and how many files there are."""

    total: int
    free: int
    files: int
    name_limit: int
