"""What one directory of a web root publishes, and what it does not and why."""

from typing import NamedTuple

import msgspec

from memfis.layout.records import Entry


class Problem(NamedTuple):
    """Something that should be in memory and cannot: a visitor gets it by the fallback."""

    path: bytes
    reason: str


class Skipped(NamedTuple):
    """Something that a setting keeps out of memory: a visitor gets it by the fallback."""

    path: bytes
    reason: str


class Ancestor(NamedTuple):
    """A directory above another, itself included: which one it is, and whether by a link."""

    device: int
    inode: int
    linked: bool = False


class Directory(NamedTuple):
    """A published directory, to be listed."""

    path: bytes
    """URL path, begins and ends with `/`."""
    disk: bytes
    """Where it is."""
    ancestors: tuple[Ancestor, ...]
    """From the web root down to the directory itself."""


class Link(NamedTuple):
    """A symbolic link that a directory holds, and where it leads, if anywhere."""

    name: bytes
    way: tuple[bytes, ...]
    """Every path that decides what the link is, as absolute paths on disk."""
    target: bytes
    """What it resolves to, as far as it does."""


class Listing(msgspec.Struct):
    """What one directory publishes, and what it does not."""

    path: bytes
    """URL path, begins and ends with `/`."""
    is_gone: bool = False
    """The directory went after it was found."""
    is_broken: bool = False
    """Its file system failed: what it holds is not known, and a problem says so."""
    is_closed: bool = False
    """Nobody may be served anything of it, whatever it holds, and a problem says why."""
    entries: dict[str, Entry] = msgspec.field(default_factory=dict)
    below: list[Directory] = msgspec.field(default_factory=list)
    """The published directories among them, in their order."""
    links: list[Link] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)
    skipped: list[Skipped] = msgspec.field(default_factory=list)
    withheld: set[str] = msgspec.field(default_factory=set)
    """Names that are there and may not be published, as those of entries."""
    unknown: set[str] = msgspec.field(default_factory=set)
    """Names of which the file system tells nothing just now."""

    def lacks(self, name: str) -> bool:
        """Whether what was recorded as `name` is missing, and not only withheld."""
        return not self.is_closed and name not in self.withheld
