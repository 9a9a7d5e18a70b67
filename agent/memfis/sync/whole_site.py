"""One sync of a whole site, from the comparison to the report."""

import logging
import secrets
import time
from collections.abc import Generator

from memfis.catalog.catalog import Catalog, SiteItem
from memfis.catalog.orphans import orphans
from memfis.catalog.source import check_filled_from_root
from memfis.errors import StoreRefusedError
from memfis.settings.load import Site
from memfis.store import Store
from memfis.sync.difference import Task
from memfis.sync.options import Options
from memfis.sync.report import Report
from memfis.sync.walk import Walk
from memfis.webroot import WebRoot

log = logging.getLogger("memfis")


class Sync:
    """Makes `store` equal to the web root of `site`.

    Where the store may hold what the web root does not have any more, all is compared before
    anything is changed, so that too many deletions can be refused.
    """

    def __init__(self, site: Site, store: Store, options: Options) -> None:
        """Prepare it.

        Raises UsageError for a web root that cannot be one or a site that is not filled from one,
        StoreError when the store cannot be asked.
        """
        self._started = time.monotonic()
        self._site, self._store, self._options = site, store, options
        self.webroot = WebRoot(site)
        self._catalog = Catalog(store, site.name)
        item = self._item = self._catalog.site_item()
        check_filled_from_root(item, site.name)
        forgotten = item is None and store.statistics().items > 0
        self._lost = (
            forgotten
            or options.checksum
            or (item is not None and (item.index != site.index or not item.whole))
        )
        self.walk = Walk(
            site,
            self.webroot,
            store,
            options,
            [Task(self.webroot.top(), item is not None, deep=True)],
            self._decide,
            at_once=item is None and not forgotten and not options.dry_run,
            reconsider=item is not None
            and (item.max_page, item.compression) != (site.max_page, site.compression),
        )

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
        asked. Single files that fail are in the report.
        """
        with self.walk:
            yield from self.walk.steps()
            self._finish()

    def _decide(self, walk: Walk) -> bool:
        if self._options.delete:
            limit = self._options.max_delete
            limit.check(self._site.name, walk.gone, walk.recorded, walk.published)
            self._options.check(walk.gone, walk.recorded)
        if walk.lost:
            self._item = self._catalog.note_loss(self._item)
        return False

    def _finish(self) -> None:
        report = self.report
        report.pages = report.unchanged + report.added + report.changed + report.restored
        if not self._options.dry_run:
            lost = self._lost or self.walk.lost
            if lost and self._options.delete:
                report.removed += self._remove_orphans(report.pages)
            self._item = self._site_item(whole=self._options.delete or not lost)
            self._catalog.write_site_item(self._item)
        report.seconds = time.monotonic() - self._started

    def _remove_orphans(self, published: int) -> int:
        try:
            strays = orphans(self._store, self._catalog, self._site.name, self._site.index_name)
        except StoreRefusedError as error:
            log.warning(
                "%s: pages that nothing records stay until their lease ends: %s",
                self._site.name,
                error,
            )
            return 0
        if published == 0:  # else they are what the disk, seen whole, does not have
            limit = self._options.max_delete
            limit.check(self._site.name, len(strays), len(strays), published)
        self._store.delete_many(strays)
        return len(strays)

    def _site_item(self, *, whole: bool) -> SiteItem:
        return SiteItem(
            epoch=self._item.epoch if self._item else secrets.token_hex(8),
            root=self._site.root,
            index=self._site.index,
            exclude=self._site.exclude,
            max_page=self._site.max_page,
            compression=self._site.compression,
            pages=self.report.pages,
            bytes=self.report.bytes,
            last_sync=time.time(),
            whole=whole,
        )


def sync(site: Site, store: Store, options: Options) -> Report:
    """Make `store` equal to the web root of `site`, once; raises as `Sync` does."""
    one = Sync(site, store, options)
    for waiting in one.steps():
        if waiting:
            one.walk.wait()
    return one.report
