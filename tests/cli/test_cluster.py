"""trio_wss/cli/cluster.py: what the nodes of a cluster say, and listeners that are none."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tests.support.fakes import node_load
from tests.support.peer import House, Peer, Street
from trio_wss.cli.cluster import ALL, FORGOTTEN, GONE, ClusterView, ops_url, view_of
from trio_wss.errors import SettingsError


def words(*names: str) -> ClusterView:
    """A cluster of which these nodes have just spoken."""
    found = ClusterView()
    for name in names:
        found.hear(node_load(node=name, url=f"ws://{name}"))
    return found


# --- what it makes of what it hears


async def test_a_silent_node_is_gone_and_then_forgotten(autojump_clock: MockClock) -> None:
    found = words("b")
    await trio.sleep(GONE + 0.1)
    found.hear(node_load(node="a", url="ws://a"))
    assert [(one["node"], gone) for one, gone in found.nodes()] == [("a", False), ("b", True)]
    assert [one["node"] for one in found.here()] == ["a"]
    await trio.sleep(FORGOTTEN)
    found.hear(node_load(node="a", url="ws://a"))
    assert [one["node"] for one, _ in found.nodes()] == ["a"]


async def test_the_last_word_of_a_node_counts() -> None:
    found = words("a")
    found.hear(node_load(node="a", url="ws://a", connections=7))
    assert [one["connections"] for one in found.here()] == [7]


async def test_clients_of_a_topic_add_up_and_its_rate_does_not() -> None:
    found = ClusterView()
    for node, members, rate in (("a", 2, 5.0), ("b", 3, 4.0)):
        room = {"topic": "room", "members": members, "rate": rate}
        hall = {"topic": "hall", "members": 1, "rate": rate * 2}
        found.hear(node_load(node=node, top_topics=[room, hall]))
    assert found.topics() == [("hall", 2, 10.0), ("room", 5, 5.0)]


async def test_faults_of_all_nodes_come_newest_first() -> None:
    found = ClusterView()
    for node, times in (("a", (1.0, 4.0)), ("b", (3.0,))):
        faults = [{"time": time, "kind": "gap", "text": f"at {time}"} for time in times]
        found.hear(node_load(node=node, faults=faults))
    assert found.faults() == [
        (4.0, "a", "gap", "at 4.0"),
        (3.0, "b", "gap", "at 3.0"),
        (1.0, "a", "gap", "at 1.0"),
    ]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:9100", "ws://127.0.0.1:9100/"),
        ("http://a:1/", "ws://a:1/"),
        ("https://a", "wss://a/"),
        ("ws://[::1]:1", "ws://[::1]:1/"),
        ("a:1/caf\u00e9 %20", "ws://a:1/caf%C3%A9%20%20"),
    ],
)
def test_urls(text: str, url: str) -> None:
    assert ops_url(text) == url


@pytest.mark.parametrize("text", ["ftp://a", "http://", "", "a:b", "a:99999", "a:0", "http://[::1"])
def test_no_urls(text: str) -> None:
    with pytest.raises(SettingsError, match="is no URL such as"):
        ops_url(text)


# --- listeners, and what should be one


async def test_every_node_is_waited_for(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def speak(peer: Peer) -> None:
        await peer.put(event="wss.node", data=node_load(node="a"))
        await trio.sleep(ALL - 0.1)
        await peer.put(event="wss.node", data=node_load(node="b"))
        await peer.until_closed()

    async with Street({"a": House(speak, greet=False)}).live(monkeypatch):
        assert {one["node"] for one in (await view_of("a")).here()} == {"a", "b"}


async def test_a_listener_that_goes_before_it_has_said_anything(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave(peer: Peer) -> None:
        await peer.socket.aclose(1001)

    async def leave_late(peer: Peer) -> None:
        await trio.sleep(ALL + 1)
        await leave(peer)

    houses = {"a": House(leave, greet=False), "b": House(leave_late, greet=False)}
    async with Street(houses).live(monkeypatch):
        for host in houses:
            said = f"no node has said anything at {host}: perhaps it is not an operations port"
            with pytest.raises(SettingsError, match=said):
                await view_of(host)


@pytest.mark.parametrize("event", ["wss.welcome", "wss.error"])
async def test_what_greets_its_clients_is_the_public_port_of_a_node(
    event: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def greet(peer: Peer) -> None:
        await peer.put(event=event, data={})
        await peer.until_closed()

    async with Street({"a": House(greet, greet=False)}).live(monkeypatch):
        with pytest.raises(SettingsError, match="a is the public port of a node"):
            await view_of("a")


async def test_what_a_late_listener_says_of_other_things_is_left_out(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(peer: Peer) -> None:
        await trio.sleep(ALL + 1)
        await peer.put(event="wss.other", data={"of": "tomorrow"})
        await peer.socket.send_message("no JSON")
        await peer.socket.send_message("[]")
        await peer.put(event="wss.node", data=node_load(node="a"))
        await peer.until_closed()

    async with Street({"a": House(late, greet=False)}).live(monkeypatch):
        assert [one["node"] for one in (await view_of("a")).here()] == ["a"]


async def test_where_nobody_lives_nobody_answers(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Street({}).live(monkeypatch):
        with pytest.raises(SettingsError, match="b does not answer: name the operations listener"):
            await view_of("b")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 This is no TLS\r\n\r\n", b""])
async def test_a_failed_tls_handshake_leaves_nothing_open(
    answer: bytes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is no TLS; and none, until the time is up."""
    ours, theirs = memory_stream_pair()

    async def open_tcp_stream(*_: object, **__: object) -> trio.abc.Stream:
        await theirs.send_all(answer)
        return ours

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    with pytest.raises(SettingsError, match="https://a does not answer"):
        await view_of("https://a")
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")
