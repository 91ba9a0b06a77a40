"""The pulse: once a second a node tells all nodes how it is, through Redis as any broadcast goes,
and hears the others and itself. A node that does not hear itself is deaf, whatever else works.
"""

from __future__ import annotations

import time
from heapq import nlargest
from typing import TYPE_CHECKING, Final

import trio

from trio_wss.data.json import encode
from trio_wss.ops.rates import TOP, Load, TopicLoad, load_between, top_topics
from trio_wss.ops.snapshot import DEAF, NODES, Snapshot, take_snapshot

if TYPE_CHECKING:
    from trio_wss.node.node import Node
    from trio_wss.node.topics.topic import Topic

BEAT: Final = 1.0  # seconds


class Pulse:
    """One node's. `last` is how it was a moment ago."""

    def __init__(self, node: Node) -> None:
        self.last: Load | None = None
        self._node = node
        self._heard = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since a word from the cluster came."""
        return time.monotonic() - self._heard

    async def run(self) -> None:
        """Tell and hear, for ever."""
        node = self._node
        topic = node.hub.hold(NODES)
        try:
            node.statistics.fault("node", "started")
            before = take_snapshot(node)
            while True:
                await trio.sleep(BEAT)
                now = self._beat(topic, before)
                _notice(node, before, now)
                before = now
        finally:
            node.hub.release(topic)

    def _beat(self, topic: Topic, before: Snapshot) -> Snapshot:
        node = self._node
        heard, node.hub.heard = node.hub.heard, {}
        if heard.pop(topic, 0):
            self._heard = time.monotonic()
        for one, number in heard.items():
            node.statistics.broadcasts += number
            node.statistics.deliveries += number * len(one.members)
        now = take_snapshot(node)
        topics = _top(node, heard, now.uptime - before.uptime)
        lag = node.statistics.take_worst_lag()
        self.last = load_between(before, now, ops=node.ops_url, lag=lag, topics=topics)
        text = b'{"event":"wss.node","topic":"%b","data":%b}' % (NODES.encode(), encode(self.last))
        if node.link.up:
            node.executor.publish(NODES, text)
        else:  # those who look at this node are told all the same
            topic.give(text)
        return now


def _top(node: Node, heard: dict[Topic, int], seconds: float) -> tuple[TopicLoad, ...]:
    """The largest and the busiest topics; not the one that each client has of its own."""
    shared = (topic for topic in node.hub.topics() if not topic.name.startswith("session:"))
    largest = nlargest(TOP, shared, key=lambda topic: len(topic.members))
    busiest = nlargest(TOP, heard, key=heard.__getitem__)
    return top_topics(
        (topic.name, len(topic.members), heard.get(topic, 0) / seconds)
        for topic in dict.fromkeys([*largest, *busiest])
        if not topic.name.startswith(("session:", "wss."))
    )


def _notice(node: Node, before: Snapshot, now: Snapshot) -> None:
    """Remember what went wrong in the last second; the next beat tells it."""
    fault = node.statistics.fault
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
