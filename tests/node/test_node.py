"""trio_wss/node/node.py: the parts of a node, what each is given, and how the node is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from tests.support.fakes import Box
from trio_wss import App
from trio_wss.errors import RegistrationError
from trio_wss.node.connection import Connection
from trio_wss.node.node import Node
from trio_wss.node.session import Session
from trio_wss.settings import Settings
from trio_wss.wire import WireLimits

SETTINGS = Settings(redis="redis://127.0.0.1:1/3", host="127.0.0.1", port=8000)


def node(app: App | None = None, **changes: Any) -> Node:
    """A node that nobody runs: to make one opens nothing and asks nobody."""
    return Node(app or App(), attrs.evolve(SETTINGS, **changes))


def test_each_node_has_a_name_of_its_own_and_tells_where_it_is() -> None:
    made, other = node(), node()
    assert made.id != other.id
    assert made.url == "ws://127.0.0.1:8000"
    assert repr(made) == f"<Node {made.id} 127.0.0.1:8000 connections=0>"


def test_a_folder_that_cannot_be_served_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(RegistrationError):
        node(App(static=tmp_path / "none"))


def test_what_the_link_brings_goes_to_the_hub_and_to_the_writes() -> None:
    made = node()
    assert made.listener.hear == made.hub.hear
    assert made.listener.up == made.hub.reset
    assert made.listener.begin_batch == made.writes.begin_batch
    assert made.listener.end_batch == made.writes.end_batch


def test_the_parts_are_of_one_node() -> None:
    app = App()
    made = node(app)
    parts = made.admission._parts
    session = parts.session
    assert (session.node, session.app) == (made.id, app)
    assert (parts.link, parts.all) == (made.link, made.connections)
    for name in ("hub", "catch_up", "executor", "transactions", "sessions", "custody"):
        assert getattr(session, name) is getattr(made, name), name
    assert session.statistics is made.statistics
    assert made.admission.keep_alive is made.operations.keep_alive is made.keep_alive
    assert made.admission.mark_dirty == made.operations.mark_dirty == made.writes.mark_dirty
    assert [topic.name for topic in made.hub.topics()] == ["wss.nodes"]


def test_what_can_be_set_is_where_it_counts() -> None:
    made = node(
        rate=1.5, burst=2.5, redis_patience=3.5, drain=4.5, grace=5.5, max_topics=6,
        origins=["https://a"], handshake_timeout=7.5, max_message=8, outbox=9000,
        ping_interval=10.5, ping_timeout=11.5,
    )  # fmt: skip
    parts = made.admission._parts
    assert (parts.rate, parts.burst, parts.patience, parts.drain) == (1.5, 2.5, 3.5, 4.5)
    assert (parts.session.grace, parts.session.max_topics) == (5.5, 6)
    assert made.admission.origins == ("https://a",)
    assert made.admission.limits == WireLimits(
        handshake_seconds=7.5,
        message_bytes=8,
        outbox_bytes=9000,
        ping_seconds=10.5,
        pong_seconds=11.5,
    )
    assert made.operations.limits.outbox_bytes == 9000
    assert "127.0.0.1:1" in str(made.link.address)


@pytest.mark.parametrize(
    ("draining", "up", "registered", "why"),
    [
        (False, True, True, ""),
        (False, True, False, "the node is not registered"),
        (False, False, True, "Redis is away"),
        (False, False, False, "Redis is away"),
        (True, True, True, "the node is stopping"),
        (True, False, False, "the node is stopping"),
    ],
)
def test_a_node_is_ready_when_it_has_redis_and_its_record_and_does_not_stop(
    draining: bool, up: bool, registered: bool, why: str
) -> None:
    made = node()
    made.draining, made.link.up, made.registered = draining, up, registered
    assert made.unready() == made.snapshot().unready == why


class FakeSocket:
    def __init__(self, size: int) -> None:
        self.outbox = Box(size=size)


class FakeConnection:
    def __init__(self, size: int) -> None:
        self.socket = FakeSocket(size)
        self.session = cast(Session, object())


def test_a_snapshot_is_of_all_parts() -> None:
    made = node()
    sizes = (5, 30, 7)
    connections = [cast(Connection, FakeConnection(size)) for size in sizes]
    for connection in connections:
        made.connections.add(connection)
    statistics = made.statistics
    names = (
        "broadcasts", "deliveries", "reruns", "slow_consumers", "recovered", "broken",
        "link_losses",
    )  # fmt: skip
    for number, name in enumerate(names, 1):
        setattr(statistics, name, number)
    statistics.count("say", "ok")
    statistics.count("", "ok")  # what no event asked for
    statistics.fault("gap", "one")
    for histogram in (statistics.commits, statistics.delivery, statistics.delivery):
        histogram.observe(0.1)
    made.hub.counters.gaps = 8
    found = made.snapshot()
    assert (found.node, found.url, found.started) == (made.id, made.url, made.started)
    assert (found.connections, found.outbox_bytes, found.outbox_most) == (3, 42, 30)
    assert (found.topics, found.gaps, found.link_up, found.sockets) == (1, 8, False, 0)
    assert [getattr(found, name) for name in names] == [*range(1, 8)]
    assert found.events == (("say", "ok", 1),)
    assert [fault.kind for fault in found.faults] == ["gap"]
    sums = [sum(one.counts) for one in (found.commits, found.delivery, found.lag)]
    assert sums == [1, 2, 0]
    assert 0 <= found.uptime < 60
    assert 0 <= found.silence < 60
    assert found.cpu > 0
    assert {*made.janitor._connected()} == {connection.session for connection in connections}


def test_a_node_without_clients_has_nothing_waiting() -> None:
    found = node().snapshot()
    assert (found.connections, found.outbox_bytes, found.outbox_most) == (0, 0, 0)
