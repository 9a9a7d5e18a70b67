"""`memfis serve`."""

import logging
from collections import Counter

import click

from memfis.commands.logs import log_to_stderr
from memfis.layout.paths import size
from memfis.serve.foreground import Listen
from memfis.serve.foreground import serve as serve_directory
from memfis.settings.load import settings_from
from memfis.settings.site import MAX_PAGE
from memfis.sync import Report


@click.command()
@click.argument("directory", metavar="DIR")
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Where visitors connect.",
)
@click.option(
    "--memory",
    default=1024,
    show_default=True,
    type=click.IntRange(min=16),
    metavar="MIB",
    help="Memory for pages, in MiB; used as they come.",
)
@click.option(
    "--from-memory",
    type=click.Choice(["lua", "memcached_pass"]),
    help="What reads pages in nginx; by default its Lua module, where it has one.",
)
@click.option("--index", multiple=True, metavar="FILE", help="Index file names, in order.")
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Keep out of memory (gitignore pattern)."
)
def serve(
    directory: str,
    listen: str,
    memory: int,
    from_memory: str | None,
    index: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Serve DIR from memory, in the foreground, with nothing installed or configured.

    Starts an nginx and a memcached of its own from the distribution's packages, fills the store,
    and follows changes in DIR. Ctrl-C stops it and leaves nothing behind. An answer says in its
    header X-Memfis whether it came from memory (HIT) or from the disk (FALLBACK).
    """
    log_to_stderr(logging.WARNING)  # what failed; the line below says the rest
    table = {
        "name": "localhost",
        "root": "/",
        "max_page": MAX_PAGE,
        "max_delete": "100%",
        "exclude": list(exclude),
    }
    if index:
        table["index"] = list(index)
    [site] = settings_from({"sites": [table]}, "flags").sites
    address = Listen.parse(listen)

    def ready(url: str, reader: str, report: Report) -> None:
        left = sum(report.skipped.values()) + len(report.problems)
        reasons = [f"{number} {reason}" for reason, number in Counter(report.skipped).most_common()]
        if report.problems:
            reasons.append(f"{len(report.problems)} for the reasons above")
        because = f"; {left} left to disk: {', '.join(reasons)}" if left else ""
        click.echo(
            f"{url}  {report.pages:,} files, {size(report.bytes)} in memory"
            f" ({size(report.bytes_written)} as stored, read by {reader})"
            f" in {report.seconds:.1f} s{because}"
        )
        log_to_stderr(logging.INFO)

    serve_directory(directory, address, memory, ready, site, from_memory)
