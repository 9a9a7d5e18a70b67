"""`memfis sync`."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import click

from memfis.catalog.source import Source, declared_source
from memfis.commands.options import SiteFlags, json_option, open_store, print_json, site_options
from memfis.commands.progress import file_progress
from memfis.control.client import hand_over
from memfis.errors import UsageError
from memfis.layout.paths import shown
from memfis.service.runtime import runtime_directory
from memfis.settings.values import Settings, Site
from memfis.sync import Change, MaxDelete, Options, Report, try_lock
from memfis.sync import sync as sync_site

WAIT = 0.2
"""Seconds between two tries to get a lock that somebody has."""


@click.command()
@site_options
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done; write nothing.")
@click.option(
    "--delete/--no-delete",
    default=True,
    show_default=True,
    help="Remove pages whose file is gone.",
)
@click.option(
    "--max-delete",
    metavar="N|N%",
    help="Refuse to remove more pages than this (exit code 4); default: 50%, or as configured.",
)
@click.option("--checksum", is_flag=True, help="Compare the content of every file.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that work on a large tree; default: one a core, two where the store is a"
    " gateway.",
)
@json_option
def sync(
    flags: SiteFlags,
    dry_run: bool,
    delete: bool,
    max_delete: str | None,
    checksum: bool,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Make the store equal to the web root, once.

    New and changed files are stored, pages of files that are gone are removed, and pages of
    unchanged files (same size, times and inode) are confirmed in the store. What may not be
    published is never stored; what cannot be stored is named, and served by the fallback. Where an
    agent keeps the site, it does the work, and this waits for the result. Sites that a mount fills,
    or with from_memory = "off", have nothing to sync: of several sites they are left out, and alone
    they are refused.

    \b
    Examples:
      memfis sync                                  every configured site
      memfis sync --site example.org -n            what would be done
      memfis sync --root /srv/www --name example.org --store memcached://127.0.0.1:11211
    """
    limit = MaxDelete.parse(max_delete) if max_delete is not None else None
    settings = flags.settings(need_root=True)
    reports = []
    for site in _with_root(settings):
        with file_progress(site, quiet=as_json) as progress:
            options = Options(
                delete=delete,
                max_delete=limit or MaxDelete.parse(site.max_delete),
                checksum=checksum,
                dry_run=dry_run,
                jobs=jobs or len(os.sched_getaffinity(0)),
                exact_jobs=jobs is not None,
                installation=settings.installation,
                keep_heads=not settings.installation,
                progress=progress,
                seen=_print_change(site) if dry_run and not as_json else _quiet,
            )
            report = _sync(site, runtime_directory(settings.runtime_directory), options)
        reports.append(report)
        if not as_json:
            _print_report(report)
    if as_json:
        print_json({"sites": [report.as_json() for report in reports]})
    return 1 if any(report.problems for report in reports) else 0


def _with_root(settings: Settings) -> list[Site]:
    """Return the sites that have a web root, and say which have none; raises UsageError."""
    left_out = {site.name: why for site in settings.sites if (why := _why_not(site))}
    if left_out and len(left_out) == len(settings.sites):
        whys = "; ".join(f"{name} {why}" for name, why in left_out.items())
        raise UsageError(f"{whys}: nothing to sync")
    for name, why in left_out.items():
        click.echo(f"memfis: {name}: left out, it {why}", err=True)
    return [site for site in settings.sites if site.name not in left_out]


def _why_not(site: Site) -> str:
    """Return why `site` is not synced; empty: it is."""
    if declared_source(site) is Source.STORE:
        return "is filled through a mount"
    return "" if site.in_memory else 'has from_memory = "off"'


def _sync(site: Site, runtime: Path, options: Options) -> Report:
    """Sync `site`, or let the agent do it that has the lock."""
    told = False
    while True:
        with try_lock(runtime, site.name) as held:
            if held:
                return sync_site(site, open_store(site), options)
        report = hand_over(runtime, site, options)
        if report is not None:
            return report
        if not told:
            click.echo(f"memfis: {site.name}: waiting for another memfis to be done", err=True)
            told = True
        time.sleep(WAIT)


def _print_report(report: Report) -> None:
    for problem in report.problems:
        click.echo(f"memfis: {report.site}: {shown(problem.path)}: {problem.reason}", err=True)
    click.echo(report.summary())


def _quiet(_: Change) -> None:
    """Say nothing."""


def _print_change(site: Site) -> Callable[[Change], None]:
    """Return what prints a line for every page: + added, ~ changed or restored, - removed."""

    def show(change: Change) -> None:
        size = "" if change.size is None else f" ({change.size} bytes)"
        click.echo(f"{change.sign} {site.name}{shown(change.path)}{size}")

    return show
