"""Directories that become public or private: every page below them changes its key.

Other hosts write there meanwhile. So each directory is read until nothing in it is left to be
moved, and what moves is recorded only in a log that is still the one that was read.
"""

import errno
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from memfis.catalog.directory_log import DirectoryLog, Recorded, Version
from memfis.filesystem.items import Items, failure
from memfis.filesystem.moving import batches
from memfis.filesystem.rules import Rules
from memfis.layout.pages import NO_PAGE
from memfis.layout.records import Entry, encode_records
from memfis.store import Answer
from memfis.store import exchange as to

EXPOSING = "memfis.exposing"
"""Extended attribute of a directory whose new mode has not yet moved all pages below it."""


def is_marked(entry: Entry) -> bool:
    """Whether the pages below the directory `entry` may not be where its mode wants them."""
    return EXPOSING in (entry.extended or {})


def marked(entry: Entry, *, on: bool) -> Entry:
    """Return `entry` with that mark, or without it."""
    extended = dict(entry.extended or {})
    extended.pop(EXPOSING, None)
    if on:
        extended[EXPOSING] = ""
    return replace(entry, extended=extended or None)


class _Place(NamedTuple):
    """A file, the key where its content was, and the one where it is to be."""

    entry: Entry
    old: bytes
    new: bytes


class TreeExposure:
    """Moves pages in and out of sight. Paths of directories end with `/`."""

    def __init__(self, items: Items, rules: Rules) -> None:
        """Move `items` to where `rules` keep them."""
        self._items = items
        self._rules = rules

    def expose(self, path: bytes, *, public: bool, again: bool = False) -> None:
        """Move the pages below `path` to where they belong now that it is `public`, or not.

        `again`: that was begun and may have been interrupted.
        """
        waiting = again and public
        while True:
            recorded = self._log(path).read()
            if recorded.version is None:
                return  # removed by another host, with all that was in it
            version = self._expose_one(path, recorded, public=public, waiting=waiting)
            if version is None:
                continue
            waiting = False
            for entry in recorded.entries.values():
                if entry.is_directory:
                    here = public and self._rules.enters(path, entry)
                    self.expose(path + entry.raw + b"/", public=here, again=again)
            # What another host adds, or changes, meanwhile is moved too.
            if self._log(path).version() == version:
                return

    def _expose_one(
        self, path: bytes, recorded: Recorded, *, public: bool, waiting: bool
    ) -> Version | None:
        """Move the pages of the files in the directory `path`.

        `waiting`: those too that are recorded, and not there. Return the version of the log that
        records all of it, None when another host came between.
        """
        entries = list(recorded.entries.values())
        changed = self._waiting(path, entries) if waiting else []
        for entry in entries:
            if entry.is_directory:
                continue
            wanted = public and entry.target is None and self._rules.serves(path, entry)
            if wanted == bool(entry.flags & NO_PAGE):
                changed.append(entry)
        version = recorded.version
        for batch in batches(changed):
            if version is None:
                break
            version = self._flip(path, batch, version)
        return version

    def _flip(self, path: bytes, batch: Sequence[Entry], version: Version) -> Version | None:
        """Publish or hide each of `batch`; return the version of the log that records it.

        None when another host came between.
        """
        shown = [
            replace(each, flags=each.flags & ~NO_PAGE) for each in batch if each.flags & NO_PAGE
        ]
        hidden = [
            replace(each, flags=each.flags | NO_PAGE) for each in batch if not each.flags & NO_PAGE
        ]
        if shown:
            if not (recorded := self._record_if(path, shown, version)):
                return None
            version = recorded
            self._move(path, [each for each in shown if each.target is None], version)
        if hidden:
            files = [each for each in hidden if each.target is None]
            links = [each for each in hidden if each.target is not None]
            self._move(path, files, version)
            copies = [to.remove(self._places(path, each)[0]) for each in links]
            self._items.exchange(*copies)
            recorded = self._record_if(path, hidden, version)
            # Whoever had recorded a page may have put it there meanwhile.
            self._move(path, files, recorded)
            self._items.exchange(*copies)
            return recorded
        return version

    def _move(self, path: bytes, entries: Sequence[Entry], version: Version | None) -> None:
        """Put the contents of the files in `path` where `entries` want them, and nowhere else.

        Undone for files that another host has removed or moved when the log is not in the state
        `version` any more.
        """
        left = list(entries)
        placed: dict[str, tuple[bytes, int]] = {}
        while left:
            copied = self._copy_over(path, left, placed)
            removals = [to.remove(key, cas) for _, key, cas in copied]
            gone = self._items.exchange(*removals)
            # What another host has put there since moves too.
            pairs = zip(copied, gone, strict=True)
            left = [entry for (entry, _, _), answer in pairs if answer.status == b"EX"]
        if not placed or self._log(path).version() == version:
            return
        now = self._log(path).read()
        for name, (key, cas) in placed.items():
            entry = now.entries.get(name)
            if entry is None:
                self._items.exchange(to.remove(key, cas))
            elif self._places(path, entry)[1] != key and entry.target is None:
                self._move(path, [entry], now.version)

    def _copy_over(
        self, path: bytes, entries: Sequence[Entry], placed: dict[str, tuple[bytes, int]]
    ) -> list[tuple[Entry, bytes, int]]:
        """Put the contents of the files in `path` where `entries` want them, from where they are.

        Return those that were there, their keys, and the CAS values that they had; what is at the
        new place then is added to `placed`. What another host has put there meanwhile stays.
        """
        keys = self._rules.places(path, [each.raw for each in entries])
        places = [
            _Place(each, page, private) if each.flags & NO_PAGE else _Place(each, private, page)
            for each, (page, private) in zip(entries, keys, strict=True)
        ]
        copied, taken = self._copy(places, placed)
        if taken:  # nearly never
            # In this order: who writes a file anew removes the old one before.
            there = self._items.exchange(*[to.state(each.new) for each in taken])
            more, _ = self._copy(taken, placed, over=[each.cas for each in there])
            copied += more
        return copied

    def _copy(
        self,
        places: Sequence[_Place],
        placed: dict[str, tuple[bytes, int]],
        *,
        over: Sequence[int] | None = None,
    ) -> tuple[list[tuple[Entry, bytes, int]], list[_Place]]:
        """Copy contents to new places where nothing is, or `over` what has those CAS values.

        Return what `_copy_over` does. Without `over`, but for the places where something is: these
        come second.
        """
        contents = self._items.exchange(*[to.fetch(each.old) for each in places])
        found = [
            (place, content, cas)
            for place, content, cas in zip(places, contents, over or [0] * len(places), strict=True)
            if content.done  # else lost, or moved already
        ]
        puts = [
            to.put(place.new, content.value, content.flags, cas=cas, new=not cas)
            for place, content, cas in found
        ]
        copied, taken = [], []
        for (place, content, _), answer in zip(found, self._items.exchange(*puts), strict=True):
            if answer.refusal:
                raise failure(errno.ENOSPC, answer.refusal)
            if answer.done:
                placed[place.entry.name] = (place.new, answer.cas)
            elif over is None:
                taken.append(place)
                continue
            copied.append((place.entry, place.old, content.cas))
        return copied, taken

    def _places(self, path: bytes, entry: Entry) -> tuple[bytes, bytes]:
        """Return the key where a file was, and the one where `entry` says that it is."""
        [(page, private)] = self._rules.places(path, [entry.raw])
        return (page, private) if entry.flags & NO_PAGE else (private, page)

    def _record_if(self, path: bytes, entries: Sequence[Entry], version: Version) -> Version | None:
        answer = self._log(path).append(entries, to=version)
        if answer.refusal:
            raise failure(errno.ENOSPC, answer.refusal)
        if answer.done:
            return Version(answer.cas, version.size + len(encode_records(entries)))
        if answer.status == b"NS" and self._log(path).compact() is None:
            raise failure(errno.ENOSPC, "the directory's item has no room")
        return None

    def _waiting(self, path: bytes, entries: Sequence[Entry]) -> list[Entry]:
        """Return those of `entries` that name pages which are not there yet, as they were before.

        A record is written before its page.
        """
        named = [each for each in entries if not (each.is_directory or each.flags & NO_PAGE)]
        found: list[Answer] = []
        for batch in batches(named):
            keys = [self._rules.page_key(path, each.raw) for each in batch]
            found += self._items.exchange(*map(to.state, keys))
        return [
            replace(entry, flags=entry.flags | NO_PAGE)
            for entry, answer in zip(named, found, strict=True)
            if not answer.done and entry.target is None
        ]

    def _log(self, path: bytes) -> DirectoryLog:
        return DirectoryLog(self._items, self._rules.directory_key(path))
