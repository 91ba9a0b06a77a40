"""A node at one moment: its counters and what they stand beside, immutable."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from attrs import frozen

from trio_wss.ops.statistics import Durations, Fault

if TYPE_CHECKING:
    from trio_wss.node.node import Node

NODES: Final = "wss.nodes"
"""The topic on which every node tells how it is. No app can use a name that begins like that."""

DEAF: Final = 5.0  # seconds without a word on it, the node's own included, with the link up


@frozen(kw_only=True)
class Snapshot:
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
    broadcasts: int
    deliveries: int
    reruns: int
    slow_consumers: int
    recovered: int
    broken: int
    gaps: int
    link_losses: int
    outbox_bytes: int
    outbox_most: int
    faults: tuple[Fault, ...]

    def events_that(self, *outcomes: str) -> int:
        """How many events came out like that; without outcomes: how many there were."""
        return sum(number for _, one, number in self.events if not outcomes or one in outcomes)


def take_snapshot(node: Node) -> Snapshot:
    """The node as it is now."""
    statistics, link = node.statistics, node.link
    sizes = [connection.socket.outbox.size for connection in node.connections]
    return Snapshot(
        node=node.id,
        url=node.url,
        started=node.started,
        uptime=node.uptime,
        cpu=time.process_time(),
        unready=node.unready(),
        connections=len(node.connections),
        sockets=node.entrance.sockets,
        topics=node.hub.size,
        link_up=link.up,
        unanswered=link.unanswered,
        silence=node.pulse.silence,
        events=tuple((event, out, n) for (event, out), n in statistics.events.items() if event),
        commits=statistics.commits.snapshot(),
        delivery=statistics.delivery.snapshot(),
        lag=statistics.lag.snapshot(),
        broadcasts=statistics.broadcasts,
        deliveries=statistics.deliveries,
        reruns=statistics.reruns,
        slow_consumers=statistics.slow_consumers,
        recovered=statistics.recovered,
        broken=statistics.broken,
        gaps=node.hub.gaps,
        link_losses=statistics.link_losses,
        outbox_bytes=sum(sizes),
        outbox_most=max(sizes, default=0),
        faults=tuple(statistics.faults),
    )
