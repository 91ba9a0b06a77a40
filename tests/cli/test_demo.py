"""trio_wss/cli/demo.py, as a process: its clients outlive a node, and all stop in order."""

from pathlib import Path

import pytest
import trio

from tests.support.processes import call, trio_wss
from trio_wss.client import Connected, EventError, connect


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
