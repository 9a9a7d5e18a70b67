"""One look at all sites after the other, as `memfis top` shows them."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from memfis.catalog.catalog import Catalog
from memfis.commands.situation import kept, look
from memfis.errors import MemfisError
from memfis.nginx.first_level import Answers
from memfis.settings.values import Settings

RECOUNT = 30.0
"""Seconds until the files of a site that a mount fills are counted again: by all its records."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Rates:
    """What happened in a store, or to visitors of a site, since the look before, in each second."""

    hits: float
    misses: float

    @property
    def ratio(self) -> float | None:
        """The share of hits; None where nothing was asked."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


@dataclass(frozen=True)
class Look:
    """How everything is, and what happened since the look before."""

    time: float
    """Seconds since the epoch."""
    sites: list[Document]
    """As `memfis status --json` has them."""
    rates: Mapping[str, Rates] = field(default_factory=dict)
    """Of each store, by its URL; not at the first look, nor after the store was started anew."""
    renders: Mapping[str, float] = field(default_factory=dict)
    """Pages of each site that were rendered in each second, by the site's name."""
    answered: Mapping[str, float] = field(default_factory=dict)
    """Requests that PHP answered in each second, by the site's name: nginx tells of each."""
    visitors: Mapping[str, Rates] = field(default_factory=dict)
    """What nginx answered visitors of each site from memory, and not, by the site's name."""
    error: str | None = None
    """Why nothing could be looked at."""

    @property
    def stores(self) -> dict[str, Document]:
        """One site's document for each store, by the store's URL."""
        return {each["store"]: each for each in self.sites}

    def troubles(self) -> Iterator[str]:
        """Yield a line for each thing that is not as it should be."""
        if self.error:
            yield self.error
        for url, document in self.stores.items():
            if "error" in document:
                yield document["error"]
            elif (gateway := document["statistics"]["gateway"]) and gateway["breaker_open"]:
                yield f"gateway {url}: Couchbase is away"
        silent: dict[str, list[str]] = {}
        for document in self.sites:
            name, agent = document["site"], document["agent"]
            asked = document["root"] is not None and document["from_memory"] != "off"
            if agent is None and asked:
                silent.setdefault("none runs", []).append(name)
            elif agent is not None and "error" in agent:
                silent.setdefault(agent["error"], []).append(name)
            elif agent is not None:
                yield from _troubles_of(name, agent)
        yield from dict.fromkeys(
            document["visitors"]["error"]
            for document in self.sites
            if "error" in (document["visitors"] or {})
        )
        for why, names in silent.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"agent of {names[0]}{more}: {why}"


def _troubles_of(name: str, agent: Document) -> Iterator[str]:
    if held := agent["held"]:
        until = time.strftime("%H:%M:%S", time.localtime(held["until"]))
        yield f"{name}: {held['pages']} pages held until {until}: {held['why']}"
    for reason in agent.get("not_listening", ()):
        yield f"agent: not listening, {reason}"
    if agent.get("rendering", {}).get("trouble"):
        yield f"{name}: the origin of rendered pages is in trouble, old pages stay"


class Looks:
    """Looks again and again, and remembers the look before."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        """Take `settings` anew at each look: they may change meanwhile."""
        self._settings = settings
        self._before: Look | None = None
        self._counted: dict[str, tuple[float, dict[str, int]]] = {}

    def look(self) -> Look:
        """Return how everything is now; raises nothing for what is away or wrong."""
        now = time.time()
        try:
            sites = look(self._settings(), self._count)
        except MemfisError as error:
            return Look(now, [], error=str(error))
        before = self._before or Look(now, [])
        self._before = seen = Look(now, sites)
        return Look(
            now,
            sites,
            rates=dict(_rates(before, seen)),
            renders=_counted(before, seen, lambda rendering: rendering["figures"]["renders"]),
            visitors=dict(_visitors(before, seen)),
            answered=_counted(before, seen, lambda rendering: rendering["visitors"]["answered"]),
        )

    def _count(self, catalog: Catalog) -> dict[str, int]:
        at, counted = self._counted.get(catalog.site, (0.0, {}))
        if time.monotonic() >= at + RECOUNT or not counted:
            counted = kept(catalog)
            self._counted[catalog.site] = time.monotonic(), counted
        return counted


def _rates(before: Look, now: Look) -> Iterator[tuple[str, Rates]]:
    seconds = now.time - before.time
    for url, document in now.stores.items():
        old = before.stores.get(url, {}).get("statistics")
        new = document.get("statistics")
        if old and new and seconds > 0 and new["uptime"] >= old["uptime"]:
            hits, misses = (max(new[each] - old[each], 0) / seconds for each in ("hits", "misses"))
            yield url, Rates(hits, misses)


def _visitors(before: Look, now: Look) -> Iterator[tuple[str, Rates]]:
    seconds = now.time - before.time
    old, new = (
        {
            document["site"]: msgspec.convert(document["visitors"], Answers)
            for document in look.sites
            if document["visitors"] and "error" not in document["visitors"]
        }
        for look in (before, now)
    )
    # An nginx that was started anew counts from 0.
    for name in new.keys() & old.keys():
        hits, fallbacks = (
            max(getattr(new[name], each) - getattr(old[name], each), 0) / seconds
            for each in ("from_memory", "left")
        )
        yield name, Rates(hits, fallbacks)


def _counted(before: Look, now: Look, figure: Callable[[Document], int]) -> dict[str, float]:
    """Return by how much a figure of rendering grew in each second, by the site's name."""
    seconds = now.time - before.time
    old, new = (
        {
            document["site"]: figure(document["agent"]["rendering"])
            for document in look.sites
            if "rendering" in (document["agent"] or {})
        }
        for look in (before, now)
    )
    # An agent that was started anew counts from 0.
    return {name: max(new[name] - old[name], 0) / seconds for name in new.keys() & old.keys()}
