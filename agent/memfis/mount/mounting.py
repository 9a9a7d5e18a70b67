"""From settings to a mounted filesystem, until it is unmounted."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import IO

from memfis.catalog.catalog import Catalog
from memfis.catalog.source import Source, source_of
from memfis.errors import ProgramError
from memfis.filesystem import Caller, open_site
from memfis.mount.adapter import Adapter
from memfis.mount.lifetime import answer_until_ended
from memfis.mount.options import BATCH, Options
from memfis.mount.place import check_mountpoint, may_allow_other
from memfis.mount.request import CurrentRequest
from memfis.mount.session import Session
from memfis.service.garbage import collect_rarely
from memfis.settings.values import Site
from memfis.store import Store

_log = logging.getLogger(__name__)


def run(site: Site, options: Options, ready: Callable[[], None]) -> bool:
    """Mount `site` and answer until it is unmounted or a signal ends it; call `ready` when mounted.

    Return whether all that was written to it is on the store. Raises StoreError, UsageError and
    ProgramError when it cannot be mounted.
    """
    with closing(Store.of(site)) as store:
        read_only = options.read_only or is_kept_by_agent(site, store)
        # The kernel's time and the filesystem's add up to what was promised.
        half = options.attribute_timeout / 2
        batch = options.batch
        if batch is None:
            batch = BATCH if store.is_gateway() else 0.0
        caller = Caller(
            os.geteuid() if options.owner is None else options.owner,
            os.getegid() if options.group is None else options.group,
        )
        filesystem = open_site(
            store,
            site,
            caller,
            permissions=options.permissions,
            read_only=read_only,
            timeout=half,
            batch=batch,
        )
        request = CurrentRequest()
        adapter = Adapter(filesystem, request)
        session = Session.create(
            adapter.callbacks(), fuse_options(site, options, read_only), half, request
        )
        mount(session, options.mountpoint)
        ready()
        collect_rarely()
        lost = answer_until_ended(session, adapter, filesystem)
        for line in lost:
            _log.error("not written to the store: %s", line)
        return not lost


def is_kept_by_agent(site: Site, store: Store) -> bool:
    """Whether the pages of `site` are an agent's, and a mount may only show them."""
    item = Catalog(store, site.name).site_item()
    if source_of(site, item) is not Source.ROOT:
        return False
    root = (item and item.root) or site.root
    _log.warning(
        "%s is mounted read-only: its pages are those of %s", site.name, root or "a web root"
    )
    return True


def fuse_options(site: Site, options: Options, read_only: bool) -> list[str]:
    """Return what libfuse and the kernel are to be told (mount.fuse3(8))."""
    given = [f"fsname={site.name}", "subtype=memfis", "default_permissions", "nosuid", "nodev"]
    if options.allow_other or (options.allow_other is None and may_allow_other()):
        given.append("allow_other")
    if read_only:
        given.append("ro")
    return given + [flag for flag in options.flags if flag not in given]


def mount(session: Session, mountpoint: str) -> None:
    """Mount `session`; raises ProgramError with what libfuse says, in one line."""
    with _standard_error_kept() as said:
        mounted = session.mount(mountpoint)
        said.seek(0)
        lines = [line.strip() for line in said.read().decode(errors="replace").splitlines()]
    if not mounted:
        session.unmount()
        check_mountpoint(mountpoint)  # somebody else may have been faster
        raise ProgramError(f"cannot mount at {mountpoint}: {'; '.join(lines) or 'no reason given'}")
    for line in lines:
        _log.warning("%s", line)


@contextmanager
def _standard_error_kept() -> Iterator[IO[bytes]]:
    """Collect in a file what libfuse, and the program it starts, write to standard error."""
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(before, 2)
            os.close(before)
