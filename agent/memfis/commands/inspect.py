"""`memfis ls`, `cat`, `stat` and `key`: what is in the store."""

import os
import stat as modes
import sys
import time
from typing import Any

import click
from msgspec import structs

from memfis.catalog.catalog import Catalog
from memfis.catalog.site_item import SiteItem
from memfis.catalog.source import Source, source_of
from memfis.check.absence import why_absent
from memfis.commands.options import (
    NOWHERE,
    SiteFlags,
    json_option,
    open_store,
    print_json,
    site_options,
)
from memfis.errors import MemfisError
from memfis.layout import keys
from memfis.layout.identity import is_spelled, page_of
from memfis.layout.keys import normal_path
from memfis.layout.pages import GZIP, NO_PAGE, Page, content_of
from memfis.layout.paths import page_url, shown, split
from memfis.layout.records import Entry
from memfis.settings.values import Site
from memfis.store import ItemState, Store
from memfis.webroot.obstacle import Obstacle


def _open(
    flags: SiteFlags,
) -> tuple[Site, Store, Catalog, SiteItem | None]:
    """Return the one site that flags name, with index names as it was filled with."""
    site = flags.site()
    opened = open_store(site)
    catalog = Catalog(opened, site.name)
    return site, opened, catalog, catalog.site_item()


def _index(item: SiteItem | None, site: Site) -> bytes | None:
    if item is None:
        return site.index_name
    return structs.replace(site, index=item.index).index_name


def _asked(site: Site, opened: Store, text: str) -> bytes:
    """Return the decoded URL path `text`, or, where its page is kept as it was sent, that."""
    path = page_of(os.fsencode(text)) if site.php is not None else None
    if path is not None and is_spelled(path) and opened.states([keys.page_key(site.name, path)])[0]:
        return path
    return normal_path(text)


def _page_url(path: bytes, index: bytes | None) -> bytes:
    return path if is_spelled(path) else page_url(path, index)


def _entry(catalog: Catalog, path: bytes, index: bytes | None) -> Entry | None:
    if is_spelled(path):
        directory, name = split(path)
        [log] = catalog.logs([directory])
        return log.entries.get("/" + name.decode("latin-1")) if log else None
    directory, slash, name = path.rstrip(b"/").rpartition(b"/")
    if path.endswith(b"/"):
        [log] = catalog.logs([path])
        file = log.entries.get(index.decode("latin-1")) if log and index else None
        return file or (log.entries.get("/") if log else None)
    [log] = catalog.logs([directory + slash])
    if log is None:
        return None
    text = name.decode("latin-1")
    return log.entries.get(text) or log.entries.get("/" + text)


@click.command()
@site_options
@json_option
@click.option("-l", "--long", is_flag=True, help="Show mode, size, time and encoding.")
@click.argument("path", default="/")
def ls(
    flags: SiteFlags,
    as_json: bool,
    long: bool,
    path: str,
) -> int:
    """List the directory PATH of the store; a URL says of which site.

    A name with '*' behind it is known and nobody is served its page: it is left to the disk (in -l:
    'disk'), or kept private in a site that a mount fills ('private').
    """
    flags, path = flags.at(path)
    site, _, catalog, item = _open(flags)
    stored = source_of(site, item) is Source.STORE
    wanted = normal_path(path).rstrip(b"/") + b"/"
    [log] = catalog.logs([wanted])
    if log is None:
        raise MemfisError(f"{site.name}{shown(wanted)}: no such directory in the store")
    entries = sorted(log.entries.values(), key=lambda entry: (entry.in_url, entry.is_directory))
    if as_json:
        fields = [_fields(entry, stored=stored) for entry in entries]
        print_json({"site": site.name, "path": shown(wanted), "entries": fields})
        return 0
    for entry in entries:
        label = shown(entry.in_url or b"./") + ("/" if entry.is_directory else "")
        if not long:
            click.echo(label + ("*" if entry.flags & NO_PAGE else ""))
            continue
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.mtime_ns // 10**9))
        owners = f"{modes.filemode(entry.mode or 0)} {entry.uid:>5} {entry.gid:>5}"
        if entry.target is not None:
            label += f" -> {shown(entry.target.encode('latin-1'))}"
        form = _form(entry, stored=stored)
        click.echo(f"{owners} {entry.size:>10} {when} {form:<{7 if stored else 5}} {label}")
    return 0


@click.command()
@site_options
@click.option("--raw", is_flag=True, help="As stored: compressed when it is.")
@click.option("--private", is_flag=True, help="Also what a mount keeps and nobody is served.")
@click.argument("path")
def cat(
    flags: SiteFlags,
    raw: bool,
    private: bool,
    path: str,
) -> int:
    """Print the page at PATH, or a URL, as a browser gets it."""
    flags, path = flags.at(path)
    site, opened, _, item = _open(flags)
    url = _page_url(_asked(site, opened, path), _index(item, site))
    found = opened.get(keys.page_key(site.name, url))
    if found is None and source_of(site, item) is Source.STORE:
        kept = keys.private_key(site.name, url)
        if private:
            found = opened.get(kept)
        elif opened.states([kept])[0]:
            raise MemfisError(f"{site.name}{shown(url)}: kept private; --private shows it")
    if found is None:
        raise MemfisError(f"{site.name}{shown(url)}: not in the store")
    sys.stdout.buffer.write(found.value if raw else content_of(Page(*found)))
    sys.stdout.buffer.flush()
    return 0


@click.command()
@site_options
@json_option
@click.argument("path")
def stat(
    flags: SiteFlags,
    as_json: bool,
    path: str,
) -> int:
    """Show what the store knows of PATH, or a URL: the page as stored, and its file's record.

    Where there is no page, also why, and what would change that; exit code 1.
    """
    flags, path = flags.at(path)
    site, opened, catalog, item = _open(flags)
    first = _index(item, site)
    stored = source_of(site, item) is Source.STORE
    wanted = _asked(site, opened, path)
    url = _page_url(wanted, first)
    key = keys.page_key(site.name, url)
    page, private = map(_state, opened.states([key, keys.private_key(site.name, url)]))
    entry = _entry(catalog, wanted, first)
    why = None
    if page is None and not stored and site.root != NOWHERE:
        why = why_absent(site, wanted, entry, first)
    if page is None and private is None and entry is None:
        reason = f": {_told(why)}" if why else ""
        raise MemfisError(f"{site.name}{shown(wanted)}: not in the store{reason}")
    document: dict[str, Any] = {
        "site": site.name,
        "path": shown(wanted),
        "key": shown(key),
        "page": page,
    }
    if stored:
        document["private"] = private
    document["record"] = _fields(entry, stored=stored) if entry else None
    if why and as_json:
        document["why"] = why._asdict() | {"path": shown(why.path)}
    elif why:
        document["why"] = _told(why)
    if as_json:
        print_json(document)
    else:
        for label, value in document.items():
            if isinstance(value, dict):
                click.echo(f"{label}:")
                for inner, text in value.items():
                    click.echo(f"  {inner}: {'-' if text is None else text}")
            else:
                click.echo(f"{label}: {'-' if value is None else value}")
    return 0 if page or private else 1


def _told(why: Obstacle) -> str:
    told = f"{shown(why.path)}: {why.reason}"
    return f"{told}; {why.remedy}" if why.remedy else told


def _state(state: ItemState | None) -> dict[str, object] | None:
    if state is None:
        return None
    return {
        "bytes": state.size,
        "encoding": "gzip" if state.flags & GZIP else "identity",
        "flags": state.flags,
        "expires_in": None if state.ttl < 0 else state.ttl,
    }


@click.command()
@site_options
@click.argument("uri", metavar="URI")
def key(
    flags: SiteFlags,
    uri: str,
) -> int:
    """Print the key that nginx asks for when URI (a URL, or a path with --site) is requested."""
    flags, uri = flags.at(uri)
    chosen = flags.site()
    if chosen.php is None:
        url = page_url(normal_path(uri), chosen.index_name)
    else:
        target = uri.partition("#")[0].partition("?")[0]  # no browser sends a fragment
        asked = page_of(os.fsencode(target))
        if asked is None:
            raise MemfisError(
                f"{shown(os.fsencode(target))}: is no URL of a page for everybody: PHP is asked"
            )
        url = asked
    wanted = keys.page_key(chosen.name, url)
    click.echo(wanted.decode("utf-8", "surrogateescape"))
    if len(wanted) > keys.KEY_LIMIT:
        raise MemfisError(
            f"{len(wanted)} bytes: a key ends at {keys.KEY_LIMIT}, so the fallback serves it"
        )
    return 0


def _form(entry: Entry, *, stored: bool) -> str:
    if entry.is_directory or (entry.flags & NO_PAGE and entry.target is not None):
        return "-"
    if entry.flags & NO_PAGE:
        return "private" if stored else "disk"
    return "gzip" if entry.flags & GZIP else "plain"


def _fields(entry: Entry, *, stored: bool) -> dict[str, object]:
    return {
        "name": shown(entry.in_url),
        "mode": f"{entry.mode or 0:o}",
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
        "uid": entry.uid,
        "gid": entry.gid,
        "target": None if entry.target is None else shown(entry.target.encode("latin-1")),
        "origin": entry.origin,
        "stored": _form(entry, stored=stored),
    }
