"""Code that pages are made with (`purge_on_change`): what follows from a change of it."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Sequence

from memfis.layout.paths import shown, shown_url
from memfis.settings.patterns import parse_patterns

STALE_CODE = 3.0
"""Seconds after a change of code in which PHP may still run the old one (opcache.revalidate_freq is
2 s by default): what was rendered meanwhile is purged once more."""


class Code:
    """The files below a web root that pages are made with: a change of one purges all pages."""

    def __init__(self, root: str, patterns: Sequence[str], purge: Callable[[str], None]) -> None:
        """Take what `patterns` (gitignore's) fit below `root`; `purge` is told what changed."""
        self._root = root
        self._patterns = parse_patterns(patterns)
        self._purge = purge
        self._once_more: asyncio.TimerHandle | None = None
        self._searches: set[asyncio.Task[None]] = set()

    async def last_change(self) -> float:
        """Return when code last changed, in seconds since the epoch; 0: there is none."""
        return await asyncio.to_thread(self._newest, os.path.realpath(self._root))

    def changed(self, names: Iterable[bytes], trees: Sequence[bytes], *, everything: bool) -> None:
        """Purge if there is code in what changed: at once, and when PHP surely runs the new one.

        `names`: what changed, below the web root, without a slash in front. `trees`: directories
        that are new, as absolute paths on disk. `everything`: nobody knows what changed.
        """
        # a name that is gone, or new, may be a directory's
        found = [
            name
            for name in names
            if self._patterns.match_file(os.fsdecode(name))
            or self._patterns.match_file(os.fsdecode(name) + "/")
        ]
        if found:
            self._purge_twice(f"{shown_url(b'/' + found[0])} changed")
        elif everything:
            self._purge_twice("something changed")
        elif trees:
            task = asyncio.create_task(self._search(trees))
            self._searches.add(task)
            task.add_done_callback(self._searches.discard)

    def stop(self) -> None:
        """Purge no more, whatever was begun."""
        for task in self._searches:
            task.cancel()
        if self._once_more is not None:
            self._once_more.cancel()

    async def _search(self, trees: Iterable[bytes]) -> None:
        """Purge if there is code in one of `trees`."""
        for tree in trees:
            if await asyncio.to_thread(self._newest, os.fsdecode(tree)):
                self._purge_twice(f"{shown(tree)} is new")
                return

    def _newest(self, tree: str) -> float:
        """Return when code in `tree` last changed, in seconds since the epoch; 0: there is none."""
        newest = 0.0
        root = os.path.realpath(self._root)
        for directory, _, names in os.walk(tree):
            for name in names:
                path = os.path.join(directory, name)
                if self._patterns.match_file(os.path.relpath(path, root)):
                    with contextlib.suppress(OSError):  # gone by now: that is seen by the watch
                        newest = max(newest, os.lstat(path).st_ctime)
        return newest

    def _purge_twice(self, why: str) -> None:
        self._purge(why)
        if self._once_more is not None:
            self._once_more.cancel()
        loop = asyncio.get_running_loop()
        self._once_more = loop.call_later(STALE_CODE, self._purge, why)
