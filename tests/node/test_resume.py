"""A resume that waits for Redis, and a client that does not wait for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from harness.faults.proxy import proxied
from tests.support.members import Member, dial, member, request, shake_hands
from trio_wss import App, Client, Reply
from trio_wss.settings import Settings
from trio_wss.testing import cluster

app = App()
SETTINGS = Settings(drain=1.0)


@app.on("ask")
def ask(client: Client) -> Reply:
    return Reply("yes", client.session)


@asynccontextmanager
async def resume(url: str, token: str) -> AsyncIterator[Member]:
    """A client that has sent its `wss.resume`; its welcome may not have come."""
    async with await dial(url) as stream, trio.open_nursery() as nursery:
        client = Member(stream, await shake_hands(stream, request(url, {"resume": "1"})))
        await client.send("wss.resume", {"token": token, "topics": {}})
        nursery.start_soon(client.read)
        yield client
        nursery.cancel_scope.cancel()


async def token_of_one_that_vanished(url: str) -> tuple[str, str]:
    """A session that is nowhere, and its token."""
    async with member(url) as client:
        await client.vanish()
        return client.session, client.frames[0]["data"]["token"]


async def test_a_client_that_has_gone_takes_its_session_from_nobody(redis_url: str) -> None:
    """It asked one node, lost patience and went to another, where it lives; then the first node
    hears from Redis.
    """
    target = Path(redis_url.removeprefix("unix://"))
    async with (
        proxied(target) as proxy,
        cluster(app, 1, redis=f"redis://127.0.0.1:{proxy.port}/0", settings=SETTINGS) as slow,
        cluster(app, 1, redis=redis_url, settings=SETTINGS) as quick,
    ):
        with trio.fail_after(20):
            session, token = await token_of_one_that_vanished(quick.nodes[0].url)
            proxy.gate.shut()
            async with resume(slow.nodes[0].url, token) as early:
                await early.vanish()
            async with resume(quick.nodes[0].url, token) as late:
                await late.heard("wss.welcome")
                proxy.gate.open()
                async with member(slow.nodes[0].url) as other:  # behind the first one in line
                    assert (await other.ask("ask"))["data"] == other.session
                assert (await late.ask("ask"))["data"] == session


async def test_events_behind_a_resume_wait_for_it(redis_url: str) -> None:
    async with cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes:
        with trio.fail_after(20):
            url = nodes.nodes[0].url
            session, token = await token_of_one_that_vanished(url)
            async with resume(url, token) as client:
                numbers = [await client.post("ask") for _ in range(5)]
                answers = [await client.answer(number) for number in numbers]
                assert {answer["data"] for answer in answers} == {session}
                assert client.frames[0]["event"] == "wss.welcome"
