"""`memfis mount`."""

import grp
import logging
import os
import pwd
import re
from collections.abc import Callable

import click

from memfis.catalog.source import Source
from memfis.commands.completion import directories, site_names
from memfis.commands.logs import has_journal, log_to_stderr, log_to_syslog
from memfis.commands.options import SiteFlags
from memfis.errors import UsageError
from memfis.service.systemd import notify

log = logging.getLogger(__name__)

KERNEL = ("noexec", "noatime", "nodiratime", "sync")
"""Mount options that the kernel knows and that change something (mount(8)); nosuid and nodev do
not: they always hold."""


def user_id(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return the number of the user `value`; raises UsageError."""
    return _number("user", value, lambda name: pwd.getpwnam(name).pw_uid)


def group_id(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return the number of the group `value`; raises UsageError."""
    return _number("group", value, lambda name: grp.getgrnam(name).gr_gid)


def _number(kind: str, value: str | None, find: Callable[[str], int]) -> int | None:
    if value is None:
        return None
    try:
        return int(value) if re.fullmatch("[0-9]{1,9}", value) else find(value)
    except KeyError:
        raise UsageError(f"{value!r}: no such {kind}") from None


def permissions(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """Return the permission bits that `value` has in octal; raises UsageError."""
    if not re.fullmatch("0?[0-7]{3}", value):
        raise UsageError(f"--mode {value!r}: expected three octal digits, as 775")
    return int(value, 8)


@click.command()
@click.argument("mountpoint", metavar="MOUNTPOINT", shell_complete=directories)
@click.option("--config", "-c", metavar="FILE", help="Read this configuration.")
@click.option(
    "--site",
    "name",
    metavar="NAME",
    shell_complete=site_names,
    help="The site; default: the only one configured.",
)
@click.option(
    "--store",
    metavar="URL",
    help="Its store: memcached://HOST:PORT or memcached:///path/to.sock.",
)
@click.option("--read-only", "-r", is_flag=True, help="Let nothing be changed through this mount.")
@click.option(
    "--allow-other/--no-allow-other",
    default=None,
    help="Let other users in, by the permissions of the files. Default: if you may allow it (root,"
    " or user_allow_other in /etc/fuse.conf).",
)
@click.option(
    "--attribute-timeout",
    type=click.FloatRange(min=0, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="When, at the latest, what other hosts change is seen here. 0: nothing is cached.",
)
@click.option(
    "--batch",
    type=click.FloatRange(min=0, max=60),
    metavar="SECONDS",
    help="How long what is closed or removed may wait for more in its directory, to be written with"
    " it; fsync(2) does not wait. 0: a close returns when all is on the store. Default: 1 where the"
    " store is a gateway, 0 elsewhere.",
)
@click.option(
    "--owner",
    callback=user_id,
    metavar="USER",
    help="Who owns the top directory, and may fill the site, where this mount makes it: at the"
    " first time, and when the store has lost it. Default: you.",
)
@click.option("--group", callback=group_id, metavar="GROUP", help="Its group then.")
@click.option(
    "--mode", default="755", callback=permissions, metavar="MODE", help="Its mode then, as 0775."
)
@click.option("--foreground", "-f", is_flag=True, help="Stay, and log to stderr.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
@click.option(
    "--option",
    "-o",
    "flags",
    multiple=True,
    type=click.Choice(KERNEL),
    metavar="WORD",
    help=f"What the kernel does for any filesystem: {', '.join(KERNEL)}.",
)
def mount(
    mountpoint: str,
    config: str | None,
    name: str | None,
    store: str | None,
    read_only: bool,
    allow_other: bool | None,
    attribute_timeout: float,
    batch: float | None,
    owner: int | None,
    group: int | None,
    mode: int,
    foreground: bool,
    verbose: bool,
    flags: tuple[str, ...],
) -> int:
    """Mount a site of the store at MOUNTPOINT, an empty directory.

    A site whose source is the store is filled, changed and looked at with cp, rsync, an editor, or
    whatever works on files. A file is published when it is closed: visitors get the old page or
    the new one. What nginx's user may not read, dotfiles, and sources like .php are kept, and not
    published. The first mount makes the site; no configuration is needed with --site and --store.

    A site that an agent keeps equal to a web root is mounted read-only.

    \b
    memfis mount --site example.org --store memcached://127.0.0.1:11211 /mnt
    cp -a site/. /mnt
    fusermount3 -u /mnt

    Goes to the background when the mount answers, and logs to syslog from then on. Ends, with all
    that was written on the store, when it is unmounted (umount, fusermount3 -u) and by SIGTERM or
    Ctrl-C. What closed files hold is on the store when close(2) returns; on a gateway to Couchbase
    a second later (--batch).
    """
    from memfis.mount import (
        Options,
        check,
        run,
        wait_until_answering,
    )  # libfuse need not be there for --help
    from memfis.service.background import in_background

    site = SiteFlags(config, name, store=store).site(source=Source.STORE)
    options = Options(
        os.path.abspath(mountpoint),
        read_only,
        allow_other,
        attribute_timeout,
        batch,
        owner,
        group,
        mode,
        flags,
    )
    level = logging.DEBUG if verbose else logging.INFO
    log_to_stderr(level)
    check(options)
    journal = has_journal()

    def work(ready: Callable[[], None]) -> int:
        def mounted() -> None:
            ready()
            notify("READY=1")  # Type=notify: what is ordered after the unit finds the files
            if not foreground and not journal:
                log_to_syslog(level)
            log.info("%s is mounted at %s", site.name, options.mountpoint)

        return 0 if run(site, options, mounted) else 1

    if foreground:
        return work(lambda: None)
    in_background(work, keep_errors=journal)
    wait_until_answering(options.mountpoint)
    return 0
