"""A node's counters: plain numbers that only grow, cheap enough for every event and every push.
Rates and percentiles come from the comparison of two snapshots.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict, deque
from typing import Final, Protocol

import trio
from attrs import define, field, fields, frozen

from trio_wss.store.outcome import (
    Changed,
    CommitOutcome,
    Done,
    Failed,
    Fenced,
    Gone,
    Stale,
    Unknown,
)

BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the buckets of every histogram, in seconds; one more bucket has no bound."""

UNKNOWN_EVENT: Final = "unknown"  # the name under which events unknown to the app are counted
INCIDENTS: Final = 20  # the latest ones, which are remembered
LAG_EVERY: Final = 0.05  # seconds between two looks at how late the event loop is

_REFUSALS: Final = {
    code: code for code in ("invalid", "unknown_event", "conflict", "rate_limited", "internal")
}
_OUTCOMES: Final[dict[type[CommitOutcome], str]] = {
    Failed: "internal",
    Stale: "stale",
    Unknown: "unavailable",
    Fenced: "moved",
    Gone: "moved",
}


class Counted(Protocol):
    """The counted parts of a decision: the event's name, and the code of its refusal, if any."""

    event: str
    refusal: str


class Histogram:
    """Counts durations by bucket, and their sum."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def snapshot(self) -> Durations:
        """Return the counts as they are now."""
        return Durations(tuple(self.counts), self.seconds)


@frozen
class Durations:
    """A histogram at one moment: the number in each bucket, and the sum of all in seconds."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    seconds: float = 0.0

    def since(self, before: Durations) -> Durations:
        """Return the durations that came after an earlier moment."""
        pairs = zip(self.counts, before.counts, strict=True)
        return Durations(tuple(now - then for now, then in pairs), self.seconds - before.seconds)

    def quantile(self, share: float) -> float | None:
        """Return the time, in seconds, within which this share of them was done, interpolated in
        its bucket. A duration over the largest bound counts as the bound. None: no durations.
        """
        wanted = share * sum(self.counts)
        if not wanted:
            return None
        seen, low = 0, 0.0
        for count, high in zip(self.counts, (*BOUNDS, BOUNDS[-1]), strict=True):
            if count and seen + count >= wanted:
                return low + (high - low) * (wanted - seen) / count
            seen, low = seen + count, high
        return BOUNDS[-1]


@frozen
class Incident:
    """A fault that an operator wants to see, or a change of the node's state."""

    time: float  # seconds since 1970
    kind: str
    text: str


def _counter(text: str, *, rate: bool = False, own: bool = True) -> int:
    """Declare a counter. `text` describes it to Prometheus, if it has a metric of its `own`.
    `rate`: reports tell its growth per second, not its value.
    """
    found: int = field(default=0, metadata={"text": text, "rate": rate, "own": own})
    return found


@define(eq=False)
class Counters:
    """The counters, each declared only here: snapshots, rates and metrics are derived from them."""

    broadcasts: float = _counter("Broadcasts that this node heard.", rate=True)
    deliveries: float = _counter("Broadcasts given to a client.", rate=True)
    reruns: float = _counter("Handlers run again, since what they had read had changed.", rate=True)
    slow_consumers: float = _counter("Clients closed with 1013, since they read too slowly.")
    recovered: float = _counter("Memberships that went on, complete.", own=False)
    broken: float = _counter("Memberships that went on, with history lost.", own=False)
    gaps: float = _counter("Topics that had to be filled from their streams.")
    link_losses: float = _counter("How often Redis went away.")

    def counted(self) -> dict[str, float]:
        """Return all counters, by name."""
        return {one.name: getattr(self, one.name) for one in fields(Counters)}


class Statistics(Counters):
    """The counters, histograms and incidents of one node."""

    def __init__(self) -> None:
        super().__init__()
        self.events: defaultdict[tuple[str, str], int] = defaultdict(int)  # by name and outcome
        self.commits = Histogram()  # from the sending of an event's commit to its answer
        self.delivery = Histogram()  # from a read of the link to the last write that it caused
        self.lag = Histogram()  # of the event loop
        self.worst_lag = 0.0  # since it was last taken
        self.faults: deque[Incident] = deque(maxlen=INCIDENTS)

    def committed(self, decision: Counted, outcome: CommitOutcome, seconds: float) -> None:
        """Count an event by the outcome of its commit, which took `seconds`."""
        commits = self.commits
        commits.counts[bisect_left(BOUNDS, seconds)] += 1  # observe(), without the call
        commits.seconds += seconds
        kind = type(outcome)
        if kind is Done:
            self.decided(decision)
        elif kind is Changed:
            self.reruns += 1
        else:
            self.events[decision.event, _OUTCOMES[kind]] += 1

    def decided(self, decision: Counted) -> None:
        """Count an event by its decision, which was applied or needed no commit."""
        refusal = decision.refusal
        outcome = _REFUSALS.get(refusal, "refused") if refusal else "ok"
        self.events[decision.event, outcome] += 1

    def count(self, event: str, outcome: str) -> None:
        """Count an event that had no commit."""
        self.events[event, outcome] += 1

    def fault(self, kind: str, text: str) -> None:
        """Remember an incident for operators."""
        self.faults.append(Incident(time.time(), kind, text))

    def take_worst_lag(self) -> float:
        """Return the longest lag of the event loop since the last call, in seconds."""
        worst, self.worst_lag = self.worst_lag, 0.0
        return worst

    async def measure_lag(self) -> None:
        """Measure the lag of the event loop, for ever: the time by which a sleep is too long."""
        while True:
            due = trio.current_time() + LAG_EVERY
            await trio.sleep_until(due)
            late = trio.current_time() - due
            self.lag.observe(late)
            self.worst_lag = max(self.worst_lag, late)
