"""A node at one moment: its counters and its condition, immutable."""

from __future__ import annotations

from attrs import frozen

from trio_wss.ops.statistics import Counters, Durations, Incident


@frozen(kw_only=True)
class Snapshot(Counters):
    """One node's counts since it started, and its condition now. Times are in seconds."""

    node: str
    url: str
    started: float  # since 1970
    uptime: float
    cpu: float  # time used by the process
    unready: str  # why no client should come; empty: the node is ready
    connections: int
    sockets: int  # accepted sockets, including those that never finish a handshake
    topics: int
    link_up: bool
    unanswered: int  # commands that wait for Redis
    silence: float  # since the last report from any node, including this one
    events: tuple[tuple[str, str, int], ...]  # name, outcome, number
    commits: Durations
    delivery: Durations
    lag: Durations
    outbox_bytes: int
    outbox_most: int
    faults: tuple[Incident, ...]

    def events_that(self, *outcomes: str) -> int:
        """Return how many events had one of these outcomes; with none given, the number of all."""
        return sum(number for _, one, number in self.events if not outcomes or one in outcomes)
