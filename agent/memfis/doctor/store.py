"""Would the sites of one store fit into it together: memory with slab overhead, and item limit."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from memfis.doctor.census import Cases, Census
from memfis.doctor.findings import Finding, counted, examples, mebibytes
from memfis.doctor.memory import PAGE, Slabs, SlabSettings
from memfis.errors import StoreError
from memfis.store import Store, StoreStatistics

NEARLY = 0.9
"""Part of the limit from which on a site that grows a little does not fit any more."""

HEADROOM = 1.2
"""What is advised, as a multiple of what is needed: sites grow, and a changed page is written
before the old one is freed."""

_SITE_ITEM = 512
"""About the bytes of a site item."""


class StoreExamination(msgspec.Struct):
    """A store and what its sites need of it. `limit`: bytes, None where it cannot be asked."""

    store: str
    needed: int
    """Bytes of memory, whole slab pages."""
    item_bytes: int
    """Bytes of the items themselves."""
    items: int
    limit: int | None
    findings: list[Finding]


def examine_store(url: str, store: Store, sites: Mapping[str, Census]) -> StoreExamination:
    """Compare what `sites`, by name, need together with what `store` at `url` has."""
    figures, settings, unreachable = _ask(store)
    slabs = Slabs(settings)
    findings = [] if figures else [Finding(url, "store", "problem", unreachable)]
    if figures:
        message = f"memcached {figures.version} answers, and has {counted(figures.items, 'item')}"
        findings.append(Finding(url, "store", "ok", message))
    for name, census in sites.items():
        findings += _fill(slabs, name, census, settings.item_limit, assumed=figures is None)
    sampled = sum(census.sampled for census in sites.values())
    need = (
        f"about {mebibytes(slabs.memory)} for {counted(slabs.items, 'item')} of {', '.join(sites)}"
    )
    if sampled:
        need += f" (compression estimated from {counted(sampled, 'file')})"
    if sites:
        findings.append(_memory(url, slabs.memory, need, figures))
    return StoreExamination(
        url, slabs.memory, slabs.bytes, slabs.items, figures.limit if figures else None, findings
    )


def _ask(store: Store) -> tuple[StoreStatistics | None, SlabSettings, str]:
    """Return the figures and settings of `store`; without them, memcached's defaults and why."""
    try:
        return store.statistics(), SlabSettings.of(store.settings()), ""
    except StoreError as error:
        return None, SlabSettings(), str(error)
    except ValueError as error:
        return None, SlabSettings(), f"store {store.address} tells nonsense: {error}"
    finally:
        store.close()


def _fill(
    slabs: Slabs, name: str, census: Census, item_limit: int, *, assumed: bool
) -> Iterator[Finding]:
    refused: defaultdict[bool, Cases] = defaultdict(Cases)
    slabs.add(len(name) + 14, _SITE_ITEM, flags=False)
    for item in census.items:
        if not slabs.add(item.key, item.value, flags=item.is_page, appends=item.appends):
            refused[item.is_page].add(item.path)
    limit = f"the store's item limit, {item_limit:,} bytes" + (
        " (memcached's default)" if assumed else ""
    )
    advice = "raise memfis_store_item_size (memcached's -I)"
    if pages := refused.get(True):
        message = f"{counted(pages.number, 'page')} left to disk: larger than {limit}"
        paths = examples(pages.examples)
        instead = f"{advice}, or lower max_page"
        yield Finding(name, "item limit", "warning", message, instead, paths)
    if logs := refused.get(False):
        message = f"{logs.number:,} times the records of a directory are larger than {limit}"
        paths = examples(logs.examples)
        yield Finding(
            name, "item limit", "problem", f"{message}: nothing in it is kept", advice, paths
        )
    if not refused:
        largest = max((item.value for item in census.items), default=0)
        message = f"the largest item has {largest:,} bytes, within {limit}"
        yield Finding(name, "item limit", "ok", message)


def _memory(url: str, needed: int, need: str, figures: StoreStatistics | None) -> Finding:
    steps = 16 * PAGE
    advised = -(-int(needed * HEADROOM) // steps) * steps
    raise_it = f"raise memfis_store_memory (memcached's -m) to at least {mebibytes(advised)}"
    if figures is None:
        return Finding(url, "memory", "ok", f"{need}, with memcached's default settings")
    message = f"{need}; the store has {mebibytes(figures.limit)}"
    if needed > figures.limit:
        then = (
            "pages are evicted and come from disk"
            if figures.evictions_allowed
            else "evictions are off, so the store refuses what does not fit"
        )
        return Finding(url, "memory", "problem", f"{message}: {then}", raise_it)
    if needed > figures.limit * NEARLY:
        return Finding(url, "memory", "warning", f"{message}: nearly full", raise_it)
    return Finding(url, "memory", "ok", message)


def as_json(examination: StoreExamination) -> dict[str, Any]:
    """Return the figures of a store for `--json`; findings are listed elsewhere."""
    fields = msgspec.structs.asdict(examination)
    del fields["findings"]
    return fields
