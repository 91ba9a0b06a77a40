"""A node's report on its last second, from two snapshots: for other nodes and operators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import fields, frozen

from trio_wss.ops.snapshot import Snapshot
from trio_wss.ops.statistics import Counters, Durations, Incident

TOP: Final = 20  # topics, and events, that a report names


@frozen
class TopicRates:
    """A topic as one node sees it: its members there, and its broadcasts a second."""

    topic: str
    members: int
    rate: float


@frozen
class EventRates:
    """An event on one node: its number a second, and how many of these were not applied."""

    event: str
    rate: float
    failed: float


@frozen
class Times:
    """The median and the 99th percentile of some durations, in milliseconds. None: no durations."""

    p50: float | None
    p99: float | None


@frozen(kw_only=True)
class Rates(Counters):
    """A node's condition. Rates are per second, over the last second; counts are since its start.
    Each inherited counter is reported as one or the other, as its declaration says.
    """

    node: str
    url: str
    ops: str  # the URL of its operations listener; empty: it has none
    time: float  # seconds since 1970
    uptime: float
    unready: str
    cpu: float  # share of one core
    lag: float  # the longest that the event loop was late, in milliseconds
    connections: int
    topics: int
    link_up: bool
    unanswered: int
    silence: float
    rate: float  # events
    failed: float  # events that were not applied
    commits: Times
    delivery: Times
    conflicts: int
    outbox_bytes: int
    outbox_most: int
    top_topics: tuple[TopicRates, ...]
    top_events: tuple[EventRates, ...]
    faults: tuple[Incident, ...]


def rates_between(
    before: Snapshot, now: Snapshot, *, ops: str, lag: float, topics: tuple[TopicRates, ...]
) -> Rates:
    """Return what happened between two snapshots of a node."""
    seconds = max(now.uptime - before.uptime, 0.001)

    def rate(this: float, then: float) -> float:
        return round((this - then) / seconds, 2)

    events = events_between(before, now, seconds)
    old, new = before.counted(), now.counted()
    return Rates(
        node=now.node,
        url=now.url,
        ops=ops,
        time=round(now.started + now.uptime, 3),
        uptime=round(now.uptime, 1),
        unready=now.unready,
        cpu=rate(now.cpu, before.cpu),
        lag=round(lag * 1000, 2),
        connections=now.connections,
        topics=now.topics,
        link_up=now.link_up,
        unanswered=now.unanswered,
        silence=round(now.silence, 1),
        rate=rate(now.events_that(), before.events_that()),
        failed=round(sum(one.failed for one in events), 2),
        commits=_times(now.commits.since(before.commits)),
        delivery=_times(now.delivery.since(before.delivery)),
        conflicts=now.events_that("conflict"),
        outbox_bytes=now.outbox_bytes,
        outbox_most=now.outbox_most,
        top_topics=topics,
        top_events=tuple(events[:TOP]),
        faults=now.faults,
        **{
            one.name: rate(new[one.name], old[one.name]) if one.metadata["rate"] else new[one.name]
            for one in fields(Counters)
        },
    )


def events_between(before: Snapshot, now: Snapshot, seconds: float) -> list[EventRates]:
    """Return the events that happened, the most frequent first."""
    then = {(event, outcome): number for event, outcome, number in before.events}
    all_, failed = dict[str, float](), dict[str, float]()
    for event, outcome, number in now.events:
        rate = (number - then.get((event, outcome), 0)) / seconds
        all_[event] = all_.get(event, 0.0) + rate
        failed[event] = failed.get(event, 0.0) + (0.0 if outcome == "ok" else rate)
    busy = sorted(all_, key=lambda event: -all_[event])
    return [
        EventRates(event, round(all_[event], 2), round(failed[event], 2))
        for event in busy
        if all_[event]
    ]


def top_topics(topics: Iterable[tuple[str, int, float]]) -> tuple[TopicRates, ...]:
    """Return the largest and the busiest of `topics`, each given by name, members and rate."""
    found = [TopicRates(name, members, round(rate, 2)) for name, members, rate in topics]
    largest = sorted(found, key=lambda one: (-one.members, -one.rate))[: TOP // 2]
    busiest = sorted(found, key=lambda one: (-one.rate, -one.members))
    chosen = list(dict.fromkeys([*largest, *busiest[:TOP]]))[:TOP]
    return tuple(sorted(chosen, key=lambda one: (-one.rate, -one.members)))


def _times(durations: Durations) -> Times:
    return Times(*(_milliseconds(durations.quantile(share)) for share in (0.5, 0.99)))


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
