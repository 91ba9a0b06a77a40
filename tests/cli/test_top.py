"""trio_wss/cli/top.py, cluster.py and tables.py: the cluster at a terminal and in a pipe."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock, memory_stream_pair

from tests.support.members import eventually, member
from tests.support.peer import House, Peer, Street
from tests.support.processes import DEADLINE, call, trio_wss
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Identity, Join, Refused, Request
from trio_wss.cli.cluster import ALL, FORGOTTEN, GONE, ClusterView, ops_url, view_of
from trio_wss.cli.tables import everything, milliseconds, size
from trio_wss.errors import SettingsError
from trio_wss.settings import Settings
from trio_wss.testing import Cluster, cluster

pytestmark = pytest.mark.any_engine

SCRIPT = str(Path(sys.executable).parent / "trio-wss")
app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return Join("room")


@app.on("say")
def say(event: str) -> Effects:
    return Broadcast("room", "said", event)


@asynccontextmanager
async def nodes(redis: str, number: int = 1) -> AsyncIterator[Cluster]:
    with trio.fail_after(DEADLINE):
        settings = Settings(drain=1.0, ops_port=0)
        async with cluster(app, nodes=number, redis=redis, settings=settings) as running:
            yield running


def load(**changes: Any) -> dict[str, Any]:
    times = {"p50": 1.0, "p99": 2.5}
    fine = {
        "node": "abcdef0123", "url": "ws://127.0.0.1:8000", "unready": "", "silence": 0.5,
        "lag": 1.0, "connections": 1234, "rate": 10.5, "commits": times,
        "delivery": {"p50": None, "p99": None}, "cpu": 0.25, "outbox_most": 2048,
        "top_topics": [], "faults": [],
    }  # fmt: skip
    return fine | changes


def shown(found: ClusterView) -> str:
    console = Console(width=140, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(everything(found))
    console.file.close()
    return console.export_text()


# --- in a pipe


async def test_once_is_one_object_with_every_node(redis_url: str, tmp_path: Path) -> None:
    async with nodes(redis_url, 2) as running, member(running.nodes[1].url):
        code, out, err = await call("top", running.nodes[0].ops_url, "--once", cwd=tmp_path)
        assert (code, err) == (0, "")
        found = {one["node"]: one for one in json.loads(out)["nodes"]}
        assert set(found) == {node.id for node in running.nodes}
        assert found[running.nodes[1].id]["connections"] == 1


async def test_topics_are_one_object_a_line(redis_url: str, tmp_path: Path) -> None:
    async with nodes(redis_url) as running:
        [node] = running.nodes
        async with member(node.url), member(node.url):
            code, out, err = await call("topics", node.ops_url, cwd=tmp_path)
            assert (code, err) == (0, "")
            lines = [json.loads(line) for line in out.splitlines()]
            assert {"topic": "room", "members": 2, "rate": 0.0} in lines
            code, out, _ = await call("topics", node.ops_url, "--most", "1", cwd=tmp_path)
            assert len(out.splitlines()) == 1


@pytest.mark.parametrize("url", ["127.0.0.1:abc", "http://[::1", "a..b"])
async def test_no_url_is_one_sentence(url: str, tmp_path: Path) -> None:
    with trio.fail_after(DEADLINE):
        code, out, err = await call("top", url, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("trio-wss: ")
    assert url in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["top", "topics"])
async def test_no_listener_is_one_sentence(command: str, tmp_path: Path) -> None:
    with trio.fail_after(DEADLINE):
        code, out, err = await call(command, "127.0.0.1:1", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("trio-wss: 127.0.0.1:1 does not answer: name the operations listener")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["top", "topics"])
@pytest.mark.parametrize("entry", ["open", "closed", "refused"])
async def test_a_public_port_is_one_sentence(
    command: str, entry: str, redis_url: str, tmp_path: Path
) -> None:
    guarded = App()
    if entry == "closed":
        guarded.authenticate(nobody)
    elif entry == "refused":
        guarded.on_connect(nobody_enters)
    with trio.fail_after(DEADLINE):
        async with cluster(guarded, 1, redis=redis_url) as running:
            url = running.nodes[0].url
            code, out, err = await call(command, url, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"trio-wss: {url} is the public port of a node, which shows nothing")
    assert "--ops-port" in err
    assert err.count("\n") == 1


def nobody(_: Request) -> Identity:
    raise Refused("no", "No.")


def nobody_enters() -> Effects:
    raise Refused("no", "No.")


async def test_a_public_port_at_a_terminal_is_one_sentence(redis_url: str) -> None:
    async with nodes(redis_url) as running:
        await terminal(running.nodes[0].url, "is the public port of a node")


async def test_topics_without_redis_are_said_to_be_incomplete(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with nodes(own_redis.url) as running:
        [node] = running.nodes
        own_redis.kill()
        await eventually(lambda: not node.link.up)
        await eventually(lambda: node.heartbeat.last and not node.heartbeat.last.link_up)
        code, out, err = await call("topics", node.ops_url, cwd=tmp_path)
        assert (code, out) == (1, "")
        assert "Redis is away" in err
        assert err.count("\n") == 1
        own_redis.start()


async def test_the_port_is_printed_and_both_listen(redis_url: str, tmp_path: Path) -> None:
    arguments = ("run", "--redis", redis_url, "--ops-port", "0", "--drain", "1")
    async with trio_wss(*arguments, cwd=tmp_path) as running:
        await running.listening()
        url = (await running.out.until(r"^operations on (\S+)$"))[1]
        code, out, _ = await call("top", url, "--once", cwd=tmp_path)
        assert code == 0
        [only] = json.loads(out)["nodes"]
        assert only["url"] == running.url


# --- at a terminal


async def terminal(url: str, *wanted: str) -> str:
    """What `trio-wss top URL` has shown once it has shown all of this."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    with trio.fail_after(DEADLINE):
        process = await trio.lowlevel.open_process(
            [SCRIPT, "top", url],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "140", "LINES": "40"},
        )
        os.close(theirs)
        text = ""
        while not all(word in text for word in wanted):
            piece = await trio.to_thread.run_sync(os.read, ours, 65536, abandon_on_cancel=True)
            text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece.decode(errors="replace"))
        process.kill()
        await process.wait()
    os.close(ours)
    return text


async def test_a_terminal_shows_nodes_topics_and_faults(redis_url: str) -> None:
    async with nodes(redis_url) as running:
        [node] = running.nodes
        async with member(node.url):
            text = await terminal(node.ops_url, "1 of 1 nodes ready, 1 clients", "room", "started")
        assert node.id[:8] in text


# --- what it makes of what it hears


async def test_a_silent_node_is_gone_and_then_forgotten(autojump_clock: trio.abc.Clock) -> None:
    found = ClusterView()
    found.hear(load(node="a", url="ws://a"))
    await trio.sleep(GONE + 0.1)
    found.hear(load(node="b", url="ws://b"))
    assert [(one["node"], gone) for one, gone in found.nodes()] == [("a", True), ("b", False)]
    assert [one["node"] for one in found.here()] == ["b"]
    assert "gone" in shown(found)
    await trio.sleep(FORGOTTEN)
    found.hear(load(node="b", url="ws://b"))
    assert [one["node"] for one, _ in found.nodes()] == ["b"]


async def test_clients_of_a_topic_add_up_and_its_rate_does_not() -> None:
    found = ClusterView()
    for node, members, rate in (("a", 2, 5.0), ("b", 3, 4.0)):
        room = {"topic": "room", "members": members, "rate": rate}
        found.hear(load(node=node, top_topics=[room]))
    assert found.topics() == [("room", 5, 5.0)]


async def test_a_picture_says_what_is_wrong() -> None:
    found = ClusterView(note="no connection to x")
    fault = {"time": 0.0, "kind": "link", "text": "[red]gone[/red]"}
    found.hear(load(node="a", unready="Redis is away", faults=[fault]))
    found.hear(load(node="b", silence=7.0))
    found.hear(load(node="c", lag=250.0))
    found.hear(load(node="d"))
    text = shown(found)
    for word in ("Redis is away", "deaf", "late", "ready", "1,234", "2.5 ms", "25%", "2 KiB"):
        assert word in text
    assert "3 of 4 nodes ready" in text
    assert "no connection to x" in text
    assert "[red]gone[/red]" in text  # what others wrote is no markup


def test_numbers_as_people_read_them() -> None:
    assert [milliseconds(value) for value in (None, 1.25, 2500.0)] == ["-", "1.2 ms", "2.5 s"]
    assert [size(value) for value in (5, 2048, 3 << 20)] == ["5 B", "2 KiB", "3.0 MiB"]


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


# --- listeners that are not what they should be


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


async def test_what_a_late_listener_says_of_other_things_is_left_out(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(peer: Peer) -> None:
        await trio.sleep(ALL + 1)
        await peer.put(event="wss.other", data={"of": "tomorrow"})
        await peer.socket.send_message("no JSON")
        await peer.socket.send_message("[]")
        await peer.put(event="wss.node", data=load(node="a"))
        await peer.until_closed()

    async with Street({"a": House(late, greet=False)}).live(monkeypatch):
        assert [one["node"] for one in (await view_of("a")).here()] == ["a"]


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


async def test_it_tries_again_when_the_node_goes(redis_url: str) -> None:
    from trio_wss.cli.top import _follow

    found = ClusterView()
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery:
            async with nodes(redis_url) as running:
                nursery.start_soon(_follow, [running.nodes[0].ops_url], found)
                await eventually(lambda: found.words)
                assert found.note == ""
            await eventually(lambda: found.note)
            assert "no connection" in found.note
            nursery.cancel_scope.cancel()
