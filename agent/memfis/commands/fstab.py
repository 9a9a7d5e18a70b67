"""`mount.memfis`: what mount(8) calls for `mount -t memfis SITE DIRECTORY`, and for /etc/fstab."""

import sys
from collections.abc import Iterable, Sequence

import click

from memfis.commands import run_command
from memfis.commands.mount import KERNEL
from memfis.errors import UsageError

USAGE = """\
usage: mount.memfis SITE DIRECTORY [-fnsv] [-o OPTION,...]

Called by mount(8). Options, beside those of every filesystem:
  ro                         let nothing be changed
  store=URL                  memcached://HOST:PORT or memcached:///path/to.sock
  config=FILE                read this configuration instead of /etc/memfis/memfis.toml
  attribute_timeout=SECONDS  when, at the latest, what other hosts change is seen here
  batch=SECONDS              how long what is closed may wait for more in its directory
  uid=USER,gid=GROUP,mode=MODE  who owns the top directory of a site that this mount makes
  allow_other                insist on letting other users in; no_allow_other: do not
"""

VALUES = {
    **{"store": "--store", "config": "--config"},
    **{"attribute_timeout": "--attribute-timeout", "batch": "--batch"},
    **{"uid": "--owner", "gid": "--group", "mode": "--mode"},
}

WORDS = {
    "ro": "--read-only",
    "allow_other": "--allow-other",
    "no_allow_other": "--no-allow-other",
}

IMPLIED = frozenset(
    (
        *("rw", "exec", "async", "nosuid", "nodev", "defaults"),
        *("atime", "diratime", "relatime", "norelatime", "strictatime", "nostrictatime"),
        *("auto", "noauto", "nofail", "_netdev", "user", "nouser", "users", "owner", "group"),
    )
)
"""What is so anyway, or is for mount(8) and systemd to know."""

PREFIXES = ("x-", "X-", "comment=", "uhelper=", "helper=")

USAGE_CODE, FAILURE_CODE = 1, 32
"""mount(8), "EXIT STATUS"."""


def arguments(words: Sequence[str]) -> list[str] | None:
    """Return what `memfis` is to be called with; None for nothing. Raises UsageError."""
    places: list[str] = []
    options: list[str] = []
    flags = ""
    rest = iter(words)
    for word in rest:
        if word in ("-o", "-t", "-N"):
            value = next(rest, "")
            options += value.split(",") if word == "-o" else ()
        elif word.startswith("-") and len(word) > 1:
            flags += word[1:]
        else:
            places.append(word)
    if len(places) != 2 or not set(flags) <= set("fnsv"):
        raise UsageError(USAGE.partition("\n")[0])
    if "f" in flags:  # all but the mounting
        return None
    site, directory = places
    verbose = ["--verbose"] if "v" in flags else []
    given = translated((option for option in options if option), sloppy="s" in flags)
    return ["mount", *given, *verbose, "--site", site, "--", directory]


def translated(options: Iterable[str], *, sloppy: bool) -> list[str]:
    """Return the flags of `memfis mount` for mount options; raises UsageError for unknown ones."""
    flags: list[str] = []
    for option in options:
        key, _, value = option.partition("=")
        if key in VALUES and value:
            flags += [VALUES[key], value]
        elif option in WORDS:
            flags.append(WORDS[option])
        elif option in KERNEL:
            flags += ["--option", option]
        elif option not in IMPLIED and not option.startswith(PREFIXES) and not sloppy:
            raise UsageError(f"option {option!r} is not known (see memfis mount --help)")
    return flags


def main() -> None:
    """Mount, and exit as mount(8) wants it."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        click.echo(USAGE, nl=False)
        sys.exit(0)
    try:
        words = arguments(sys.argv[1:])
    except UsageError as error:
        click.echo(f"mount.memfis: {error}", err=True)
        sys.exit(USAGE_CODE)
    sys.exit(FAILURE_CODE if words is not None and run_command(words) else 0)
