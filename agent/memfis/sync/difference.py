"""What one directory of a web root needs for the store to be equal to it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from memfis.layout.pages import NO_PAGE
from memfis.layout.records import Entry, Log
from memfis.sync.report import Kind
from memfis.webroot import Directory, Link, Problem, Skipped


class Task(NamedTuple):
    """A directory to be compared."""

    directory: Directory
    has_record: bool | None
    """A record names it, so the store should have its own; None: ask the store whether one does."""
    deep: bool
    """All that is below it is to be compared too; else only what no record names."""


@dataclass(eq=False)
class Difference:
    """What one directory needs to be equal to the disk. Paths are URL paths."""

    path: bytes
    recorded: dict[str, Entry]
    """What is recorded and stays, by name; the writer keeps it up to date."""
    rebuild: bool
    """The directory item is absent or damaged: it is written anew."""
    lost: bool = False
    """It was there: pages may be in the store that no record names."""
    compact: Log | None = None
    read: list[tuple[Kind, Entry]] = field(default_factory=list)
    """Files whose content is to be read and stored, as they were found."""
    records: list[Entry] = field(default_factory=list)
    """Entries of which only the record changes."""
    gone: list[bytes] = field(default_factory=list)
    """Pages that the web root does not publish any more, those of whole directories included."""
    gone_directories: list[bytes] = field(default_factory=list)
    gone_rendered: list[bytes] = field(default_factory=list)
    """Rendered pages below such directories: they are rendered again when somebody asks."""
    tombstones: list[Entry] = field(default_factory=list)
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
        return stays + len(self.gone)

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
            or self.gone
            or self.gone_directories
            or self.tombstones
            or self.renew
            or (self.compact and self.compact.is_grown)
        )

    def keep(self) -> None:
        """Leave what the web root does not have any more (`--no-delete`)."""
        self.gone, self.gone_directories, self.tombstones = [], [], []
        self.gone_rendered = []


def has_file_page(entry: Entry) -> bool:
    """Whether the store should have a page of a file for `entry`."""
    return not entry.is_directory and not entry.is_rendered and not entry.flags & NO_PAGE


def too_large(path: bytes, limit: int) -> Skipped:
    """Return why the file at `path` is left to the disk."""
    return Skipped(path, f"larger than {limit} bytes as stored")
