"""What a server counts and times, for Prometheus: `GET /metrics`.

Labels have few values: routes by their template, never by what was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

import mmsearch
from mmsearch import stages
from mmsearch.errors import MmsearchError

Stage = stages.Stage | Literal["search", "total"]

MEDIA_TYPE = CONTENT_TYPE_LATEST

# A warm query takes some milliseconds, one with a picture or a bulk write up to many seconds.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The figures of one application, in a registry of its own. For any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Is told each stage too; tracing makes spans of them.
        self.on_stage: Callable[[str, float], None] | None = None
        self._requests = Counter(
            "mmsearch_requests",
            "Requests that were answered.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "mmsearch_request_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "mmsearch_requests_in_flight", "Requests under way.", registry=self.registry
        )
        self._refused = Counter(
            "mmsearch_refused",
            "Requests that a guard refused, by its reason.",
            ("reason",),
            registry=self.registry,
        )
        self._stages = Histogram(
            "mmsearch_stage_seconds",
            "Stages of queries: encode and hydrate are parts of search; total with waiting.",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "mmsearch_batch_queries",
            "Queries that were answered together.",
            buckets=_SIZES,
            registry=self.registry,
        )
        self._lookups = Counter(
            "mmsearch_cache_lookups",
            "Of the cache of queries.",
            ("result",),
            registry=self.registry,
        )
        self._lag = Gauge(
            "mmsearch_index_lag",
            "Changes of the catalog that the index in memory has not replayed; NaN: none is there.",
            registry=self.registry,
        )
        self._lag.set(math.nan)
        Info("mmsearch_build", "The version that runs.", registry=self.registry).info(
            {"version": mmsearch.__version__}
        )
        ProcessCollector(registry=self.registry)

    def observe_stage(self, stage: Stage, seconds: float) -> None:
        """One stage of one query, or of one batch of them."""
        self._stages.labels(stage).observe(seconds)
        if self.on_stage is not None:
            self.on_stage(stage, seconds)

    def observe_batch(self, size: int) -> None:
        """So many queries were answered together."""
        self._batches.observe(size)

    def cache(self, hit: bool) -> None:
        """A look into the cache of queries."""
        self._lookups.labels("hit" if hit else "miss").inc()

    def watch_index_lag(self, behind: Callable[[], int | None]) -> None:
        """`behind()`, asked by each `render`: how many changes the index in memory is behind the
        catalog, None where there is no index. What it raises of ours is no figure either."""

        def sample() -> float:
            try:
                changes = behind()
            except MmsearchError:
                changes = None
            return math.nan if changes is None else changes

        self._lag.set_function(sample)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request that was answered; `route` is a template such as /v1/items/{key}."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """A request that a guard refused; `reason` is one of a few words."""
        self._refused.labels(reason).inc()

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """A request is under way."""
        with self._in_flight.track_inprogress():
            yield

    def render(self) -> bytes:
        """All of it, in Prometheus' text format. Blocks: the catalog is read for the lag."""
        return generate_latest(self.registry)
