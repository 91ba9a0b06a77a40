"""A node's numbers in the format of Prometheus, made from a snapshot on request: no event passes
through here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import accumulate
from typing import final

from attrs import fields
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from trio_wss.ops.snapshot import Snapshot
from trio_wss.ops.statistics import BOUNDS, Counters, Durations

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One node's page of metrics."""

    def __init__(self, take_snapshot: Callable[[], Snapshot]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_NodeCollector(take_snapshot))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def page(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self._registry)


@final
class _NodeCollector(Collector):
    def __init__(self, take_snapshot: Callable[[], Snapshot]) -> None:
        self._take_snapshot = take_snapshot

    def describe(self) -> Iterator[Metric]:
        """Describe nothing, so that registering does not collect."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        found = self._take_snapshot()
        yield InfoMetricFamily(
            "trio_wss_node",
            "The node, and the version that it runs.",
            {"node": found.node, "url": found.url, "version": version("trio-wss")},
        )
        yield from _gauges(found)
        yield from _counters(found)
        yield _histogram("commit", "From an event's commit to its answer.", found.commits)
        yield _histogram(
            "delivery", "From a read of the link to the last write that it caused.", found.delivery
        )
        yield _histogram("loop_lag", "How late the event loop is.", found.lag)


def _gauges(found: Snapshot) -> Iterator[Metric]:
    ready = float(not found.unready)
    for name, text, value in (
        ("ready", "1 if the node takes clients.", ready),
        ("connections", "Open connections.", found.connections),
        ("sockets", "Accepted sockets, handshakes and plain HTTP included.", found.sockets),
        ("topics", "Topics that somebody on this node is in.", found.topics),
        ("link_up", "1 if the node is linked to Redis.", float(found.link_up)),
        ("link_unanswered", "Commands that wait for Redis.", found.unanswered),
        ("silence_seconds", "Since the node heard the cluster, itself included.", found.silence),
        ("outbox_bytes", "What waits for all clients.", found.outbox_bytes),
        ("outbox_bytes_most", "What waits for the client that is furthest behind.",
         found.outbox_most),
    ):  # fmt: skip
        yield GaugeMetricFamily(f"trio_wss_{name}", text, value)


def _counters(found: Snapshot) -> Iterator[Metric]:
    events = CounterMetricFamily(
        "trio_wss_events", "Events, by what came of them.", labels=("event", "outcome")
    )
    for event, outcome, number in found.events:
        events.add_metric((event, outcome), number)
    yield events
    recoveries = CounterMetricFamily(
        "trio_wss_recoveries",
        "Memberships that went on: complete, or with history lost (broken).",
        labels=("result",),
    )
    recoveries.add_metric(("complete",), found.recovered)
    recoveries.add_metric(("broken",), found.broken)
    yield recoveries
    yield CounterMetricFamily(
        "trio_wss_conflicts",
        "Events that gave up, since others kept changing what they read.",
        found.events_that("conflict"),
    )
    for one in fields(Counters):
        if one.metadata["own"]:
            name, text = f"trio_wss_{one.name}", one.metadata["text"]
            yield CounterMetricFamily(name, text, getattr(found, one.name))


def _histogram(name: str, text: str, found: Durations) -> Metric:
    bounds = [*map(str, BOUNDS), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(found.counts)), strict=True))
    return HistogramMetricFamily(
        f"trio_wss_{name}_seconds", text, buckets=buckets, sum_value=found.seconds
    )
