"""`memfis doctor`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from memfis.commands.options import SiteFlags, json_option, print_json, site_options
from memfis.doctor import Examination, Finding, examine
from memfis.errors import StoreError, UsageError

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@site_options
@json_option
def doctor(flags: SiteFlags, as_json: bool) -> int:
    """Say whether the sites would fit, and what to do where they do not.

    Counts what would be published and what not, estimates the memory it takes with the slab
    overhead of memcached (a sample of the files is compressed), and looks at item sizes, key
    lengths, permissions, file systems, the limits of inotify, and whether the units of the agent
    and of nginx hide a web root from them. Sites that share a store are added up. Of a site that a
    mount fills it counts what is there, and looks whether the store keeps it; of a PHP site the
    rendered pages that are there by now. Changes nothing; run it as the agent's user to see what
    that user may read.

    \b
    Exit codes: 0 all fits, 1 see the warnings and problems, 2 the configuration or a web root
    cannot be used, 3 a store cannot be reached (the disk is examined all the same).
    """
    settings = flags.settings(need_root=True, ask_store=True)
    if not settings.sites:
        raise UsageError("no site to examine: configure one under [[sites]]")
    with _progress(as_json) as progress:
        found = examine(settings, progress)
    if as_json:
        print_json(found.as_json())
    else:
        for finding in found.findings:
            _print(finding)
        click.echo(_summary(found))
    if found.unusable:
        return UsageError.exit_code
    if not found.stores_answer:
        return StoreError.exit_code
    return 0 if found.fits else 1


def _print(finding: Finding) -> None:
    mark = click.style(f"{finding.status:8}", fg=_COLOURS[finding.status])
    shown = f" ({', '.join(finding.examples)})" if finding.examples else ""
    click.echo(f"{mark} {finding.subject}: {finding.check}: {finding.message}{shown}")
    if finding.advice:
        click.echo(f"{'':8} -> {finding.advice}")


def _summary(found: Examination) -> str:
    if found.fits:
        return f"all fits, as {found.user} sees it"
    statuses = [finding.status for finding in found.findings]
    return (
        f"problems: {statuses.count('problem')}, warnings: {statuses.count('warning')},"
        f" as {found.user} sees it"
    )


@contextmanager
def _progress(as_json: bool) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many files were counted, nothing elsewhere."""
    if as_json or not sys.stderr.isatty():
        yield lambda number: None
        return
    from rich.console import Console

    counted = 0
    with Console(stderr=True).status("looking") as status:

        def advance(number: int) -> None:
            nonlocal counted
            counted += number
            status.update(f"{counted:,} files")

        yield advance
