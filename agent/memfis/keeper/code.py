"""What the agent does for a site whose pages PHP makes, beside keeping its files."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence

from memfis.catalog.catalog import Catalog
from memfis.errors import StoreError
from memfis.layout.keys import page_key
from memfis.layout.paths import shown_url
from memfis.render.figures import Purged
from memfis.render.paths import is_file
from memfis.render.patterns import Pattern, as_kept
from memfis.render.purge import check_may_be_purged, find, present
from memfis.render.site import SiteRenderer
from memfis.settings.load import Site, StoreAddress, parse_patterns
from memfis.store import Store
from memfis.watch import Changes

STALE_CODE = 3.0
"""Seconds after a change of code in which PHP may still run the old one (opcache.revalidate_freq is
2 s by default): what was rendered meanwhile is purged once more."""

PATIENCE = 1.0
"""Seconds to wait for the store, in which nothing else happens."""


class Rendering:
    """Purges pages of a site, and renders them where PHP makes them."""

    def __init__(
        self,
        site: Site,
        mime_types: str,
        is_down: Callable[[], bool],
        suspect: Callable[[], None],
        look_at: Callable[[bytes], None],
    ) -> None:
        """Prepare it; see `SiteRenderer`."""
        self._site = site
        self._look_at = look_at
        self._store = Store(StoreAddress.parse(site.store), PATIENCE)
        self._catalog = Catalog(self._store, site.name)
        self.renderer: SiteRenderer | None = None
        if site.php is not None:
            self.renderer = SiteRenderer(
                site, site.php, self._store, mime_types, is_down, suspect, look_at
            )
        patterns = site.php.purge_on_change if site.php else ()
        self._code = parse_patterns(patterns) if patterns else None
        self._once_more: asyncio.TimerHandle | None = None
        self._looking: set[asyncio.Task[None]] = set()

    @property
    def pages(self) -> int:
        """How many rendered pages are in the store."""
        return len(self.renderer.pages) if self.renderer is not None else 0

    async def run(self) -> None:
        """Render until cancelled; a site without PHP has nothing to render."""
        try:
            if self.renderer is not None:
                if self._code is not None:  # it may have changed while nobody looked
                    changed = await asyncio.to_thread(
                        self._newest_code, os.path.realpath(self._site.root)
                    )
                    self.renderer.not_before = changed + STALE_CODE
                await self.renderer.run()
        finally:
            for task in self._looking:
                task.cancel()
            if self._once_more is not None:
                self._once_more.cancel()
            self._store.close()

    def store_lost(self) -> None:
        """Look soon what is left of rendered pages and their records: items have gone."""
        if self.renderer is not None:
            self.renderer.store_lost()

    def _newest_code(self, tree: str) -> float:
        """Return when what pages are made with in `tree` last changed, in seconds since the epoch.

        0 when there is none.
        """
        newest = 0.0
        root = os.path.realpath(self._site.root)
        for directory, _, names in os.walk(tree):
            for name in names:
                path = os.path.join(directory, name)
                if self._code is not None and self._code.match_file(os.path.relpath(path, root)):
                    with contextlib.suppress(OSError):  # gone by now: that is seen by the watch
                        newest = max(newest, os.lstat(path).st_ctime)
        return newest

    def changed(self, changes: Changes) -> None:
        """Make way for files, and purge everything if `changes` are of what pages are made with."""
        renderer, spec = self.renderer, self._code
        if renderer is None:
            return
        root = os.path.realpath(os.fsencode(self._site.root)).rstrip(b"/") + b"/"
        names = [name[len(root) :] for name in changes.names if name.startswith(root)]
        trees = [tree[len(root) - 1 :] + b"/" for tree in changes.trees if tree.startswith(root)]
        self._make_way(renderer, names, tuple(trees))
        if spec is None:
            return
        # a name that is gone, or new, may be a directory's
        found = [
            name
            for name in names
            if spec.match_file(os.fsdecode(name)) or spec.match_file(os.fsdecode(name) + "/")
        ]
        if found or changes.everything:
            self._purge_twice(
                f"{shown_url(b'/' + found[0])} changed" if found else "something changed"
            )
        elif trees:
            task = asyncio.create_task(self._look_for_code(changes.trees))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    async def _look_for_code(self, trees: Iterable[bytes]) -> None:
        """Purge everything if there is code in a directory that is new."""
        for tree in trees:
            if await asyncio.to_thread(self._newest_code, os.fsdecode(tree)):
                self._purge_twice(f"{os.fsdecode(tree)} is new")
                return

    def _purge_twice(self, why: str) -> None:
        """Purge everything rendered, and once more when PHP surely runs no old code."""
        self._purge_rendered(why)
        if self._once_more is not None:
            self._once_more.cancel()
        loop = asyncio.get_running_loop()
        self._once_more = loop.call_later(STALE_CODE, self._purge_rendered, why)

    def _make_way(
        self, renderer: SiteRenderer, names: Sequence[bytes], trees: tuple[bytes, ...]
    ) -> None:
        """Take rendered pages away that files have now, which may stay out of memory themselves.

        `names`: what changed, below the web root; `trees`: URL paths of new directories.
        """
        paths = [path for path in renderer.pages if path.startswith(trees)] if trees else []
        for name in names:
            directory, _, last = (b"/" + name).rpartition(b"/")
            paths.append(b"/" + name)
            if os.fsdecode(last) in self._site.index:
                paths.append(directory + b"/")
        try:
            for path in paths:
                if path in renderer.pages and is_file(self._site, path):
                    renderer.make_way(path)
        except StoreError as error:
            renderer.store_failed(error)

    def _purge_rendered(self, why: str) -> None:
        assert self.renderer is not None
        try:
            self.renderer.purge_all(why)
        except StoreError as error:
            # what is left of them is found, and removed, when the store is back
            self.renderer.store_lost()
            self.renderer.say(logging.ERROR, f"{why}, and nothing could be purged: {error}")

    async def purge(self, patterns: Sequence[Pattern], *, dry_run: bool) -> Purged:
        """Remove the pages that `patterns` fit; pages of files are written again soon.

        Raises StoreError, and UsageError.
        """
        item = self._catalog.site_item()
        check_may_be_purged(self._site, None if item is None else item.source)
        done = Purged()
        paths: dict[bytes, None] = {}
        for pattern in (as_kept(each, self._site) for each in patterns):
            if self.renderer is not None:
                if dry_run:
                    known = self.renderer.pages.fitting(pattern)
                else:
                    known = list(self.renderer.purge(pattern))
                new = [path for path in known if path not in paths]
                done.rendered += len(new)
                paths |= dict.fromkeys(new)
            await self._purge_recorded(pattern, done, paths, dry_run=dry_run)
            if pattern.exact is not None and not dry_run:  # also what nothing records
                self._store.delete_many([page_key(self._site.name, pattern.exact)])
        if dry_run:
            done.paths = sorted(map(shown_url, paths))
        return done

    async def _purge_recorded(
        self, pattern: Pattern, done: Purged, paths: dict[bytes, None], *, dry_run: bool
    ) -> None:
        site, store = self._site, self._store
        for batch in find(self._catalog, pattern, site.index_name):
            known = self.renderer.pages if self.renderer else ()
            left = [p for p in batch.rendered if p not in paths and p not in known]
            rendered = present(site, store, left)
            files = [path for path in present(site, store, batch.files) if path not in paths]
            if not dry_run:
                store.delete_many([page_key(site.name, path) for path in [*rendered, *files]])
                for directory in set(batch.directories):
                    self._look_at(directory)
            done.rendered += len(rendered)
            done.files += len(files)
            paths |= dict.fromkeys([*rendered, *files])
            await asyncio.sleep(0)
