"""Catching up in pages that are not taken whole, where nobody else is in the topic."""

from __future__ import annotations

import trio

from tests.support.members import Member, dial, eventually, member, request, shake_hands
from trio_wss import App, Broadcast, Client, Effects, Join
from trio_wss.settings import Settings
from trio_wss.store.executor import Page
from trio_wss.store.history import Cursor
from trio_wss.store.link.resp import pack
from trio_wss.testing import cluster

SETTINGS = Settings(drain=1.0, outbox=16384)
LONG = "." * 3000  # of which few fit into half of an outbox
app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return Join("room") if "in" in client.query else None


@app.on("shout")
def shout(event: int) -> Effects:
    return Broadcast("loud", "said", "." * event)


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


async def test_a_page_ends_at_about_a_mebibyte_and_at_the_number_asked_for(redis_url: str) -> None:
    """However many entries were asked for: one may be as long as the page."""
    async with cluster(app, 1, redis=redis_url, settings=Settings(drain=1.0)) as nodes:
        [node] = nodes.nodes

        async def page(offset: int, most: int) -> list[int]:
            """The lengths of the texts of a page, in KiB."""
            found: list[Page | None] = []
            node.executor.page("loud", Cursor(epoch if offset else "", offset), most, found.append)
            await eventually(lambda: found)
            assert found[0] is not None
            assert found[0].whole
            assert found[0].cursor.offset == 77
            return [len(text) >> 10 for text in found[0].texts]

        with trio.fail_after(20):
            async with member(node.url) as speaker:
                for size in [*[0] * 65, *[300 << 10] * 10, 900 << 10, 0]:
                    await speaker.good("shout", size)
            [cursor] = (await node.link.call(pack("GET", "{wss}:t:loud"))).split()[:1]
            epoch = cursor.decode()
            assert await page(0, 1024) == [*[0] * 65, *[300] * 4]
            assert await page(69, 1024) == [300] * 4
            assert await page(73, 1024) == [300, 300, 900]
            assert await page(76, 1024) == [0]
            for most in (1, 31, 32, 33, 64, 65):
                assert await page(0, most) == [0] * most
                assert await page(1, most) == ([0] * 64 + [300])[:most]
