"""What one directory of a web root needs for the store to be equal to it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from memfis.layout.pages import NO_PAGE
from memfis.layout.records import Entry, Log, tombstone
from memfis.sync.report import Kind
from memfis.webroot import Directory, Link, Problem, Skipped


class Task(NamedTuple):
    """A directory to be compared."""

    directory: Directory
    has_record: bool | None
    """A record names it, so the store should have its own; None: ask the store whether one does."""
    deep: bool
    """All that is below it is to be compared too; else only what no record names."""
    named: frozenset[str] = frozenset()
    """Files of which the kernel told that they changed: their content is compared in any case."""


@dataclass(eq=False)
class Removal:
    """What is to be taken out of the store, whole directories included. Paths are URL paths."""

    pages: list[bytes] = field(default_factory=list)
    directories: list[bytes] = field(default_factory=list)
    rendered: list[bytes] = field(default_factory=list)
    """Rendered pages below such directories: they are rendered again when somebody asks."""
    entries: list[Entry] = field(default_factory=list)
    """What was recorded in the directory itself of what goes."""

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.pages or self.directories or self.entries)

    @property
    def tombstones(self) -> list[Entry]:
        """The records that take `entries` out of their directory."""
        return [tombstone(entry.name) for entry in self.entries]


@dataclass(eq=False)
class Difference:
    """What one directory needs to be equal to the disk. Paths are URL paths."""

    path: bytes
    recorded: dict[str, Entry]
    """What is recorded and stays, by name; the writer keeps it up to date."""
    rebuild: bool
    """The directory item is absent or damaged: it is written anew."""
    made: bool = False
    """The writer has written the directory item anew."""
    lost: bool = False
    """It was there: pages may be in the store that no record names."""
    compact: Log | None = None
    read: list[tuple[Kind, Entry]] = field(default_factory=list)
    """Files whose content is to be read and stored, as they were found."""
    records: list[Entry] = field(default_factory=list)
    """Entries of which only the record changes."""
    heads: list[Entry] = field(default_factory=list)
    """Files whose page is right, and its head is not."""
    gone: Removal = field(default_factory=Removal)
    """What is missing on disk: limits protect it, and it may be kept."""
    withdrawn: Removal = field(default_factory=Removal)
    """What is there and may not be served from memory: nginx's user may not read it, settings do
    not publish it, or it became something else. No limit keeps it."""
    renew: list[bytes] = field(default_factory=list)
    """Keys of pages whose lease is in its last third."""
    unchanged: int = 0
    bytes: int = 0
    """Identity content of the unchanged pages."""
    problems: list[Problem] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    below: list[Task] = field(default_factory=list)
    """The directories to go on with."""

    @property
    def recorded_pages(self) -> int:
        """Pages that the store should have had here before."""
        stays = sum(1 for e in self.recorded.values() if has_file_page(e))
        return stays + len(self.gone.pages) + len(self.withdrawn.pages)

    @property
    def published_pages(self) -> int:
        """Pages that the store will have here."""
        return self.unchanged + len(self.read)

    @property
    def needs_work(self) -> bool:
        """Whether anything is to be written or removed."""
        return bool(
            self.rebuild
            or self.read
            or self.records
            or self.heads
            or self.gone
            or self.withdrawn
            or self.renew
            or (self.compact and self.compact.is_grown)
        )

    def keep(self) -> None:
        """Leave what is missing on disk, pages and records, as it is."""
        self.recorded.update((entry.name, entry) for entry in self.gone.entries)
        self.gone = Removal()


def has_file_page(entry: Entry) -> bool:
    """Whether the store should have a page of a file for `entry`."""
    return not entry.is_directory and not entry.is_rendered and not entry.flags & NO_PAGE


def too_large(path: bytes, limit: int) -> Skipped:
    """Return why the file at `path` is left to the disk."""
    return Skipped(path, f"larger than {limit} bytes as stored")
