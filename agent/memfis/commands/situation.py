"""How sites are now, by what stores, agents and nginx say: as documents, for people and as JSON."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from memfis.catalog.catalog import Catalog
from memfis.catalog.source import Source, declared_source, is_nowhere_else
from memfis.commands.options import open_store
from memfis.control.client import ask_status
from memfis.errors import ProgramError, StoreError
from memfis.layout.pages import NO_PAGE
from memfis.nginx.first_level import Answers, FirstLevel, counted_by, socket_of
from memfis.nginx.switch import off_since
from memfis.service.runtime import runtime_directory
from memfis.settings.values import Settings, Site
from memfis.store import StoreStatistics


def kept(catalog: Catalog) -> dict[str, int]:
    """Return what a site that a mount fills has, by its records; `bytes`: of all files."""
    entries = [
        entry
        for _, log in catalog.tree(b"/")
        for entry in (log.entries.values() if log else ())
        if not entry.is_directory
    ]
    files = [entry for entry in entries if entry.target is None]
    return {
        "pages": sum(1 for entry in entries if not entry.flags & NO_PAGE),
        "private": sum(1 for entry in files if entry.flags & NO_PAGE),
        "bytes": sum(entry.size for entry in files),
    }


def look(
    settings: Settings, count: Callable[[Catalog], dict[str, int]] = kept
) -> list[dict[str, Any]]:
    """Return how each site of `settings` is, as --json has it.

    A store or an agent that is away is part of it. `count` says what a site that a mount fills has.
    """
    runtime = runtime_directory(settings.runtime_directory)
    first_levels = counted_by(settings.sites)
    documents = [
        _document(site, count)
        | {"agent": _agent(runtime, site)}
        | _visitors(site.name, first_levels.get(socket_of(site) or ""))
        for site in settings.sites
    ]
    for document in documents:
        rendering = (document["agent"] or {}).get("rendering")
        if rendering and "pages" in document:
            document["origins"] = {"file": document["pages"], "rendered": rendering["pages"]}
    return documents


def _document(site: Site, count: Callable[[Catalog], dict[str, int]]) -> dict[str, Any]:
    stored = declared_source(site) is Source.STORE
    document: dict[str, Any] = {
        "site": site.name,
        "root": None if stored else site.root,
        "store": site.store,
        "from_memory": site.from_memory,
        "off_since": off_since(site.name),
    }
    opened = open_store(site)
    catalog = Catalog(opened, site.name)
    try:
        figures = opened.statistics()
        item = catalog.site_item()
        if is_nowhere_else(site, item):
            document |= {"root": None, "source": "store", "known": item is not None}
            document |= count(catalog)
        else:
            document["source"] = item.source if item else None
            document["pages"] = item.pages if item else 0
            document["bytes"] = item.bytes if item else 0
            document["last_sync"] = item.last_sync if item else None
    except StoreError as error:
        return document | {"error": str(error)}
    finally:
        opened.close()
    gateway = figures.gateway and figures.gateway._asdict()
    document["statistics"] = figures._asdict() | {"hit_ratio": _ratio(figures), "gateway": gateway}
    return document


def _agent(runtime: Path, site: Site) -> dict[str, Any] | None:
    """Return what a running agent says of `site`, or why it could not be asked; None: no agent."""
    try:
        keeping = ask_status(runtime, site.name)
    except PermissionError as error:
        return {"error": f"may not be asked: run this as its user or as root ({error.strerror})"}
    if keeping is None:
        return None
    plain: dict[str, Any] = msgspec.to_builtins(keeping)
    del plain["type"]
    if keeping.rendering is None:
        del plain["rendering"]
    if not keeping.not_listening:
        del plain["not_listening"]
    return plain


def _visitors(site: str, first_level: FirstLevel | ProgramError | None) -> dict[str, Any]:
    """Return what visitors of `site` got, and how full the first level is."""
    if first_level is None:
        return {"visitors": None, "first_level": None}
    if isinstance(first_level, ProgramError):
        return {"visitors": {"error": str(first_level)}, "first_level": None}
    return {
        "visitors": msgspec.to_builtins(first_level.sites.get(site, Answers())),
        "first_level": msgspec.to_builtins(first_level.parts),
    }


def _ratio(figures: StoreStatistics) -> float | None:
    asked = figures.hits + figures.misses
    return round(figures.hits / asked, 4) if asked else None
