"""What `memfis top` shows on a screen."""

import time
from collections.abc import Sequence

from rich import box
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from memfis.commands.looks import Document, Look
from memfis.layout.paths import size

NOTHING = "-"
"""Where a figure is not known, or makes no sense."""

SITE_COLUMNS = (
    "pages",
    "bytes",
    "pending",
    "held",
    "not in memory",
    "rendered",
    "waiting",
    "renders/s",
    "php/s",
    "last sync",
)
VISITOR_COLUMNS = ("hits/s", "misses/s")
"""Beside them, where nginx counts what visitors of a site got."""
STORE_COLUMNS = ("memory", "of", "items", "hits/s", "misses/s", "hits", "evicted", "gateway")


def view(look: Look | None, interval: float, dimensions: ConsoleDimensions) -> RenderableType:
    """Return `look` for a screen of `dimensions`; None: there was none yet."""
    if look is None:
        return Text("memfis top: looking …")
    when = time.strftime("%H:%M:%S", time.localtime(look.time))
    head = Text(f"memfis top  {when}  every {interval:g} s  (q: leave)", "bold", no_wrap=True)
    troubles = [Text(each, "red") for each in look.troubles()]
    stores = _table("store", STORE_COLUMNS)
    for url, document in look.stores.items():
        stores.add_row(Text(url), *_cells(_store(look, url, document)))
    # Besides: the first line, two blank ones, the heads of both tables with a line below each.
    room = max(dimensions.height - 7 - len(look.stores) - len(troubles), 1)
    shown = look.sites if len(look.sites) <= room else look.sites[: max(room - 1, 1)]
    counts = any(document["visitors"] for document in look.sites)
    sites = _table("site", (*SITE_COLUMNS, *(VISITOR_COLUMNS if counts else ())))
    for document in shown:
        sites.add_row(Text(document["site"]), *_cells(_site(look, document, counts=counts)))
    more = len(look.sites) - len(shown)
    left_out = [Text(f"and {more} sites more (--site shows one)", "dim")] if more else []
    blank = Text()
    return Group(head, *troubles, blank, stores, blank, sites, *left_out)


def _table(first: str, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, expand=True)
    table.add_column(first, no_wrap=True, overflow="ellipsis", ratio=1, min_width=8)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _cells(values: Sequence[object]) -> list[Text]:
    return [Text(NOTHING if each is None else str(each)) for each in values]


def _site(look: Look, document: Document, *, counts: bool) -> Sequence[object]:
    """Return what SITE_COLUMNS name; if nginx `counts`, and VISITOR_COLUMNS."""
    agent = document["agent"] or {}
    rendering = agent.get("rendering")
    renders, answered = (each.get(document["site"]) for each in (look.renders, look.answered))
    rates = look.visitors.get(document["site"])
    visitors = (rates.hits, rates.misses) if rates else (None, None)
    synced = document.get("last_sync")
    return (
        document.get("pages"),
        size(document["bytes"]) if "bytes" in document else None,
        agent.get("pending_directories"),
        (agent["held"] or {"pages": 0})["pages"] if "held" in agent else None,
        sum(agent["problems"].values()) if "problems" in agent else None,
        rendering and rendering["pages"],
        rendering and rendering["waiting"],
        _rate(renders),
        _rate(answered),
        None if synced is None else f"{max(look.time - synced, 0):.0f} s ago",
        *(map(_rate, visitors) if counts else ()),
    )


def _rate(each: float | None) -> str | None:
    return None if each is None else f"{each:.1f}"


def _store(look: Look, url: str, document: Document) -> Sequence[object]:
    """Return what STORE_COLUMNS name."""
    figures = document.get("statistics")
    if figures is None:
        return (*(None for _ in STORE_COLUMNS[:-1]), "away")
    rates = look.rates.get(url)
    gateway = figures["gateway"]
    answers = "Couchbase away" if gateway and gateway["breaker_open"] else "Couchbase answers"
    return (
        size(figures["bytes"]),
        size(figures["limit"]),
        figures["items"],
        None if rates is None else f"{rates.hits:.0f}",
        None if rates is None else f"{rates.misses:.0f}",
        None if rates is None or rates.ratio is None else f"{rates.ratio:.1%}",
        figures["evictions"],
        answers if gateway else "none",
    )
