"""How to sync."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from memfis.sync.deletions import Marks
from memfis.sync.limits import DEFAULT_MAX_DELETE, MaxDelete


class Change(NamedTuple):
    """What a sync is about to do to one page: `+` add, `~` change or restore, `-` remove."""

    sign: str
    path: bytes
    size: int | None
    """Bytes of the file; None when it is gone."""


def _nothing(_: int) -> None:
    """Show no progress."""


def _unseen(_: Change) -> None:
    """Show no change."""


class Keep(Protocol):
    """Says whether what is missing on disk is kept."""

    def __call__(self, missing: Mapping[bytes, Marks], compared: Collection[bytes] | None) -> bool:
        """Say it of what is `missing` in the directories `compared`; None: in all there are.

        See `Deletions.keep`.
        """


@dataclass(frozen=True)
class Options:
    """How to sync. `lease`: seconds that pages live, 0 for ever."""

    delete: bool = True
    max_delete: MaxDelete = DEFAULT_MAX_DELETE
    checksum: bool = False
    dry_run: bool = False
    lease: int = 0
    jobs: int = 1
    """Processes that work on a large tree; 1: this one alone."""
    exact_jobs: bool = False
    """Whether there are to be no more of them where the store is a gateway."""
    installation: str | None = ""
    """Whose configuration the site is of, as its item says (service/installation.py)."""
    keep_heads: bool = False
    """Whether pages keep the heads that the store has: nobody said what reads the site."""
    writing: Mapping[bytes, bool] = field(default_factory=dict)
    """Files that are being written, by URL path: True for how long already that their page goes."""
    keep: Keep | None = None
    """In place of `max_delete`: called when all is compared and nothing written."""
    progress: Callable[[int], None] = _nothing
    """Called with the number of files that were just dealt with."""
    seen: Callable[[Change], None] = _unseen
    """In a dry run, called with every change."""
