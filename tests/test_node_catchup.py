"""Catching up in pages that are not taken whole, where nobody else is in the topic."""

from __future__ import annotations

import trio

from tests.members import Member, dial, member, request, shake_hands
from trio_wss import App, Broadcast, Client, Effects, Join
from trio_wss.settings import Settings
from trio_wss.testing import cluster

SETTINGS = Settings(drain=1.0, outbox=16384)
LONG = "." * 3000  # of which few fit into half of an outbox
app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return Join("room") if "in" in client.query else None


@app.on("say")
def say(event: int) -> Effects:
    return Broadcast("room", "said", {"n": event, "pad": LONG})


async def test_one_who_comes_back_alone_is_given_everything_at_once(redis_url: str) -> None:
    """Not only when somebody says the next word."""
    async with cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes:
        with trio.fail_after(20):
            url = nodes.nodes[0].url
            async with member(url, {"in": "1"}) as first:
                token = first.frames[0]["data"]["token"]
                joined = (await first.joined("room"))["data"]
                await first.vanish()
            async with member(url) as speaker:
                for n in range(20):
                    await speaker.good("say", n)
                async with await dial(url) as stream, trio.open_nursery() as nursery:
                    early = await shake_hands(stream, request(url, {"resume": "1"}))
                    again = Member(stream, early)
                    place = [joined["epoch"], joined["offset"]]
                    await again.send("wss.resume", {"token": token, "topics": {"room": place}})
                    nursery.start_soon(again.read)
                    heard = await again.received("room", 20)
                    assert [one["data"]["n"] for one in heard] == list(range(20))
                    nursery.cancel_scope.cancel()
