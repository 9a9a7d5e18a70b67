"""Pages of a site that stay although their files are not found, and until when."""

import logging
import math
import time
from collections.abc import Collection, Mapping

from memfis.errors import MissingRootError, RootError
from memfis.keeper.journal import Journal
from memfis.keeper.times import now
from memfis.settings.values import Site
from memfis.sync import Deletions, Held, Sync
from memfis.sync.deletions import STRAYS, Marks
from memfis.webroot import WebRoot

ROOT_GRACE = 600.0
"""Seconds that the pages of a web root stay that is missing."""

DELETED = "files are gone"
ROOT_MISSING = "web root is missing"
ROOT_BROKEN = "web root cannot be read"
REASONS = (DELETED, ROOT_MISSING, ROOT_BROKEN)
"""Why pages are held; also as a label of a metric."""


class Holding:
    """What is held of one site, and told in its journal. Times are of the event loop's clock."""

    def __init__(self, site: Site, journal: Journal) -> None:
        """Hold nothing yet of `site`."""
        self._site = site.name
        self._journal = journal
        self._deletions = Deletions(site.delete_grace, now)
        self._run: Held | None = None
        self._root: Held | None = None
        self._root_due = math.inf

    @property
    def due(self) -> float:
        """When the directories `paths` are to be looked at, and what is missing there is to go."""
        return self._deletions.due

    @property
    def paths(self) -> set[bytes]:
        """The directories (URL paths) of which something is held."""
        return set(self._deletions.paths)

    def places(self, webroot: WebRoot | None) -> dict[bytes, bytes]:
        """Return for each of `paths` the nearest directory that `webroot` has; empty: none."""
        return {path: _nearest(webroot, path) for path in self.paths}

    def held(self) -> Held | None:
        """Return what is held, for people and machines; None: nothing."""
        if self._root is not None:
            return self._root if self._root.pages else None
        return self._run if self._deletions.pages else None

    # -- deletions -----------------------------------------------------------------------------

    def keep(self, missing: Mapping[bytes, Marks], compared: Collection[bytes]) -> bool:
        """Say whether what is `missing` in the directories `compared` is kept; see `Deletions`."""
        before = self._deletions.pages
        keep = self._deletions.keep(missing, compared)
        held, gone = self._deletions.pages, self._deletions.carried_out
        if held:
            until = round(time.time() + self._deletions.due - now(), 1)
            self._run = Held(pages=held, why=DELETED, until=until)
        if self._run is not None and held and not before:
            self._journal.say(
                logging.WARNING,
                f"{held} pages whose files are gone are held until {self._run.until_shown}, in case"
                f" they come back; `memfis sync --site {self._site}` lets them go at once",
            )
        elif before and not held and gone:
            self._journal.say(logging.INFO, f"{gone} pages that were held go: their files are gone")
        elif before and not held:
            self._journal.say(logging.INFO, "the files of all pages that were held came back")
        return keep

    def let_go(self, but: Collection[bytes]) -> None:
        """Note that somebody had all carried out, `but` for these directories: they are next."""
        before = self._deletions.pages
        self._deletions.forget(self.paths - set(but))
        self._deletions.hasten()
        if before:
            self._journal.say(logging.INFO, "what was held went with a sync that was asked for")

    def forget(self, paths: Collection[bytes] | None = None) -> None:
        """Hold nothing any more of the directories `paths`, or at all: what is due is unknown."""
        self._deletions.forget(paths)

    def forget_others(self, one: Sync) -> None:
        """Hold no more than what `one` sync of the whole site has found, or is newer than it."""
        found = {*one.walk.missing, *one.walk.seen_to}
        if one.item is None or not one.item.whole:
            found.add(STRAYS)
        self._deletions.forget(self.paths - found)

    def went_with_others(self, places: Mapping[bytes, bytes]) -> None:
        """Hold nothing more of directories that are missing themselves: see `places`.

        What was missing there is missing from the one above.
        """
        self._deletions.forget(path for path, place in places.items() if place not in (path, b""))

    # -- the web root --------------------------------------------------------------------------

    def root_failed(self, error: RootError, pages: int, lease: int) -> RootError:
        """Return `error` with what becomes of the `pages`; they live `lease` seconds at most.

        When `root_is_given_up`, they are to go.
        """
        missing = isinstance(error, MissingRootError)
        why = ROOT_MISSING if missing else ROOT_BROKEN
        self._deletions.forget()
        if self._root is None or self._root.why != why:
            seconds = ROOT_GRACE if missing else lease
            self._root_due = now() + ROOT_GRACE if missing else math.inf
            self._root = Held(pages=pages, why=why, until=time.time() + seconds)
        if not self._root.pages:
            return error
        until = self._root.until_shown
        what = (
            f"its {pages} pages are held until {until}, in case it comes back"
            if missing
            else f"its {pages} pages stay until their leases end, {until} at the latest"
        )
        return type(error)(f"{error}; {what}")

    @property
    def root_is_given_up(self) -> bool:
        """Whether the web root is missing for so long that its pages are to go."""
        return self._root_due <= now()

    def root_has_no_pages(self) -> None:
        """Note that the pages of a web root that is missing, or closed, are out of memory."""
        if self._root is not None:
            self._root = Held(pages=0, why=self._root.why, until=self._root.until)

    def root_is_there(self) -> None:
        """Note that the web root is there, and can be read."""
        if self._root is not None:
            self._journal.say(logging.INFO, "the web root is back")
            self._root, self._root_due = None, math.inf


def _nearest(webroot: WebRoot | None, path: bytes) -> bytes:
    """Return the directory at URL path `path`, or the nearest above it that is published."""
    while path and (webroot is None or webroot.directory(path) is None):
        path = path[: path.rfind(b"/", 0, -1) + 1]
    return path
