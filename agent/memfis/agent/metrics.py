"""The agent's figures for Prometheus."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from memfis.keeper import SiteKeeper
from memfis.service.exposition import Exposition

_STORE = {
    "up": "Whether the store answers.",
    "hits_total": "Items asked for and found, the agent's looks included.",
    "misses_total": "Items asked for and not found.",
    "evictions_total": "Items that had to go for others.",
    "items": "Items in the store.",
    "bytes": "Bytes that items take.",
    "limit_bytes": "Bytes that items may take.",
    "connections": "Open connections.",
}

_FIGURES = {
    "hits_total": "get_hits",
    "misses_total": "get_misses",
    "evictions_total": "evictions",
    "items": "curr_items",
    "bytes": "bytes",
    "limit_bytes": "limit_maxbytes",
    "connections": "curr_connections",
}
"""Our names, and those of `stats` (memcached doc/protocol.txt)."""


class _Sites(Collector):
    """The figures of all sites, and of the stores they are in."""

    def __init__(self, sites: Callable[[], Sequence[SiteKeeper]]) -> None:
        self._sites = sites

    def collect(self) -> Iterable[Metric]:
        sites = self._sites()
        yield from _of_sites(sites)
        yield from _of_stores(sites)


def _of_sites(sites: Sequence[SiteKeeper]) -> Iterator[Metric]:
    gauges = {
        name: GaugeMetricFamily(f"memfis_site_{name}", text, labels=["site"])
        for name, text in (
            ("pages", "Pages in memory."),
            ("bytes", "Bytes of files in memory, at the last look at the whole site."),
            ("last_sync_timestamp_seconds", "When the whole site was last looked at."),
            ("last_sync_duration_seconds", "How long that took."),
            (
                "pending_directories",
                "Directories that changed, still to be looked at.",
            ),
            ("watched_directories", "Directories watched; 0: changes are found by looking."),
        )
    }
    syncs = CounterMetricFamily(
        "memfis_site_syncs_total", "Looks at the whole site.", labels=["site"]
    )
    problems = GaugeMetricFamily(
        "memfis_site_problems",
        "What should be in memory and cannot, by reason.",
        labels=["site", "reason"],
    )
    for site in sites:
        name = site.site.name
        gauges["pages"].add_metric([name], site.pages)
        gauges["pending_directories"].add_metric([name], site.waiting)
        gauges["watched_directories"].add_metric([name], site.watched)
        syncs.add_metric([name], site.syncs)
        if site.report is not None and site.last_sync is not None:
            gauges["bytes"].add_metric([name], site.report.bytes)
            gauges["last_sync_duration_seconds"].add_metric([name], site.report.seconds)
            gauges["last_sync_timestamp_seconds"].add_metric([name], site.last_sync)
        for reason, number in site.problems.kinds().items():
            problems.add_metric([name, reason], number)
    yield from gauges.values()
    yield from (syncs, problems)


def _of_stores(sites: Sequence[SiteKeeper]) -> Iterator[Metric]:
    families = {
        name: (CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily)(
            f"memfis_store_{name}", text, labels=["store"]
        )
        for name, text in _STORE.items()
    }
    for store, figures in {site.site.store: site.health.figures for site in sites}.items():
        families["up"].add_metric([store], bool(figures))
        for name, theirs in _FIGURES.items():
            if theirs in figures:
                families[name].add_metric([store], float(figures[theirs]))
    yield from families.values()


def metrics(sites: Callable[[], Sequence[SiteKeeper]]) -> Exposition:
    """Return what answers with the figures of the keepers that `sites` returns."""
    return Exposition(_Sites(sites))
