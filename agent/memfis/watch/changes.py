"""What a watch has seen."""

from dataclasses import dataclass, field


@dataclass
class Changes:
    """What happened, as absolute paths on disk, free of links."""

    directories: set[bytes] = field(default_factory=set)
    """Directories in which a name changed."""
    trees: set[bytes] = field(default_factory=set)
    """Directories that are new, with all that is below."""
    names: set[bytes] = field(default_factory=set)
    """The names that changed."""
    elsewhere: bool = False
    """A file was written that has other names (hard links), of which no event tells."""
    everything: str = ""
    """Why the whole tree must be compared; empty: it need not be."""

    def __bool__(self) -> bool:
        """Whether anything happened."""
        return bool(self.directories or self.trees or self.everything)
