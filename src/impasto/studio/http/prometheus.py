"""Figures for Prometheus: of requests as they come, of the queue when it is asked."""

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

from impasto.studio.queue.rows import ENDED
from impasto.studio.workers.supervisor import resident_bytes

if TYPE_CHECKING:
    from impasto.studio.studio import Studio

STATES = ("queued", "running", *ENDED)
METHODS = ("GET", "HEAD", "POST", "DELETE")


class Metrics:
    """Of one server."""

    def __init__(self, studio: Studio) -> None:
        """Nothing has been seen yet."""
        self._registry = CollectorRegistry()
        self._registry.register(_OfQueue(studio))
        self._requests = Counter(
            "impasto_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "impasto_http_request_seconds",
            "From a request to the end of its answer; streams of events are left out.",
            ("route",),
            registry=self._registry,
        )

    def see(self, scope: Scope, status: int, seconds: float) -> None:
        """Note a request that has been answered."""
        # As it is declared: an address of a client's choosing would be a series of its own.
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._requests.labels(method, route, status).inc()
        if not route.endswith("/events"):
            self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """In Prometheus's format."""
        return generate_latest(self._registry)


class _OfQueue(Collector):
    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def describe(self) -> list[Metric]:
        """Nothing beforehand, for the queue may not be open yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What holds now, and what has been counted since the data folder was made."""
        studio = self._studio
        states, totals = studio.queue.states(), studio.queue.totals()
        jobs = GaugeMetricFamily("impasto_jobs", "Jobs that are kept, by state.", labels=["state"])
        for state in STATES:
            jobs.add_metric([state], states.get(state, 0))
        yield jobs
        ended = CounterMetricFamily("impasto_jobs_ended", "Jobs ended.", labels=["state"])
        for state in ENDED:
            ended.add_metric([state], totals.get(state, 0))
        yield ended
        for name, what, key in (
            ("impasto_jobs_accepted", "Jobs accepted.", "accepted"),
            ("impasto_job_seconds", "Seconds that ended jobs have worked.", "seconds"),
            ("impasto_workers_lost", "Workers that died.", "workers_lost"),
        ):
            yield CounterMetricFamily(name, what, totals.get(key, 0))
        oldest = studio.queue.oldest_waiting()
        free = shutil.disk_usage(studio.folder.path).free
        memory = sum(map(resident_bytes, studio.supervisor.processes()))
        for name, what, value in (
            ("impasto_workers", "Workers alive.", studio.supervisor.alive()),
            ("impasto_workers_resident_bytes", "Memory of the workers.", memory),
            ("impasto_queue_limit", "Jobs that may wait.", studio.settings.max_queue),
            (
                "impasto_queue_oldest_seconds",
                "Since the job at the head of the queue came.",
                0.0 if oldest is None else time.time() - oldest,
            ),
            ("impasto_disk_free_bytes", "Where the data folder is.", free),
        ):
            yield GaugeMetricFamily(name, what, value)
