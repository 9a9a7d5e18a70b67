"""One sync of a whole site, from the comparison to the report."""

import logging
import secrets
import time
from collections.abc import Generator
from dataclasses import replace
from typing import Self

from msgspec.structs import replace as replace_settings

from memfis.catalog.orphans import orphans
from memfis.catalog.site_item import SiteItem
from memfis.catalog.source import check_filled_from_root
from memfis.errors import StoreRefusedError
from memfis.layout.keys import BODY, HEAD
from memfis.settings.values import Site
from memfis.store import Store
from memfis.sync.deletions import STRAYS, marks
from memfis.sync.difference import Task
from memfis.sync.options import Options
from memfis.sync.report import Report
from memfis.sync.target import Target
from memfis.sync.walk import Walk
from memfis.webroot import Directory, WebRoot

log = logging.getLogger("memfis")


class Sync:
    """Makes the store of a site equal to its web root; `begin` returns one.

    Where the store may hold what the web root does not have any more, all is compared before
    anything is changed, so that too many deletions can be refused.
    """

    def __init__(
        self,
        target: Target,
        top: Directory,
        options: Options,
        item: SiteItem | None,
        *,
        forgotten: bool,
    ) -> None:
        """Prepare it, see `begin`; `top` is the web root's own directory, `item` the site item.

        `forgotten`: there is no site item, but there are items that may be of this site.
        """
        self._started = time.monotonic()
        self._target, self._options, self._item = target, options, item
        site = target.site
        self._kept = False
        """What is missing stays, as `Options.keep` said."""
        self._lost = (
            forgotten
            or options.checksum
            or (item is not None and (item.index != site.index or not item.whole))
            or (item is not None and item.heads and not site.has_heads)
        )
        self.walk = Walk(
            target,
            options,
            [Task(top, item is not None, deep=True)],
            self._decide,
            at_once=item is None and not forgotten and not options.dry_run,
            reconsider=item is not None
            and (item.max_page, item.compression) != (site.max_page, target.compression),
        )

    @classmethod
    def begin(
        cls, site: Site, store: Store, options: Options, *, even_missing: bool = False
    ) -> Self:
        """Return a sync of `site` as disk and `store` are now; nothing is changed yet.

        Raises RootError for a web root that cannot be one, UsageError for a site that is not filled
        from one, StoreError when the store cannot be asked. `even_missing`: where nothing is where
        the web root should be, take all pages out.
        """
        target = Target.of(site, WebRoot(site, even_missing=even_missing), store)
        item = target.catalog.site_item()
        check_filled_from_root(item, site.name)
        if options.keep_heads and item is not None and item.heads:
            target = replace(target, site=replace_settings(site, from_memory="lua"))
        reader = target.webroot.reader.numbers
        target.webroot.trusts_records = item is not None and item.reader == reader
        forgotten = item is None and store.statistics().items > 0
        return cls(target, target.webroot.top(), options, item, forgotten=forgotten)

    @property
    def webroot(self) -> WebRoot:
        """The web root as it was found."""
        return self._target.webroot

    @property
    def item(self) -> SiteItem | None:
        """The site item, as written by the last step."""
        return self._item

    @property
    def report(self) -> Report:
        """What was done; whole when the last step is done."""
        return self.walk.report

    def steps(self) -> Generator[bool, None, None]:
        """Do it; yield after each step whether there is nothing to do but to wait for helpers.

        Raises SafetyError when too much would be deleted, StoreError when the store cannot be
        asked. Single files that fail are in the report, and so is a closed web root.
        """
        with self.walk:
            yield from self.walk.steps()
            self._finish()

    def _decide(self, walk: Walk) -> bool:
        if self._options.keep is not None:
            self._kept = self._options.keep(walk.missing, None)
        elif self._options.delete:
            limit = self._options.max_delete
            limit.check(self._target.site.name, walk.gone, walk.recorded, walk.published)
        if walk.lost:
            self._item = self._target.catalog.note_loss(self._item)
        return self._kept

    def _finish(self) -> None:
        report = self.report
        report.pages = report.unchanged + report.added + report.changed + report.restored
        if not self._options.dry_run:
            lost = self._lost or self.walk.lost
            if self._kept:
                report.pages += self.walk.gone
            elif lost and self._options.delete:
                self._remove_orphans()
            whole = not lost or (self._options.delete and not self._kept)
            self._item = self._site_item(whole=whole)
            self._target.catalog.write_site_item(self._item)
        report.seconds = time.monotonic() - self._started

    def _remove_orphans(self) -> None:
        site, store, report = self._target.site, self._target.store, self.report
        try:
            found = orphans(
                store, self._target.catalog, site.name, site.index_name, heads=site.has_heads
            )
        except StoreRefusedError as error:
            log.warning(
                "%s: pages that nothing records stay until their lease ends: %s",
                site.name,
                error,
            )
            return
        strays = [key for key in found if not key.startswith((HEAD, BODY))]
        # else they are what the disk, seen whole, does not have
        if report.pages == 0 and not self.walk.withdrawn and self.webroot.closed is None:
            if self._options.keep is None:
                limit = self._options.max_delete
                limit.check(site.name, len(strays), len(strays), report.pages)
            elif strays and self._options.keep({STRAYS: marks(strays)}, (STRAYS,)):
                self._kept = True
                report.pages = len(strays)
                return
        store.delete_many(found)
        report.removed += len(strays)

    def _site_item(self, *, whole: bool) -> SiteItem:
        site = self._target.site
        return SiteItem(
            epoch=self._item.epoch if self._item else secrets.token_hex(8),
            root=site.root,
            installation=self._options.installation,
            reader=self._target.webroot.reader.numbers,
            index=site.index,
            exclude=site.exclude,
            max_page=site.max_page,
            compression=self._target.compression,
            heads=site.has_heads,
            pages=self.report.pages,
            bytes=self.report.bytes,
            last_sync=time.time(),
            whole=whole,
        )


def sync(site: Site, store: Store, options: Options) -> Report:
    """Make `store` equal to the web root of `site`, once; raises what `Sync` raises.

    Raises ClosedRootError when nginx's user may not enter the web root: no page of it is in memory
    then.
    """
    one = Sync.begin(site, store, options)
    for waiting in one.steps():
        if waiting:
            one.walk.wait()
    one.webroot.check_open()
    return one.report
