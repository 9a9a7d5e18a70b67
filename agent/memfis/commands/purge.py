"""`memfis purge`."""

from collections.abc import Iterator

import click

from memfis.catalog.source import Source, declared_source
from memfis.commands.options import SiteFlags, json_option, open_store, print_json, site_options
from memfis.control.client import ask_purge
from memfis.errors import UsageError
from memfis.render.figures import Purged
from memfis.render.patterns import Pattern, parse
from memfis.render.purge import Purge
from memfis.service.runtime import runtime_directory
from memfis.settings.values import Site


@click.command()
@site_options
@click.option("-n", "--dry-run", is_flag=True, help="Show what would go; remove nothing.")
@json_option
@click.argument("patterns", metavar="PATTERN...", nargs=-1, required=True)
def purge(flags: SiteFlags, dry_run: bool, as_json: bool, patterns: tuple[str, ...]) -> int:
    """Remove pages from memory, so that the next visitor gets them as they are now.

    PATTERN is a URL path, percent-encoded or not, or a URL, whose host says of which site. Without
    a star it is for that very page: '/blog' and '/blog/' are two. '*' stands for anything up to the
    next slash, '**' for anything at all; write %2A for a star that is meant. Quote patterns, or the
    shell may expand them.

    \b
    Examples:
      memfis purge /blog/hello/                    one page
      memfis purge '/blog/**'                      all pages below, and /blog/ itself
      memfis purge '/*/feed' /sitemap.xml          several patterns
      memfis purge --site example.org '/**'        everything of a site
      memfis purge https://example.org/blog/       a page of that site
      memfis purge '/shop/**' --dry-run            which pages that would be

    A running agent does it: nothing that it began to render before is stored afterwards, pages of
    the list 'render' and of sitemaps are rendered again, and pages of files are written again
    within a second. Only its user and root may ask. Without an agent the pages are removed from the
    store directly; those of files come from the disk until the next `memfis sync`. nginx's own
    cache of PHP's answers (setting 'microcache') is purged too. Pages of a site that a mount fills
    are nowhere else, and are never purged.

    The exit code is 0 also where there was nothing to remove.
    """
    meant: dict[SiteFlags, list[str]] = {}
    for pattern in patterns:
        of_site, path = flags.at(pattern)
        parse(path)  # all of them before anything is removed
        meant.setdefault(of_site, []).append(path)
    documents: list[dict[str, object]] = []
    for of_site, paths in meant.items():
        documents += _purge(of_site, tuple(paths), dry_run=dry_run, quiet=as_json)
    if as_json:
        print_json({"sites": documents})
    return 0


def _purge(
    flags: SiteFlags, patterns: tuple[str, ...], *, dry_run: bool, quiet: bool
) -> Iterator[dict[str, object]]:
    """Purge `patterns` of each site that is meant; print what was done if not `quiet`, yield it."""
    parsed = [parse(pattern) for pattern in patterns]
    settings = flags.settings(ask_store=True)
    runtime = runtime_directory(settings.runtime_directory)
    for site in settings.sites:
        if declared_source(site) is Source.STORE and len(settings.sites) > 1:
            click.echo(f"memfis: {site.name}: left out, it is filled through a mount", err=True)
            continue
        if not site.in_memory:
            click.echo(f'memfis: {site.name}: left out, it has from_memory = "off"', err=True)
            continue
        done = ask_purge(runtime, site.name, patterns, dry_run=dry_run)
        if done is None:
            done = _directly(site, parsed, dry_run=dry_run)
        if not quiet:
            _print(site, done, dry_run=dry_run)
        yield _document(site, done, dry_run=dry_run)


def _directly(site: Site, patterns: list[Pattern], *, dry_run: bool) -> Purged:
    store = open_store(site)
    purge = Purge(site, store, patterns, dry_run=dry_run)
    try:
        for _ in purge.steps():
            pass
    except OSError as error:
        raise UsageError(f"microcache {error.filename}: {error.strerror}") from error
    finally:
        store.close()
    return purge.done


def _document(site: Site, done: Purged, *, dry_run: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "site": site.name,
        "dry_run": dry_run,
        "rendered": done.rendered,
        "files": done.files,
    }
    return document | ({"paths": done.paths} if dry_run else {})


def _print(site: Site, done: Purged, *, dry_run: bool) -> None:
    for path in done.paths:
        click.echo(f"- {site.name}{path}")
    number = done.rendered + done.files
    pages = "1 page" if number == 1 else f"{number} pages"
    click.echo(
        f"{'dry run, nothing removed: ' if dry_run else ''}{site.name}: {pages} purged"
        f" ({done.rendered} rendered, {done.files} of files)"
    )
