"""The gateway's figures for Prometheus."""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from memfis.gateway.figures import BOUNDS
from memfis.gateway.items import Items


class Collected(Collector):
    """What `items` counted."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def collect(self) -> Iterable[Metric]:
        """Return the figures as they are now."""
        yield from self._counters()
        yield from self._gauges()
        yield self._latency()

    def _counters(self) -> Iterator[Metric]:
        figures = self._items.figures
        hits = CounterMetricFamily(
            "memfis_gateway_hits",
            "Items asked for and found, by where: hot, revalidated, stale (an error), backend.",
            labels=["tier"],
        )
        for tier in ("hot", "revalidated", "stale", "backend"):
            hits.add_metric([tier], getattr(figures, f"hits_{tier}"))
        yield hits
        commands = CounterMetricFamily(
            "memfis_gateway_commands", "Commands, as memcached counts them.", labels=["command"]
        )
        for command, number in figures.commands.items():
            commands.add_metric([command], number)
        yield commands
        errors = CounterMetricFamily(
            "memfis_gateway_errors", "Answers SERVER_ERROR, by kind.", labels=["kind"]
        )
        for kind in ("timeout", "unavailable", "forbidden", "refused", "busy", "other"):
            errors.add_metric([kind], figures.errors[kind])
        yield errors
        for name, number, text in (
            ("misses", figures.misses, "Items asked for that are certainly not there."),
            ("breaker_opened", self._items.guard.breaker.opened, "Times Couchbase went away."),
            (
                "patient_breaker_opened",
                self._items.guard.patient_breaker.opened,
                "Times it did so for syncs and mounts.",
            ),
            ("breaker_rejected", figures.rejected_by_breaker, "Questions not asked meanwhile."),
            ("hot_evictions", self._items.hot.evictions, "Pages that had to go for others."),
            ("connections_rejected", figures.rejected_connections, "Over max_connections."),
            ("slow_clients", figures.slow_clients, "Connections closed: the client hung."),
            ("received_bytes", figures.bytes_read, "Bytes from clients."),
            ("sent_bytes", figures.bytes_written, "Bytes to clients."),
        ):
            family = CounterMetricFamily(f"memfis_gateway_{name}", text)
            family.add_metric([], number)
            yield family

    def _gauges(self) -> Iterator[Metric]:
        items = self._items
        for name, number, text in (
            ("breaker_open", items.guard.breaker.is_open, "1 while visitors do not ask Couchbase."),
            (
                "patient_breaker_open",
                items.guard.patient_breaker.is_open,
                "1 while syncs and mounts do not.",
            ),
            ("connections", items.figures.connections, "Open connections."),
            ("hot_items", len(items.hot), "Pages in the hot cache."),
            ("hot_bytes", items.hot.bytes, "Bytes that they take."),
            ("hot_limit_bytes", items.settings.hot_bytes, "Bytes that they may take."),
            ("outgoing_bytes", items.loans.budget.used, "Bytes on their way to clients."),
            ("outgoing_limit_bytes", items.loans.budget.limit, "Bytes that may be."),
            ("incoming_bytes", items.incoming.used, "Bytes kept of what clients send."),
            ("incoming_limit_bytes", items.incoming.limit, "Bytes that may be."),
        ):
            family = GaugeMetricFamily(f"memfis_gateway_{name}", text)
            family.add_metric([], float(number))
            yield family

    def _latency(self) -> Metric:
        family = HistogramMetricFamily(
            "memfis_gateway_couchbase_seconds",
            "Time until Couchbase answered, by operation.",
            labels=["operation"],
        )
        for operation, latency in self._items.figures.latencies.items():
            total = 0
            buckets: list[tuple[str, float]] = []
            for bound, number in zip((*BOUNDS, None), latency.counts, strict=True):
                total += number
                buckets.append(("+Inf" if bound is None else str(bound), total))
            family.add_metric([operation], buckets, latency.sum)
        return family
