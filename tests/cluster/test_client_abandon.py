"""Leaving with no word, seen by the server: the session keeps its grace."""

from __future__ import annotations

import trio

from trio_wss import App, Client, Effects, Increment, Reply
from trio_wss.client import Ticket, connect
from trio_wss.settings import Settings
from trio_wss.testing import cluster

app = App()


@app.on_disconnect
def go(client: Client) -> Effects:
    return Increment("gone")


@app.on("gone")
def gone() -> Effects:
    n = Increment("gone", 0)
    return [n, Reply("gone", n.result)]


async def test_who_leaves_the_block_because_it_was_abandoned_says_no_goodbye(
    redis_url: str,
) -> None:
    """Its events end, so whoever takes them leaves the block, which closes the client: once more,
    and while its connection is only just coming to its end.
    """
    settings = Settings(drain=1.0, grace=60)
    async with cluster(app, 1, redis=redis_url, settings=settings) as nodes:
        url = nodes.nodes[0].url
        with trio.fail_after(20):
            for _ in range(20):
                tickets: list[Ticket] = []
                async with trio.open_nursery() as nursery, connect(url) as client:

                    async def leave() -> None:
                        tickets.append(await client.abandon())  # noqa: B023 - ends in here

                    nursery.start_soon(leave)
                    async for _event in client.events():
                        pass
                async with connect(url, resume=tickets[0]) as again:
                    assert again.welcome.resumed
                    assert (await again.send("gone")).data == 0
                    await again.abandon()
