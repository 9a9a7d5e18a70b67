"""What the gateway counts."""

import os
import resource
import time
from bisect import bisect_left
from collections import Counter

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5)
"""Upper bounds in seconds of the latency histogram."""


class Latency:
    """How long answers took: how many up to each of BOUNDS, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float, number: int = 1) -> None:
        """Count `number` answers that took `seconds`."""
        self.counts[bisect_left(BOUNDS, seconds)] += number
        self.sum += seconds * number


class Figures:
    """Counters since the start, and what is so just now."""

    def __init__(self) -> None:
        self.started = time.time()
        self.hits_hot = 0
        """Fresh in the hot cache."""
        self.hits_revalidated = 0
        """In the hot cache, and asked for anew in the background."""
        self.hits_stale = 0
        """Old, because Couchbase could not be asked (`stale_if_error`)."""
        self.hits_backend = 0
        self.misses = 0
        self.briefs = 0
        """Answers without a value for which the database was only asked for the version."""
        self.commands: Counter[str] = Counter()
        """By the names that memcached counts them under: get, set, touch, flush, meta."""
        self.done: Counter[str] = Counter()
        """By memcached's names: delete_hits, cas_badval …"""
        self.errors: Counter[str] = Counter()
        """Answers SERVER_ERROR, by kind."""
        self.rejected_by_breaker = 0
        self.connections = 0
        self.total_connections = 0
        self.rejected_connections = 0
        self.slow_clients = 0
        """Connections closed because they did not send or read on."""
        self.bytes_read = 0
        self.bytes_written = 0
        self.latencies: dict[str, Latency] = {}

    @property
    def hits(self) -> int:
        """Items asked for and found, wherever."""
        return self.hits_hot + self.hits_revalidated + self.hits_stale + self.hits_backend

    def took(self, operation: str, seconds: float, number: int) -> None:
        """Count `number` answers of the database to `operation`."""
        latency = self.latencies.get(operation)
        if latency is None:
            latency = self.latencies[operation] = Latency()
        latency.add(seconds, number)

    def process(self) -> dict[str, object]:
        """Return the figures of the process, by memcached's names."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "pid": os.getpid(),
            "uptime": int(time.time() - self.started),
            "time": int(time.time()),
            "rusage_user": f"{used.ru_utime:.6f}",
            "rusage_system": f"{used.ru_stime:.6f}",
        }
