"""The heartbeat: once a second a node reports its condition to all nodes, through Redis like any
broadcast, and hears the others and itself. A node that does not hear itself is deaf, whatever else
works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest
from typing import Final, NoReturn, Protocol

import trio
from attrs import frozen

from trio_wss.commit.plan import RESERVED
from trio_wss.data.json import encode
from trio_wss.ops.rates import TOP, Rates, TopicRates, rates_between, top_topics
from trio_wss.ops.snapshot import Snapshot
from trio_wss.ops.statistics import Statistics

NODES: Final = f"{RESERVED}nodes"
"""The topic on which every node reports its condition. No app can use a name with this prefix."""

BEAT: Final = 1.0  # seconds
DEAF: Final = 5.0  # seconds without a report from any node, this one included, with the link up


@frozen
class Heard:
    """The broadcasts that a node has heard: the number of reports from nodes, and for each other
    topic its name, its members here and its number of broadcasts.
    """

    nodes: int
    topics: Sequence[tuple[str, int, int]]


class Peers(Protocol):
    """All nodes, as one node sends to them and hears them."""

    def tell(self, text: bytes) -> None:
        """Send a text to all nodes, or at least to the watchers on this one."""

    def take_heard(self) -> Heard:
        """Return what was heard since the last call."""

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Return each topic that is followed, and its number of members here."""


class Heartbeat:
    """The heartbeat of one node. `last` is its last report."""

    def __init__(self, statistics: Statistics) -> None:
        self.last: Rates | None = None
        self._statistics = statistics
        self._heard = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since the last report from any node came."""
        return time.monotonic() - self._heard

    async def run(
        self, peers: Peers, take_snapshot: Callable[[], Snapshot], ops_url: str
    ) -> NoReturn:
        """Report and listen, for ever. `ops_url`: the URL of this node's operations listener, or
        empty.
        """
        self._statistics.fault("node", "started")
        before = take_snapshot()
        while True:
            await trio.sleep(BEAT)
            heard = peers.take_heard()
            self._count(heard)
            now = take_snapshot()
            topics = _top(peers, heard, now.uptime - before.uptime)
            lag = self._statistics.take_worst_lag()
            self.last = rates_between(before, now, ops=ops_url, lag=lag, topics=topics)
            peers.tell(_word(self.last))
            _notice(self._statistics.fault, before, now)
            before = now

    def _count(self, heard: Heard) -> None:
        if heard.nodes:
            self._heard = time.monotonic()
        for _, members, number in heard.topics:
            self._statistics.broadcasts += number
            self._statistics.deliveries += number * members


def _word(rates: Rates) -> bytes:
    return b'{"event":"wss.node","topic":"%b","data":%b}' % (NODES.encode(), encode(rates))


def _top(peers: Peers, heard: Heard, seconds: float) -> tuple[TopicRates, ...]:
    """Return the largest and the busiest topics, without each session's own."""
    rates = {name: number / seconds for name, _, number in heard.topics}
    shared = (one for one in peers.sizes() if not one[0].startswith("session:"))
    largest = nlargest(TOP, shared, key=lambda one: one[1])
    busiest = nlargest(TOP, heard.topics, key=lambda one: one[2])
    found = dict([*((name, members) for name, members, _ in busiest), *largest])
    return top_topics(
        (name, members, rates.get(name, 0))
        for name, members in found.items()
        if not name.startswith(("session:", RESERVED))
    )


def _notice(fault: Callable[[str, str], None], before: Snapshot, now: Snapshot) -> None:
    """Remember the faults of the last second; the next beat reports them."""
    if number := now.slow_consumers - before.slow_consumers:
        fault("slow", f"{number} closed with 1013: they read too slowly")
    if number := now.gaps - before.gaps:
        fault("gap", f"{number} topics had a gap, and are filled from their streams")
    if number := now.broken - before.broken:
        fault("lost", f"{number} memberships lost history")
    if number := now.events_that("internal") - before.events_that("internal"):
        fault("internal", f"{number} events failed in the app: see the log")
    if number := now.events_that("conflict") - before.events_that("conflict"):
        fault(
            "conflict", f"{number} events met others that changed what they read until they gave up"
        )
    if now.unready != before.unready:
        fault("node", f"not ready: {now.unready}" if now.unready else "ready")
    if now.link_up and now.silence > DEAF >= before.silence:
        fault("deaf", f"heard nothing for {now.silence:.0f} s though Redis answers")
