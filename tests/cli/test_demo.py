"""trio_wss/cli/demo.py and demo_nodes.py: who is killed is started again, and all stop in order."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from tests.support.processes import call, trio_wss
from trio_wss.cli import demo_nodes
from trio_wss.cli.children import Child, ChildFailed
from trio_wss.cli.demo_nodes import DemoNode
from trio_wss.client import Connected, EventError, connect

# Says on its channel that it listens, then runs until it is killed or told to stop.
LISTENS = "import os, sys, time; os.write(int(sys.argv[-1]), b'1'); time.sleep(600)"


def node(code: str) -> DemoNode:
    arguments: Sequence[str] = (sys.executable, "-c", code)
    return DemoNode("A", Child(arguments, os.environ, 5.0))


async def test_a_killed_node_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_nodes, "VISIT_PAUSE", 0.01)
    one, stop = node(LISTENS), trio.Event()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(one.run, stop)
            assert (one.up, one.changes) == (True, 1)
            one.kill()
            while one.changes < 3:  # noqa: ASYNC110 - nobody but the page is told
                await trio.sleep(0.01)
            assert one.up
            stop.set()
    assert not one.up


async def test_a_node_that_never_listens_is_said_to_have_failed() -> None:
    with trio.fail_after(60), pytest.RaisesGroup(ChildFailed):
        async with trio.open_nursery() as nursery:
            await nursery.start(node("raise SystemExit(3)").run, trio.Event())


async def test_told_to_stop_before_it_listens_it_stops() -> None:
    one, stop = node("import time; time.sleep(600)"), trio.Event()
    stop.set()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(one.run, stop)
    assert not one.up


async def test_clients_outlive_the_node_that_they_kill(tmp_path: Path) -> None:
    async with trio_wss("demo", "--nodes", "2", cwd=tmp_path) as running:
        await running.listening()
        with trio.fail_after(60):
            async with connect(running.url) as client:
                session = client.session
                here = ""
                while True:
                    data = (await client.send("cluster")).data
                    if data["nodes"] == {"A": True, "B": True}:
                        here = data["here"]
                        break
                    await trio.sleep(0.01)
                with pytest.raises(EventError, match="not up"):
                    await client.send("kill", {"node": "C"})
                await client.submit("kill", {"node": here})
                connections = 0
                async for event in client.events():
                    connections += isinstance(event, Connected)
                    if connections == 2:
                        break
                assert client.session == session
                assert (await client.send("cluster")).data["here"] != here
        running.process.terminate()
        assert await running.ended() == 0


async def test_a_wrong_option_is_one_sentence(tmp_path: Path) -> None:
    code, _, said = await call("demo", "--redis", "http://x", cwd=tmp_path)
    assert code == 2
    assert said.startswith("trio-wss: --redis must be a URL")
