"""The agent's figures for Prometheus."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from memfis.errors import ProgramError
from memfis.fleet.fleet import Fleet
from memfis.keeper import Kept, StoredSite
from memfis.keeper.holding import REASONS
from memfis.nginx.first_level import Answers, FirstLevel, counted_by, socket_of
from memfis.render.visitors import ANOTHER_HOST
from memfis.service.exposition import Exposition
from memfis.settings.values import Site

log = logging.getLogger("memfis")

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

    def __init__(
        self,
        sites: Callable[[], Sequence[Kept]],
        stored: Callable[[], Sequence[StoredSite]],
        malformed: Mapping[str, int],
        fleet: Fleet | None,
    ) -> None:
        self._fleet = fleet
        self._sites = sites
        self._stored = stored
        self._malformed = malformed
        self._first_levels: dict[str, FirstLevel] = {}
        self._silent: set[str] = set()

    async def ask_nginx(self) -> None:
        """Ask each nginx what it counted; the first of several failures is logged."""
        found = await asyncio.to_thread(counted_by, self._served())
        failed = {path: each for path, each in found.items() if isinstance(each, ProgramError)}
        for path in failed.keys() - self._silent:
            log.warning("%s; visitors are not counted meanwhile", failed[path])
        self._silent = set(failed)
        self._first_levels = {
            path: each for path, each in found.items() if isinstance(each, FirstLevel)
        }

    def _served(self) -> list[Site]:
        return [*(each.site for each in self._sites()), *(each.site for each in self._stored())]

    def collect(self) -> Iterable[Metric]:
        sites = self._sites()
        yield from _of_sites(sites)
        yield from _of_stores([*sites, *self._stored()])
        if self._first_levels:
            yield _of_visitors(self._served(), self._first_levels)
            yield from _of_first_levels(self._first_levels)
        if self._fleet is not None:
            yield from _of_fleet(self._fleet)
        if self._malformed:
            malformed = CounterMetricFamily(
                "memfis_hints_malformed_total",
                "Datagrams at the sockets for hints that were dropped, by reason.",
                labels=["reason"],
            )
            for reason, number in self._malformed.items():
                malformed.add_metric([reason], number)
            yield malformed


def _of_sites(sites: Sequence[Kept]) -> Iterator[Metric]:
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
    held = GaugeMetricFamily(
        "memfis_site_held_pages",
        "Pages that stay for a while although their files are not found, by reason.",
        labels=["site", "reason"],
    )
    until = GaugeMetricFamily(
        "memfis_site_held_until_timestamp_seconds",
        "When they go, unless their files come back.",
        labels=["site", "reason"],
    )
    for site in sites:
        name = site.site.name
        now_held = site.held
        for reason in REASONS:
            pages = now_held.pages if now_held is not None and now_held.why == reason else 0
            held.add_metric([name, reason], pages)
        if now_held is not None:
            until.add_metric([name, now_held.why], now_held.until)
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
    yield from (syncs, problems, held, until)
    yield from _of_rendering(sites)


_RENDERED = {
    "renders_total": "Pages rendered and stored.",
    "failures_total": "Renders that the origin failed.",
    "purged_total": "Rendered pages that were purged.",
    "asked_for_total": "Rendered pages that were found asked for: PHP requests saved, at least.",
}

_FIGURE = {"asked_for_total": "found_asked_for"}


def _of_rendering(sites: Sequence[Kept]) -> Iterator[Metric]:
    """Yield the figures of sites whose pages PHP makes; nothing where there is none."""
    statuses = [
        (site.site.name, status)
        for site in sites
        if (status := site.rendering_status()) is not None
    ]
    if not statuses:
        return
    pages = GaugeMetricFamily("memfis_rendered_pages", "Rendered pages in memory.", labels=["site"])
    waiting = GaugeMetricFamily("memfis_render_waiting", "Pages to be rendered.", labels=["site"])
    trouble = GaugeMetricFamily(
        "memfis_render_trouble",
        "Whether the origin failed, and did not answer since.",
        labels=["site"],
    )
    counters = {
        name: CounterMetricFamily(f"memfis_rendered_{name}", text, labels=["site"])
        for name, text in _RENDERED.items()
    }
    refusals = CounterMetricFamily(
        "memfis_render_refusals_total", "Pages not stored, by reason.", labels=["site", "reason"]
    )
    hints = CounterMetricFamily(
        "memfis_render_hints_total",
        "Hints of what PHP answered, by what became of them.",
        labels=["site", "outcome"],
    )
    answered = CounterMetricFamily(
        "memfis_php_answered_total", "Requests that PHP answered.", labels=["site"]
    )
    kept = CounterMetricFamily(
        "memfis_kept_from_memory_total",
        "Visitors of everybody's pages who went to PHP because of a cookie, or of the host.",
        labels=["site", "by"],
    )
    for name, status in statuses:
        answered.add_metric([name], status.visitors.answered)
        kept.add_metric([name, ANOTHER_HOST], status.visitors.elsewhere)
        for cookie, number in status.visitors.cookies.items():
            kept.add_metric([name, cookie], number)
        pages.add_metric([name], status.pages)
        waiting.add_metric([name], status.waiting)
        trouble.add_metric([name], status.trouble)
        for counted, family in counters.items():
            figure = getattr(status.figures, _FIGURE.get(counted, counted.removesuffix("_total")))
            family.add_metric([name], figure)
        for reason, number in status.figures.refusals.items():
            refusals.add_metric([name, reason], number)
        for outcome, number in status.figures.hints.items():
            hints.add_metric([name, outcome], number)
    yield from (pages, waiting, trouble, *counters.values(), refusals, hints)
    yield from (answered, kept)


def _of_stores(sites: Sequence[Kept | StoredSite]) -> Iterator[Metric]:
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


def _of_visitors(sites: Sequence[Site], first_levels: Mapping[str, FirstLevel]) -> Metric:
    answers = CounterMetricFamily(
        "memfis_visitors_total",
        "Visitors' requests, by what answered, and why it was not memory: nginx counts them.",
        labels=["site", "answer", "reason"],
    )
    for site in sites:
        first_level = first_levels.get(socket_of(site) or "")
        if first_level is None:
            continue
        got = first_level.sites.get(site.name, Answers())
        answers.add_metric([site.name, "hit", ""], got.hits)
        answers.add_metric([site.name, "not_modified", ""], got.not_modified)
        for reason, number in got.fallbacks.items():
            answers.add_metric([site.name, "fallback", reason], number)
    return answers


def _of_first_levels(first_levels: Mapping[str, FirstLevel]) -> Iterator[Metric]:
    labels = ["socket", "part"]
    size = GaugeMetricFamily(
        "memfis_first_level_bytes", "Memory of nginx's own for pages.", labels=labels
    )
    free = GaugeMetricFamily(
        "memfis_first_level_free_bytes", "What of it was not needed yet.", labels=labels
    )
    evicted = CounterMetricFamily(
        "memfis_first_level_evictions_total", "Pages that had to go for others.", labels=labels
    )
    for path, first_level in first_levels.items():
        for name, part in first_level.parts.items():
            size.add_metric([path, name], part.size)
            free.add_metric([path, name], part.free)
            evicted.add_metric([path, name], part.evicted)
    yield from (size, free, evicted)


def _of_fleet(fleet: Fleet) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "memfis_fleet_publishes",
        "Whether this host fills the store that several share.",
        value=fleet.publishes,
    )
    heard = GaugeMetricFamily(
        "memfis_fleet_host_up",
        "Whether another host that shares the store was heard of lately.",
        labels=["host"],
    )
    for host, is_here in fleet.hosts.items():
        heard.add_metric([host], is_here)
    yield heard


def metrics(
    sites: Callable[[], Sequence[Kept]],
    stored: Callable[[], Sequence[StoredSite]],
    malformed: Mapping[str, int],
    fleet: Fleet | None = None,
) -> Exposition:
    """Return what answers with the figures of `sites`; of `stored`, their stores'.

    `malformed`: datagrams that were no hints, by reason. `fleet`: the hosts that share the store.
    """
    collector = _Sites(sites, stored, malformed, fleet)
    return Exposition(collector, collector.ask_nginx)
