"""`memfis status`."""

import time
from typing import Any

import click

from memfis.catalog import Catalog
from memfis.commands.options import SiteFlags, json_option, open_store, print_json, site_options
from memfis.config import Site
from memfis.errors import StoreError
from memfis.store import StoreStatistics
from memfis.sync.report import size


@click.command()
@site_options
@json_option
def status(
    flags: SiteFlags,
    as_json: bool,
) -> int:
    """Show how the stores and the sites are: health, fill, hit ratio, evictions, last sync.

    Hits and misses are the store's own counters since its start: visitors' requests, and the looks
    of the agent. Exit code 3 when a store cannot be reached.
    """
    settings = flags.settings()
    documents = [_document(site) for site in settings.sites]
    if as_json:
        print_json({"sites": documents})
    else:
        for document in documents:
            _print(document)
    return StoreError.exit_code if any("error" in document for document in documents) else 0


def _document(site: Site) -> dict[str, Any]:
    document: dict[str, Any] = {"site": site.name, "root": site.root, "store": site.store}
    opened = open_store(site)
    try:
        figures = opened.statistics()
        item = Catalog(opened, site.name).site_item()
    except StoreError as error:
        return document | {"error": str(error)}
    finally:
        opened.close()
    document["statistics"] = figures._asdict() | {"hit_ratio": _ratio(figures)}
    document["pages"] = item.pages if item else 0
    document["bytes"] = item.bytes if item else 0
    document["source"] = item.source if item else None
    document["last_sync"] = item.last_sync if item else None
    return document


def _ratio(figures: StoreStatistics) -> float | None:
    asked = figures.hits + figures.misses
    return round(figures.hits / asked, 4) if asked else None


def _print(document: dict[str, Any]) -> None:
    click.echo(f"{document['site']}  {document['root']}")
    if "error" in document:
        click.echo(f"  store: {document['error']}")
        return
    figures = document["statistics"]
    click.echo(
        f"  store: {document['store']}, memcached {figures['version']},"
        f" up {figures['uptime']} s, {size(figures['bytes'])} of {size(figures['limit'])}"
        f" in {figures['items']} items, {figures['evictions']} evicted"
    )
    ratio = figures["hit_ratio"]
    click.echo(
        f"  asked: {figures['hits']} hits, {figures['misses']} misses"
        + (f" ({ratio:.1%} hits)" if ratio is not None else "")
    )
    if document["last_sync"]:
        ago = time.time() - document["last_sync"]
        click.echo(
            f"  pages: {document['pages']}, {size(document['bytes'])}; last synced {ago:.0f} s ago"
        )
    else:
        click.echo("  pages: never synced")
