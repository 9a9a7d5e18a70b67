"""What the agent does for a site beside keeping its files: renders PHP's pages, and purges."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence

from memfis.keeper.code import STALE_CODE, Code
from memfis.keeper.health import Health
from memfis.keeper.times import now
from memfis.nginx.hints import Hint
from memfis.render.figures import Purged, RenderingStatus
from memfis.render.patterns import TURN, Pattern
from memfis.render.purge import Purge
from memfis.render.site import SiteRenderer
from memfis.settings.values import Site
from memfis.store import Store
from memfis.watch import Changes

PATIENCE = 1.0
"""Seconds to wait for the store, in which nothing else happens."""


class DynamicPages:
    """The rendered pages of a site, if PHP makes any of it, and purges of whatever it has."""

    def __init__(
        self, site: Site, mime_types: str, health: Health, rewrite_files: Callable[[bytes], None]
    ) -> None:
        """Prepare it.

        `mime_types`: the path of nginx's list. `rewrite_files` is called with a directory (URL
        path) where the page of a file may have to be written again.
        """
        self._site = site
        self._rewrite_files = rewrite_files
        self._store = Store.of(site, PATIENCE)
        self.renderer: SiteRenderer | None = None
        """None for a site without PHP."""
        self._code: Code | None = None
        self._one_at_a_time = asyncio.Lock()
        if site.php is not None:
            self.renderer = SiteRenderer(
                site, site.php, self._store, mime_types, health, rewrite_files
            )
            if site.php.purge_on_change:
                self._code = Code(site.root, site.php.purge_on_change, self.renderer.purge_all)

    async def run(self) -> None:
        """Render until cancelled; a site without PHP has nothing to render."""
        try:
            if self.renderer is not None:
                if self._code is not None:  # it may have changed while nobody looked
                    changed = await self._code.last_change()
                    self.renderer.distrust_before(changed + STALE_CODE)
                await self.renderer.run()
        finally:
            if self._code is not None:
                self._code.stop()
            self._store.close()

    def status(self) -> RenderingStatus | None:
        """Return how pages are rendered; None for a site without PHP."""
        return None if self.renderer is None else self.renderer.status

    def hint(self, hint: Hint) -> bool:
        """Hear what nginx tells of an answer of PHP's; False for a site without PHP."""
        if self.renderer is None:
            return False
        self.renderer.visitors.note(hint.kept_by, hint.proxy)
        if hint.path is not None:
            self.renderer.hint(hint.path)
        return True

    def connect_anew(self) -> None:
        """Use no connection of before: the store has ended it, which only the next use would show.

        A purge would be answered as if the store were away.
        """
        self._store.close()

    def reconcile_soon(self) -> None:
        """Compare the records of rendered pages with the pages soon: some may have gone."""
        if self.renderer is not None:
            self.renderer.reconcile_soon()

    async def drop_older(self) -> None:
        """Remove all rendered pages: what they are made of may have changed unseen.

        Raises StoreError.
        """
        if self.renderer is not None:
            await self.renderer.drop_older()

    def changed(self, changes: Changes) -> None:
        """Make way for files, and purge everything if `changes` are of what pages are made with."""
        if self.renderer is None:
            return
        root = os.path.realpath(os.fsencode(self._site.root)).rstrip(b"/") + b"/"
        names = [name[len(root) :] for name in changes.names if name.startswith(root)]
        trees = [tree for tree in changes.trees if tree.startswith(root)]
        urls = tuple(tree[len(root) - 1 :] + b"/" for tree in trees)
        self.renderer.shelf.make_way_for_files(names, urls)
        if self._code is not None:
            self._code.changed(names, trees, everything=bool(changes.everything))

    async def purge(self, patterns: Sequence[Pattern], *, dry_run: bool) -> Purged:
        """Remove the pages that `patterns` fit; pages of files are written again soon.

        Raises StoreError, and UsageError.
        """
        async with contextlib.AsyncExitStack() as stack:
            if any(pattern.is_slow for pattern in patterns):
                await stack.enter_async_context(self._one_at_a_time)
            return await self._purge(patterns, dry_run=dry_run)

    async def _purge(self, patterns: Sequence[Pattern], *, dry_run: bool) -> Purged:
        shelf = self.renderer.shelf if self.renderer is not None else None
        purge = Purge(
            self._site,
            self._store,
            patterns,
            dry_run=dry_run,
            shelf=shelf,
            rewrite_files=self._rewrite_files,
        )
        turn = now() + TURN
        for _ in purge.steps():
            if now() > turn:  # others take their time, too: not for each step
                await asyncio.sleep(0)
                turn = now() + TURN
        return purge.done
