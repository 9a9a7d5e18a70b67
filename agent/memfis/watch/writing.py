"""Files that somebody is writing, as far as events tell."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

HELD = 1.0
"""Seconds that a file may be open for writing before its old page goes out of memory."""

FORSAKEN = 60.0
"""Seconds without a write after which nobody is taken to be still writing (truncate(2) says that
it wrote, but never that it is done)."""


@dataclass
class _Writing:
    since: float
    last: float
    wrote: bool
    told: bool = False


class FilesBeingWritten:
    """Files that are open for writing, by directory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin without any; `clock` tells seconds, and never goes back."""
        self._clock = clock
        self._files: dict[bytes, dict[bytes, _Writing]] = {}

    def wrote(self, path: bytes) -> None:
        """Note that something was written into `path`."""
        now = self._clock()
        state = self._begin(path, now)
        state.last, state.wrote = now, True

    def made(self, path: bytes) -> None:
        """Note that `path` was made, and that nothing is in it yet."""
        self._begin(path, self._clock())

    def done(self, path: bytes) -> None:
        """Note that nobody writes `path` any more."""
        directory = os.path.dirname(path)
        files = self._files.get(directory)
        if files is not None:
            files.pop(path, None)
            if not files:
                del self._files[directory]

    def leave(self, directories: Iterable[bytes]) -> None:
        """Forget what is in `directories`."""
        for directory in directories:
            self._files.pop(directory, None)

    def clear(self) -> None:
        """Forget all."""
        self._files.clear()

    def __iter__(self) -> Iterator[tuple[bytes, bool]]:
        """Yield every file, and whether it is being written for longer than HELD seconds."""
        now = self._clock()
        for path, state in self._all():
            yield path, now - state.since >= HELD

    @property
    def due(self) -> float | None:
        """When `overdue` has something to yield next (`clock`'s time); None: never."""
        return min(
            (
                state.last + FORSAKEN if state.told else state.since + HELD
                for _, state in self._all()
            ),
            default=None,
        )

    def overdue(self) -> Iterator[bytes]:
        """Yield each file that is open for too long, or was made without a writer; each once."""
        now = self._clock()
        for path, state in list(self._all()):
            if state.told:
                if now - state.last < FORSAKEN:
                    continue
                self.done(path)
            elif now - state.since < HELD:
                continue
            else:
                state.told = True
                if not state.wrote:  # linked from a nameless file, say (O_TMPFILE)
                    self.done(path)
            yield path

    def _all(self) -> Iterator[tuple[bytes, _Writing]]:
        for files in self._files.values():
            yield from files.items()

    def _begin(self, path: bytes, now: float) -> _Writing:
        files = self._files.setdefault(os.path.dirname(path), {})
        return files.setdefault(path, _Writing(now, now, wrote=False))
