"""`memfis verify`."""

from collections import Counter
from typing import Any

import click
from msgspec.structs import replace

from memfis.catalog.source import Source, declared_source
from memfis.commands.options import SiteFlags, json_option, open_store, print_json, site_options
from memfis.layout.paths import shown
from memfis.settings.values import Site
from memfis.verify import (
    compare_with_origin,
    compare_with_store,
    tally,
    verify_store,
    verify_webroot,
)


@click.command()
@site_options
@click.option("--http", "url", metavar="URL", help="Ask nginx at URL, and its origin listener.")
@click.option("--origin", metavar="SOCKET", help="The origin listener's socket.")
@click.option(
    "--header",
    default="X-Memfis",
    show_default=True,
    help="The header that tells HIT from FALLBACK.",
)
@json_option
def verify(
    flags: SiteFlags,
    url: str | None,
    origin: str | None,
    header: str,
    as_json: bool,
) -> int:
    """Compare the store with the web root, page by page and byte by byte.

    With --http, every URL of the web root, and every other one that memory has, is asked of nginx
    at URL and of its origin listener (the disk alone), and status, body and Content-Type are
    compared. Exit code 1 when anything differs.

    Of a site that a mount fills, the contents in the store are compared with their records, and
    with --http nginx's answers with the contents.
    """
    settings = flags.settings(need_root=True, ask_store=True)
    documents = []
    for configured in settings.sites:
        site = replace(configured, origin=origin) if origin else configured
        documents.append(_by_http(site, url, header, as_json) if url else _by_store(site, as_json))
    if as_json:
        print_json({"sites": documents})
    return 1 if any(document["differences"] for document in documents) else 0


def _by_store(site: Site, quiet: bool) -> dict[str, Any]:
    differences = []
    compared = 0
    of_source = verify_store if declared_source(site) is Source.STORE else verify_webroot
    for each in of_source(site, open_store(site)):
        compared += 1
        if each.discrepancy:
            kind, path = each.discrepancy
            differences.append({"path": shown(path), "what": kind})
            if not quiet:
                click.echo(f"{kind} {shown(path)}")
    if not quiet:
        click.echo(f"{site.name}: {compared} compared, {len(differences)} differ")
    return {"site": site.name, "compared": compared, "differences": differences}


def _by_http(site: Site, url: str, header: str, quiet: bool) -> dict[str, Any]:
    differences = []
    served_by: Counter[str] = Counter()
    if declared_source(site) is Source.STORE:
        compared = compare_with_store(site, open_store(site), url, header)
    else:
        compared = compare_with_origin(site, open_store(site), url, header)
    for each in compared:
        served_by[each.served_by] += 1
        if each.difference:
            differences.append({"path": shown(each.path), "what": each.difference})
            if not quiet:
                click.echo(f"{shown(each.path)}: {each.difference}")
    if not quiet:
        click.echo(
            f"{site.name}: {served_by.total()} URLs compared ({tally(served_by)}),"
            f" {len(differences)} differ"
        )
    return {
        "site": site.name,
        "compared": served_by.total(),
        "served_by": dict(served_by),
        "differences": differences,
    }
