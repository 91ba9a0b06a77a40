"""trio_wss/ops/rates.py: what happened between two snapshots of a node."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fakes import node_snapshot
from trio_wss.ops.rates import TOP, EventRates, Rates, events_between, rates_between, top_topics
from trio_wss.ops.snapshot import Snapshot
from trio_wss.ops.statistics import BOUNDS, Durations, Incident


def load(before: Snapshot, now: Snapshot) -> Rates:
    return rates_between(before, now, ops="", lag=0.0, topics=())


@pytest.mark.parametrize("name", ["cpu", "broadcasts", "deliveries", "reruns"])
def test_what_grows_is_told_per_second(name: str) -> None:
    before = node_snapshot(uptime=10.0, **{name: 5})
    now = node_snapshot(uptime=12.0, **{name: 8})
    assert getattr(load(before, now), name) == 1.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("node", "n1"), ("url", "ws://a"), ("unready", "Redis is away"), ("connections", 3),
        ("topics", 4), ("link_up", False), ("unanswered", 5), ("slow_consumers", 6),
        ("recovered", 7), ("broken", 8), ("gaps", 9), ("link_losses", 10), ("outbox_bytes", 11),
        ("outbox_most", 12), ("faults", (Incident(1.0, "gap", "one"),)), ("silence", 0.5),
    ],
)  # fmt: skip
def test_what_is_so_now_is_told_as_it_is(name: str, value: Any) -> None:
    before = node_snapshot(uptime=10.0)
    now = node_snapshot(uptime=11.0, **{name: value})
    assert getattr(load(before, now), name) == value


def test_it_says_when_it_was_and_what_it_was_given() -> None:
    before, now = node_snapshot(started=100.0), node_snapshot(started=100.0, uptime=7.26)
    topics = top_topics([("room", 1, 1.0)])
    found = rates_between(before, now, ops="http://a", lag=0.0123, topics=topics)
    assert (found.time, found.uptime, found.lag) == (107.26, 7.3, 12.3)
    assert (found.ops, found.top_topics) == ("http://a", topics)


def test_events_are_told_by_name_with_those_that_failed() -> None:
    before = node_snapshot(uptime=10.0, events=(("say", "ok", 10),))
    events = (("say", "ok", 30), ("say", "refused", 4), ("no", "conflict", 2))
    found = load(before, node_snapshot(uptime=12.0, events=events))
    assert (found.rate, found.failed, found.conflicts) == (13.0, 3.0, 2)
    assert found.top_events == (EventRates("say", 12.0, 2.0), EventRates("no", 1.0, 1.0))


def test_the_most_frequent_events_come_first_and_only_so_many_are_named() -> None:
    events = tuple((f"event {n}", "ok", n + 1) for n in range(2 * TOP))
    found = load(node_snapshot(), node_snapshot(uptime=1.0, events=events))
    assert [one.event for one in found.top_events] == [
        f"event {n}" for n in range(2 * TOP - 1, TOP - 1, -1)
    ]


def test_an_event_that_did_not_happen_is_not_named() -> None:
    still = node_snapshot(events=(("say", "ok", 10),))
    assert events_between(still, still, 1.0) == []


def test_times_are_those_of_the_last_second_in_milliseconds() -> None:
    fast = Durations((50, *(0,) * len(BOUNDS)), 0.01)
    slow = Durations((50, *(0,) * 4, 10, *(0,) * (len(BOUNDS) - 5)), 0.2)
    found = load(node_snapshot(commits=fast), node_snapshot(uptime=1.0, commits=slow))
    assert found.commits.p50 is not None
    assert found.commits.p99 is not None
    assert 10 < found.commits.p50 < found.commits.p99 <= 25
    assert (found.delivery.p50, found.delivery.p99) == (None, None)


def test_two_snapshots_of_one_moment_divide_by_nothing() -> None:
    assert load(node_snapshot(), node_snapshot(deliveries=1)).deliveries == 1000


def test_the_top_topics_are_the_largest_and_the_busiest() -> None:
    large = [(f"large {n}", 1000 + n, 0.0) for n in range(30)]
    busy = [(f"busy {n}", 1, 1.0 + n) for n in range(30)]
    found = [one.topic for one in top_topics([*large, *busy])]
    assert len(found) == TOP
    assert found[:3] == ["busy 29", "busy 28", "busy 27"]
    assert "large 29" in found
