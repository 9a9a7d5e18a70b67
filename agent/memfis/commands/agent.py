"""`memfis agent`."""

import logging
from functools import partial

import click

from memfis.agent import run
from memfis.commands.logs import log_to_stderr
from memfis.commands.options import SiteFlags


@click.command()
@click.option("--config", "-c", metavar="FILE", help="Read this configuration.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def agent(config: str | None, verbose: bool) -> None:
    """Keep the store equal to the web roots of all configured sites, until stopped.

    Syncs every site at start, follows changes by inotify, looks over everything from time to time,
    and fills the store again when it was restarted. Logs go to stderr, one line an event.

    \b
    SIGHUP             reads the configuration again; what is wrong in it is told and not used
    SIGTERM, SIGINT    stop, also in the middle of a sync; every page in memory is whole

    While it runs, `memfis sync` lets it do the work. With 'metrics' in the configuration it answers
    Prometheus there. Under systemd it tells when all sites were synced once (Type=notify).
    """
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    run(partial(SiteFlags(config).settings, may_be_empty=True))
