"""Entry records and the log of them that is a directory item.

A log is lines of JSON: first HEADER, then one array a record, oldest first. The last record of a
name wins; one without a mode is a tombstone. Names are bytes to a file system and text to JSON, so
a record carries them as ISO-8859-1, which maps every byte to one character and back.

Fields are only ever added at the end: a reader takes what a shorter record lacks for not known, and
one that is older than a field ignores it.
"""

import os
import stat
from collections.abc import Iterable
from typing import Literal

import msgspec

HEADER = b'{"memfis":"directory","layout":1}\n'
"""First line of a complete log. A log without it lost its beginning and is damaged."""

COMPACT_FROM = 256
"""Records in a log before compaction is worth its while."""

MOVING = "memfis.moving"
"""Extended attribute of a directory that is being filled from another one: its path, as names."""

Origin = Literal["file", "rendered"]


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One name in a directory.

    `name`: its bytes as ISO-8859-1. `mode`: type and permission bits, None in a tombstone.
    `size`: bytes on disk. `mtime_ns`: nanoseconds since the epoch. `target`: of a symbolic link.
    `flags`: client flags of the stored page (see `pages`), 0 for a directory. `racy`: the file was
    read so soon after its last change that a later one may have left the same modification time.
    `extended`: extended attributes, names and values as ISO-8859-1; a mount keeps them. `ctime_ns`,
    `inode`: of the file that was read, as stat(2) has them; 0: not recorded, as by version 0.1.0,
    or an `inode` that its file system makes up. Where a mount wrote the record, `inode` is a number
    that it gave a new file, to tell it from others of that name. `tags`: names by which a rendered
    page can be purged. `ambiguous`: size and second of the modification time were those of another
    content before, so they tell nobody which one he has.

    The name of a rendered page begins with `/`, which no file's does: `/blog` may be a page and a
    directory at once. The page of the directory's own URL is called `/` in it.
    """

    name: str
    mode: int | None = None
    size: int = 0
    mtime_ns: int = 0
    uid: int = 0
    gid: int = 0
    target: str | None = None
    flags: int = 0
    origin: Origin = "file"
    racy: bool = False
    extended: dict[str, str] | None = None
    ctime_ns: int = 0
    inode: int = 0
    tags: tuple[str, ...] = ()
    ambiguous: bool = False

    @property
    def raw(self) -> bytes:
        """The name as the file system has it."""
        return self.name.encode("latin-1")

    @property
    def is_rendered(self) -> bool:
        """Whether this is a page that no file stands for."""
        return self.origin == "rendered" and not self.is_directory

    @property
    def in_url(self) -> bytes:
        """The last part of the URL path, after that of the directory."""
        return self.raw[1:] if self.is_rendered else self.raw

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory, with an item of its own."""
        return self.mode is not None and stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file."""
        return self.mode is not None and stat.S_ISREG(self.mode)

    def is_as(self, status: os.stat_result, inode: int) -> bool:
        """Whether this is the record of a file that is still as `status` says.

        `inode`: its number, 0 where the file system makes numbers up.
        """
        return (
            self.ctime_ns == status.st_ctime_ns
            and self.inode == inode
            and self.mtime_ns == status.st_mtime_ns
            and self.size == status.st_size
            and self.mode == status.st_mode
            and self.uid == status.st_uid
            and self.gid == status.st_gid
        )

    def same_content(self, other: "Entry") -> bool:
        """Quick check: what git's index keeps of a file agrees, and can be relied upon.

        Size and modification time may be those of another content: copies, archives and images keep
        them. The time of change is the kernel's own, and another file has another number.
        """
        return (
            self.ctime_ns == other.ctime_ns
            and self.inode == other.inode
            and self.size == other.size
            and self.mtime_ns == other.mtime_ns
            and not other.racy
        )

    def same_attributes(self, other: "Entry") -> bool:
        """Whether everything but the stored page's flags agrees."""
        return (
            self.size == other.size
            and self.mtime_ns == other.mtime_ns
            and self.mode == other.mode
            and self.uid == other.uid
            and self.gid == other.gid
            and self.ctime_ns == other.ctime_ns
            and self.inode == other.inode
            and self.target == other.target
        )


_NOTHING_MORE = (
    (b",0,0,[],false]\n", b"]\n"),
    (b",[],false]\n", b"]\n"),
    (b"],false]\n", b"]]\n"),
)
"""The ends of records that say nothing in their last fields, and what is written instead.

So a record without them is what version 0.1.0 wrote, to the byte. No text of a record can look like
such an end: in JSON a line feed stands only between records.
"""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def tombstone(name: str) -> Entry:
    """Return the record that takes `name` out of its directory."""
    return Entry(name)


def encode_records(entries: Iterable[Entry]) -> bytes:
    """Return the bytes to append to a log for `entries`."""
    data = _encoder.encode_lines(entries)
    for end, short in _NOTHING_MORE:
        data = data.replace(end, short)
    return data


def encode_log(entries: Iterable[Entry]) -> bytes:
    """Return a complete log that holds `entries`."""
    return HEADER + encode_records(entries)


def is_grown(records: int, live: int) -> bool:
    """Whether most of a log of `records` is overtaken by `live` ones, and it is long enough."""
    return records >= COMPACT_FROM and records >= 2 * live


class Log(msgspec.Struct, frozen=True):
    """What a directory item says: its live entries by name, and how long it has grown."""

    entries: dict[str, Entry]
    records: int
    """Records in the log, tombstones and overtaken ones included: what compaction would cut."""

    @property
    def is_grown(self) -> bool:
        """Whether compaction is worth its while."""
        return is_grown(self.records, len(self.entries))


def decode_log(data: bytes) -> Log | None:
    """Return what the directory item `data` says, or None when it is damaged."""
    if not data.startswith(HEADER):
        return None
    try:
        records = _decoder.decode_lines(memoryview(data)[len(HEADER) :])
    except msgspec.MsgspecError:
        return None
    entries = {record.name: record for record in records}
    live = {name: entry for name, entry in entries.items() if entry.mode is not None}
    return Log(live, len(records))
