"""A node at one moment: its counters and what they stand beside, immutable."""

from __future__ import annotations

from attrs import frozen

from trio_wss.ops.statistics import Counters, Durations, Incident


@frozen(kw_only=True)
class Snapshot(Counters):
    """What one node has counted since it started, and how it is now. Times are in seconds."""

    node: str
    url: str
    started: float  # since 1970
    uptime: float
    cpu: float  # time used by the process
    unready: str  # why no client should come; empty: it is ready
    connections: int
    sockets: int  # accepted ones, those that never finish a handshake included
    topics: int
    link_up: bool
    unanswered: int  # commands that wait for Redis
    silence: float  # since a word from the cluster came, the node's own included
    events: tuple[tuple[str, str, int], ...]  # name, outcome, how many
    commits: Durations
    delivery: Durations
    lag: Durations
    outbox_bytes: int
    outbox_most: int
    faults: tuple[Incident, ...]

    def events_that(self, *outcomes: str) -> int:
        """How many events came out like that; without outcomes: how many there were."""
        return sum(number for _, one, number in self.events if not outcomes or one in outcomes)
