"""From a store and a site's settings to a filesystem: its parts are made and put together here."""

import time
from collections.abc import Callable

from msgspec.structs import replace

from memfis.catalog.catalog import Catalog
from memfis.catalog.site_item import SiteItem
from memfis.catalog.source import check_may_be_written
from memfis.errors import StoreError, UsageError
from memfis.filesystem.attributes import AttributeChanges
from memfis.filesystem.contents import Contents
from memfis.filesystem.directories import Directories
from memfis.filesystem.edits import Edits
from memfis.filesystem.exposing import Exposing
from memfis.filesystem.file_moves import FileMoves
from memfis.filesystem.filesystem import Filesystem
from memfis.filesystem.handles import Handles
from memfis.filesystem.interface import Caller
from memfis.filesystem.items import Items
from memfis.filesystem.links import Links
from memfis.filesystem.lookups import Lookups
from memfis.filesystem.moving import Mover
from memfis.filesystem.names import Names
from memfis.filesystem.new_names import NewNames
from memfis.filesystem.open_files import OpenFiles
from memfis.filesystem.recorder import Recorder
from memfis.filesystem.recovery import Recovery
from memfis.filesystem.relocation import Relocation
from memfis.filesystem.rename import Rename
from memfis.filesystem.rules import Rules
from memfis.filesystem.saves import Saves
from memfis.filesystem.shared_site import SharedSite, root_entry
from memfis.filesystem.timing import Timing
from memfis.filesystem.tree import Tree
from memfis.filesystem.tree_exposure import TreeExposure
from memfis.filesystem.upkeep import Upkeep
from memfis.filesystem.ways import Ways
from memfis.filesystem.writeback import Writeback
from memfis.filesystem.writing import Writing
from memfis.layout.records import Entry
from memfis.settings.values import Site
from memfis.store import Store


def open_site(
    store: Store,
    site: Site,
    caller: Caller,
    *,
    permissions: int = 0o755,
    read_only: bool = False,
    timeout: float = 1.0,
    batch: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], int] = time.time_ns,
) -> Filesystem:
    """Return the filesystem of `site` in `store`.

    If its root is made just now, or after the store has lost it, `caller` owns it, and it has these
    `permissions`.
    What was interrupted in it is taken up, unless it is `read_only`. For the times see `Timing`.
    Raises StoreError (unreachable) and UsageError (another source, another layout).
    """
    timing = Timing(timeout, batch, clock, now)
    items = Items(store, clock)
    catalog = Catalog(store, site.name)
    shared = SharedSite(catalog, items, site)
    try:
        top = root_entry(caller, permissions, now())
        item = _site_item(shared, top, site.name, store.address, read_only=read_only)
        return _put_together(
            items,
            catalog,
            shared,
            shared.settled(item),
            item.top or top,
            timing,
            read_only=read_only,
        )
    except OSError as error:
        raise StoreError(str(error.strerror or error)) from error


def _site_item(
    shared: SharedSite, top: Entry, name: str, address: object, *, read_only: bool
) -> SiteItem:
    """Return the site's item, which is made with the root `top` where there is none."""
    item = shared.read()
    if item is None:
        if read_only:
            raise UsageError(
                f"site {name} is not in store {address}: the first mount that may write makes it"
            )
        shared.make(top)
        item = shared.read()
        if item is None:
            raise UsageError(f"store {address} does not keep what is written to it")
    if not read_only:
        check_may_be_written(item, name)
        if item.lost:  # whoever mounts it anew has been told
            shared.update(lambda item: replace(item, lost=0.0))
    return item


def _put_together(
    items: Items,
    catalog: Catalog,
    shared: SharedSite,
    site: Site,
    top: Entry,
    timing: Timing,
    *,
    read_only: bool,
) -> Filesystem:
    """Return a filesystem of all its parts; in the store its root is made, and all recovered."""
    ways = Ways()

    def begin_anew(top: Entry) -> bool:
        if read_only or not shared.make_anew(top, timing.now()):
            return False
        ways.clear()
        return True

    rules = Rules(site, read_only=read_only)
    tree = Tree(items, rules, top, timing, shared, begin_anew)
    recorder = Recorder(items, tree, rules, shared, timing)
    contents = Contents(items, rules)
    exposing = Exposing(items, recorder, rules)
    writing = Writing(items, recorder, rules, site.compression)
    saves = Saves(writing, timing)
    links = Links(items, tree, recorder, rules, contents, shared, ways, site.compression)
    file_moves = FileMoves(items, tree, recorder, rules, contents, exposing, saves, links)
    mover, exposure = Mover(items, rules), TreeExposure(items, rules)
    relocation = Relocation(tree, recorder, rules, links, mover, exposure)
    writeback = Writeback(tree, recorder, saves, links, timing)
    recovery = Recovery(catalog, tree, links, relocation, shared, recorder)
    upkeep = Upkeep(recorder, saves, recovery, writeback, timing)
    if not read_only:
        tree.make_root()
        recovery.take_up()

    handles = Handles(tree)
    new_names = NewNames(tree, rules, timing.now)
    edits = Edits(items, tree, contents, saves, timing.now)
    directories = Directories(items, tree, recorder, rules, new_names, links, writeback)
    return Filesystem(
        items=items,
        handles=handles,
        lookups=Lookups(items, tree, handles),
        open_files=OpenFiles(tree, rules, new_names, handles, edits, saves, writeback),
        directories=directories,
        names=Names(tree, recorder, rules, new_names, contents, saves, links, writeback),
        rename=Rename(tree, rules, links, file_moves, relocation, directories, recovery, writeback),
        attributes=AttributeChanges(
            tree,
            recorder,
            rules,
            handles,
            exposing,
            links,
            relocation,
            writeback,
            recovery.follow_others,
        ),
        writeback=writeback,
        upkeep=None if read_only else upkeep,
    )
