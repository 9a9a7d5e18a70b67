"""The daemon: every configured site, kept equal to its web root."""

import logging
from contextlib import ExitStack

from memfis.config import Settings
from memfis.keeper import KeptSite, Stopper, keep
from memfis.sync import Options
from memfis.sync.lock import runtime_directory

log = logging.getLogger("memfis")


def run(settings: Settings) -> None:
    """Keep all sites of `settings` until SIGINT or SIGTERM."""
    locks = runtime_directory(settings.runtime_directory)
    with ExitStack() as stack:
        stopper = Stopper()
        stack.callback(stopper.close)
        sites = [KeptSite(site, Options(lease=site.lease), locks) for site in settings.sites]
        for site in sites:
            stack.callback(site.close)
        log.info("keeping %s", ", ".join(site.site.name for site in sites) or "no site")
        keep(sites, stopper)
        log.info("stopped")
