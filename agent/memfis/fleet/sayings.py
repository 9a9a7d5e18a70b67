"""What this host has to say in its box: purges and hints, numbered, until they are heard."""

import secrets
import time
from collections.abc import Iterable, Sequence

from memfis import __version__
from memfis.layout.boxes import (
    HINTS,
    LONGEST_WORD,
    Box,
    Hint,
    Purge,
    hints_that_fit,
    purges_that_fit,
)


class Sayings:
    """Makes the box of `host`."""

    def __init__(self, host: str) -> None:
        """Begin with nothing to say."""
        self._host = host
        self._run = secrets.token_hex(8)
        self._purged = self._hinted = 0
        self._purges: Sequence[Purge] = ()
        self._hints: dict[Hint, None] = {}
        """In the order in which they came; the last has the number `_hinted`."""
        self._taken: dict[str, tuple[str, int]] = {}

    def go_on_from(self, box: Box) -> None:
        """Go on with the numbers of `box`, which this host wrote before it was started anew.

        So nobody takes what he has not heard for something that he cannot hear any more.
        """
        said, heard = self._purges, list(self._hints)
        self._run, self._purged, self._purges = box.run, box.purged, box.purges
        self._hints, self._hinted = dict.fromkeys(box.hints), box.hinted
        for hint in heard:
            self._add(hint)
        for each in said:
            self.purge(each.site, each.patterns)

    def purge(self, site: str, patterns: Iterable[str]) -> None:
        """Say that `patterns` of `site` were purged; a very long one fits no page."""
        said = tuple(each for each in patterns if len(each) <= LONGEST_WORD)
        self._purged += 1
        self._purges = purges_that_fit([*self._purges, Purge(site, said)])

    def hint(self, site: str, path: bytes) -> bool:
        """Say that `path` was asked for; False where that waits, or there is no room."""
        return self._add(Hint(site, path.decode("latin-1")))

    def _add(self, hint: Hint) -> bool:
        if hint in self._hints or len(self._hints) >= HINTS:
            return False
        self._hints[hint] = None
        self._hinted += 1
        return True

    @property
    def waiting(self) -> int:
        """Hints that nobody has taken yet."""
        return len(self._hints)

    def taken_from(self, box: Box) -> bool:
        """Say that the hints in `box` were taken; False where that was said."""
        taken = (box.run, box.hinted)
        if self._taken.get(box.host) == taken:
            return False
        self._taken[box.host] = taken
        return True

    def heard_by(self, box: Box) -> None:
        """Say no more what the host of `box` has taken."""
        run, number = box.taken.get(self._host, ("", 0))
        if run != self._run:
            return
        for hint in list(self._hints)[: max(0, number - (self._hinted - len(self._hints)))]:
            del self._hints[hint]

    def box(self, *, publishes: bool, sites: Sequence[str], pages: int) -> Box:
        """Return what is to be said now."""
        hints = hints_that_fit(list(self._hints))
        return Box(
            host=self._host,
            run=self._run,
            written=time.time(),
            version=__version__,
            publishes=publishes,
            sites=tuple(sites),
            pages=pages,
            purged=self._purged,
            purges=tuple(self._purges),
            hinted=self._hinted,
            hints=hints,
            taken=dict(self._taken),
        )
