"""`memfis off` and `memfis on`."""

import os
import pwd
import syslog

import click

from memfis.commands.completion import site_names
from memfis.commands.options import SiteFlags, json_option, print_json
from memfis.errors import ConfigurationError, UsageError
from memfis.nginx.switch import Switch, main_file, off_since, since_shown

_sites = click.argument(
    "sites", metavar="SITE...", nargs=-1, required=True, shell_complete=site_names
)
_config = click.option("--config", "-c", metavar="FILE", help="Read this configuration.")
_dry_run = click.option(
    "-n", "--dry-run", is_flag=True, help="Show what would be done; change nothing."
)


@click.command()
@_config
@_dry_run
@json_option
@_sites
def off(config: str | None, dry_run: bool, as_json: bool, sites: tuple[str, ...]) -> int:
    """Let nginx answer without memory, at once: for when you doubt what visitors get.

    SITE is a name, or a URL. nginx is told not to ask memory for it: files come from the disk, and
    every answer that PHP makes is its own, made for that visitor alone (nginx's cache of a second
    is left out too). When the command is done, no request begins any more that memory answers; none
    fails meanwhile. It needs neither the store nor the agent, stays so whatever is started anew,
    also by a play, and ends with 'memfis on'.

    The site's pages stay in memory, and the agent goes on to keep them equal to the web root:
    'memfis verify' says whether they are. To have them out of memory, write
    'from_memory: off' into memfis_sites.

    Where nginx refuses its configuration, all is as before, and its message is shown. A site whose
    source is the store is refused: there is nothing behind it. nginx's main file is
    /etc/nginx/nginx.conf, or the one that MEMFIS_NGINX_CONF names.
    """
    return _turn(SiteFlags(config=config), sites, off=True, dry_run=dry_run, as_json=as_json)


@click.command()
@_config
@_dry_run
@json_option
@_sites
def on(config: str | None, dry_run: bool, as_json: bool, sites: tuple[str, ...]) -> int:
    """Let nginx answer from memory again, after 'memfis off'.

    SITE is a name, or a URL. Run 'memfis verify --site SITE' before, if you doubted the pages.
    """
    return _turn(SiteFlags(config=config), sites, off=False, dry_run=dry_run, as_json=as_json)


def _turn(
    flags: SiteFlags, sites: tuple[str, ...], *, off: bool, dry_run: bool, as_json: bool
) -> int:
    names = list(dict.fromkeys(_name(flags, each) for each in sites))
    _check_power()
    switch = Switch(main_file())
    for name in names:
        if name not in switch.sites:
            raise UsageError(_why_not(flags, name, switch))
    before = {name: off_since(name) for name in names}
    running = None if dry_run else switch.turn(names, off=off)
    documents = [
        {
            "site": name,
            "off_since": off_since(name),
            "changed": (before[name] is None) == off,
            "dry_run": dry_run,
            "nginx_runs": running,
        }
        for name in names
    ]
    for name in names:
        if (before[name] is None) == off and not dry_run:
            _write_to_journal(name, off=off)
        if not as_json:
            _print(name, before[name], off=off, running=running)
    if as_json:
        print_json({"sites": documents})
    return 0


def _name(flags: SiteFlags, text: str) -> str:
    """Return the name of the site that `text` names, or is a URL of."""
    of_site, path = flags.at(text)
    return of_site.name or path


def _check_power() -> None:
    directory = main_file().parent
    if not os.access(directory, os.W_OK):
        raise UsageError(f"{directory}: only root may switch sites: use sudo")


def _why_not(flags: SiteFlags, name: str, switch: Switch) -> str:
    """Return why `name` cannot be switched, as far as the settings are there to say it."""
    there = ", ".join(sorted(switch.sites)) or "none"
    unknown = f"{name}: nginx has no such site with a switch (it has: {there})"
    try:
        known = {site.name: site for site in flags.settings(may_be_empty=True).sites}
    except ConfigurationError as error:
        return f"{unknown}; {error}"
    except UsageError:  # no configuration
        return unknown
    if name not in known:
        return unknown
    if known[name].source == "store":
        return f"{name}: its source is the store: without memory there is nothing that could answer"
    if not known[name].in_memory:
        return f'{name}: has from_memory = "off": nginx asks no memory; see memfis_sites'
    return f"{unknown}; its file in nginx is of an earlier version: run the play once"


def _write_to_journal(name: str, *, off: bool) -> None:
    user = os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
    syslog.openlog("memfis")
    syslog.syslog(
        syslog.LOG_WARNING,
        f"{name}: memory was switched {'off' if off else 'on again'} by {user}",
    )


def _print(name: str, before: int | None, *, off: bool, running: bool | None) -> None:
    already = (before is not None) == off
    if off:
        done = "answered without memory" + (f" since {since_shown(before)}" if before else "")
    else:
        done = "answered from memory"
    if running is None:
        click.echo(
            f"{name}: dry run, nothing changed: would be {done.partition(' since')[0]}"
            + (" (as it is)" if already else "")
        )
        return
    when = "" if running else ", when nginx is started: it does not run"
    click.echo(f"{name}: {done}{' (it was so already)' if already else ''}{when}")
