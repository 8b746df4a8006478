"""Count requests for Prometheus, and read the queue when it scrapes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from impasto.studio.queue.job_rows import ENDED, STATES
from impasto.studio.workers.supervisor import measure_memory

if TYPE_CHECKING:
    from impasto.studio.studio import Studio

METHODS = ("GET", "HEAD", "POST", "DELETE")


class StudioMetrics:
    """Metrics of one server."""

    def __init__(self, studio: Studio) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_QueueCollector(studio))
        self._requests = Counter(
            "impasto_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "impasto_http_request_seconds",
            "Time from a request to the end of its answer, without event streams.",
            ("route",),
            registry=self._registry,
        )

    def count_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        # The declared path: an address that a client chooses would become a series of its own.
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._requests.labels(method, route, status).inc()
        if not route.endswith("/events"):
            self._seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """Return the metrics in Prometheus's format."""
        return generate_latest(self._registry)


class _QueueCollector(Collector):
    """Reads the state of the queue when Prometheus asks for it."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def describe(self) -> list[Metric]:
        """Return nothing, because the queue may not be open yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the present state, and the totals since the data folder was made."""
        studio = self._studio
        states, totals = studio.queue.count_states(), studio.queue.read_totals()
        jobs = GaugeMetricFamily("impasto_jobs", "Jobs by state.", labels=["state"])
        for state in STATES:
            jobs.add_metric([state], states.get(state, 0))
        yield jobs
        ended = CounterMetricFamily("impasto_jobs_ended", "Jobs that have ended.", labels=["state"])
        for state in ENDED:
            ended.add_metric([state], totals.get(state, 0))
        yield ended
        for name, what, key in (
            ("impasto_jobs_accepted", "Jobs that were accepted.", "accepted"),
            ("impasto_job_seconds", "Working time of ended jobs.", "seconds"),
            ("impasto_workers_lost", "Workers that died.", "workers_lost"),
        ):
            yield CounterMetricFamily(name, what, totals.get(key, 0))
        oldest = studio.queue.read_oldest_waiting()
        free = shutil.disk_usage(studio.folder.path).free
        memory = sum(map(measure_memory, studio.supervisor.list_processes()))
        for name, what, value in (
            ("impasto_workers", "Workers that are alive.", studio.supervisor.count_alive()),
            ("impasto_workers_resident_bytes", "Resident memory of the workers.", memory),
            ("impasto_queue_limit", "Jobs that may wait.", studio.settings.max_queue),
            (
                "impasto_queue_oldest_seconds",
                "Age of the oldest waiting job.",
                0.0 if oldest is None else time.time() - oldest,
            ),
            ("impasto_disk_free_bytes", "Free space on the disk of the data folder.", free),
        ):
            yield GaugeMetricFamily(name, what, value)
