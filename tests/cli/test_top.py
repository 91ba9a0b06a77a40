"""trio_wss/cli/top.py: the cluster at a terminal and in a pipe."""

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

import pytest
import trio

from tests.support.members import eventually, member
from tests.support.processes import DEADLINE, call, trio_wss
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Identity, Join, Refused, Request
from trio_wss.cli.cluster import ClusterView
from trio_wss.settings import Settings
from trio_wss.testing import Cluster as Running
from trio_wss.testing import cluster

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
async def nodes(redis: str, number: int = 1) -> AsyncIterator[Running]:
    with trio.fail_after(DEADLINE):
        settings = Settings(drain=1.0, ops_port=0)
        async with cluster(app, nodes=number, redis=redis, settings=settings) as running:
            yield running


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
