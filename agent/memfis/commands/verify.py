"""`memfis verify`."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import click
from msgspec.structs import replace

from memfis.catalog.source import Source, declared_source
from memfis.commands.options import SiteFlags, json_option, open_store, print_json, site_options
from memfis.errors import RootError, StoreRefusedError, UsageError
from memfis.layout.paths import shown
from memfis.nginx.switch import off_since, told_off
from memfis.settings.values import Settings, Site
from memfis.verify import (
    Discrepancy,
    Verified,
    compare_with_origin,
    compare_with_store,
    tally,
    unconfigured_sites,
    verify_store,
    verify_unconfigured,
    verify_webroot,
)

log = logging.getLogger("memfis")


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
    compared. The host of URL says of which site, as the sites' server_names have it. Exit code 1
    when anything differs.

    \b
    Each difference has a line, and says what it is:
      missing    a file that should be in memory is not
      different  page and file differ
      damaged    the stored form of a page is broken
      head       the page is right, and what the reader in Lua says beside it is missing or is not
      stray      nothing on disk stands for it
      exposed    it is on disk, but may not be served from memory: nginx's user may not read it,
                 or settings do not publish it
      records    what a directory holds is not recorded, or the site is not
      unknown    the file system fails there, so nothing below could be compared
      unconfigured  an item of a site that is not configured any more, or has from_memory = "off"

    A web root that is missing, or that nginx's user may not enter, leaves every page without a file
    to be served; one whose file system fails cannot be compared: exit code 2.

    Of a site that a mount fills, the contents in the store are compared with their records, and
    with --http nginx's answers with the contents.
    """
    if url:
        flags, _ = flags.at(url)
    settings = flags.settings(need_root=True, ask_store=True)
    if url and not settings.kept:
        names = ", ".join(each.name for each in settings.sites)
        raise UsageError(f'{names}: from_memory = "off": there is nothing to compare')
    for site in settings.kept:
        if told := told_off(site.name):
            click.echo(f"memfis: {site.name}: {told}", err=True)
    documents, codes = [], [0]
    for configured in settings.kept if url else settings.sites:
        site = replace(configured, origin=origin) if origin else configured
        if url:
            document = _by_http(site, url, header, as_json)
            code = 1 if document["differences"] else 0
        else:
            document, code = _by_store(site, as_json)
        documents.append(document)
        codes.append(code)
    if not url and flags.means_all and settings.installation != "":
        for document, code in _left(settings, as_json):
            documents.append(document)
            codes.append(code)
    if as_json:
        print_json({"sites": documents})
    return max(codes)


def _by_store(site: Site, as_json: bool) -> tuple[dict[str, Any], int]:
    """Return what differs, and the exit code; without --json each is printed, and not kept."""
    store = open_store(site)
    if not site.in_memory:
        return _compared(site.name, verify_unconfigured(site.name, store), as_json)
    of_source = verify_store if declared_source(site) is Source.STORE else verify_webroot
    return _compared(site.name, of_source(site, store), as_json)


def _left(settings: Settings, as_json: bool) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield, as `_by_store`, what is left of sites that the configuration has no more."""
    for site in {site.store: site for site in settings.sites}.values():
        store = open_store(site)
        try:
            names = unconfigured_sites(settings, store)
        except StoreRefusedError as error:
            log.warning("sites that are configured no more were not looked for: %s", error)
            continue
        for name in names:
            yield _compared(name, verify_unconfigured(name, store), as_json)


def _compared(site: str, found: Iterable[Verified], as_json: bool) -> tuple[dict[str, Any], int]:
    document: dict[str, Any] = {
        "site": site,
        "off_since": off_since(site),
        "compared": 0,
        "differences": [],
    }
    differ, code = 0, 0
    try:
        for each in found:
            document["compared"] += 1
            if each.discrepancy:
                differ += 1
                _tell(each.discrepancy, document if as_json else None)
    except RootError as error:
        click.echo(f"memfis: {site}: {error}", err=True)
        document["problem"] = str(error)
        code = error.exit_code
    if not as_json:
        click.echo(f"{site}: {document['compared']} compared, {differ} differ")
    return document, 1 if differ else code


def _tell(discrepancy: Discrepancy, document: dict[str, Any] | None) -> None:
    """Put it into `document`, or print it."""
    kind, path = discrepancy
    if document is None:
        click.echo(f"{kind} {shown(path)}")
    else:
        document["differences"].append({"path": shown(path), "what": kind})


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
        "off_since": off_since(site.name),
        "compared": served_by.total(),
        "served_by": dict(served_by),
        "differences": differences,
    }
