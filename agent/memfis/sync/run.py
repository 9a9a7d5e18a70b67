"""One sync of one site, from the comparison to the report."""

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from memfis.catalog import Catalog, SiteItem
from memfis.config import Site
from memfis.errors import UsageError
from memfis.store import Store
from memfis.sync.apply import Writer
from memfis.sync.difference import Comparison, Difference
from memfis.sync.limits import DEFAULT_MAX_DELETE, MaxDelete
from memfis.sync.orphans import orphans
from memfis.sync.report import Report
from memfis.webroot import WebRoot


def _nothing(_: int) -> None:
    """Show no progress."""


def _unseen(_: Difference) -> None:
    """Show no difference."""


@dataclass(frozen=True)
class Options:
    """How to sync. `lease`: seconds that pages live, 0 for ever."""

    delete: bool = True
    max_delete: MaxDelete = DEFAULT_MAX_DELETE
    checksum: bool = False
    dry_run: bool = False
    lease: int = 0
    progress: Callable[[int], None] = _nothing
    """Called with the number of files that were just dealt with."""
    seen: Callable[[Difference], None] = _unseen
    """Called with every difference, before it is applied."""


def sync(site: Site, store: Store, options: Options) -> Report:
    """Make `store` equal to the web root of `site`.

    Raises UsageError for a web root that cannot be one, SafetyError when too much would be
    deleted, StoreError when the store cannot be asked. Single files that fail are in the report.
    """
    started = time.monotonic()
    webroot = WebRoot(site)
    catalog = Catalog(store, site.name)
    item = catalog.site_item()
    if item is not None and item.source != "root":
        raise UsageError(
            f"site {site.name} is filled through a mount (source {item.source!r}), not from a web"
            " root: nothing to sync"
        )
    report = Report(
        site=site.name, root=site.root, store=str(store.address), dry_run=options.dry_run
    )
    comparison = Comparison(
        webroot,
        store,
        catalog,
        site.name,
        site.max_page,
        site.compression,
        options.checksum,
        options.lease,
        reconsider=item is not None
        and (item.max_page, item.compression) != (site.max_page, site.compression),
        expected=set() if item is None else {b"/"},
    )
    differences: Iterable[Difference] = comparison.differences()
    forgotten = item is None and store.statistics().items > 0
    if item is not None or forgotten or options.dry_run:
        # with records there may be much to delete, so all is known before anything is changed
        differences = list(differences)
        _check(site, differences, options)
    writer = Writer(
        webroot,
        store,
        catalog,
        site.name,
        site.max_page,
        site.compression,
        options.lease,
        options.progress,
    )
    lost = forgotten or (item is not None and item.index != site.index)
    for difference in differences:
        if not options.delete:
            difference.keep()
        options.seen(difference)
        report.unchanged += difference.unchanged
        report.bytes += difference.bytes
        report.problems += difference.problems
        report.skip(difference.skipped)
        lost = lost or difference.lost
        if options.dry_run:
            _foresee(difference, report)
        else:
            writer.apply(difference, report)
    report.pages = report.unchanged + report.added + report.changed + report.restored
    if not options.dry_run:
        if (lost or writer.damaged) and options.delete:
            report.removed += _remove_orphans(site, store, catalog, options, report.pages)
        catalog.write_site_item(_site_item(site, item, report))
    report.seconds = time.monotonic() - started
    return report


def _check(site: Site, differences: Iterable[Difference], options: Options) -> None:
    if not options.delete:
        return
    gone = recorded = published = 0
    for difference in differences:
        gone += len(difference.gone)
        recorded += difference.recorded
        published += difference.unchanged + len(difference.read)
    options.max_delete.check(site.name, gone, recorded, published)


def _foresee(difference: Difference, report: Report) -> None:
    """Count what would be done."""
    for kind, entry in difference.read:
        report.count(kind)
        report.bytes += entry.size
        report.bytes_written += entry.size
    report.removed += len(difference.gone)
    report.renewed += len(difference.renew)


def _remove_orphans(
    site: Site, store: Store, catalog: Catalog, options: Options, published: int
) -> int:
    strays = orphans(store, catalog, site.name, site.index_name)
    if published == 0:  # else they are what the disk, seen whole, does not have
        options.max_delete.check(site.name, len(strays), len(strays), published)
    store.delete_many(strays)
    return len(strays)


def _site_item(site: Site, before: SiteItem | None, report: Report) -> SiteItem:
    return SiteItem(
        epoch=before.epoch if before else secrets.token_hex(8),
        root=site.root,
        index=site.index,
        exclude=site.exclude,
        max_page=site.max_page,
        compression=site.compression,
        pages=report.pages,
        bytes=report.bytes,
        last_sync=time.time(),
    )
