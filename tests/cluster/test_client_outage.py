"""Sockets stay open through an outage of Redis, with both clients, while events that read wait."""

from typing import Annotated

import pytest
import trio

from tests.support.servers import RedisServer
from tests.web.browser.chromium import Chromium, page
from trio_wss import App, Effects, Read, Reply, Store
from trio_wss.client import Connected, connect
from trio_wss.settings import Settings
from trio_wss.testing import cluster

pytestmark = [pytest.mark.slow, pytest.mark.any_engine]

OUTAGE = 20.0
SETTINGS = Settings(drain=1.0, redis_patience=10.0, redis_away=30.0)
EVENTS = 3
app = App()


@app.on("add")
def add(count: Annotated[int | None, Read("count")]) -> Effects:
    n = (count or 0) + 1
    return [Store("count", n), Reply("ok", n)]


PAGE = """
    (async () => {
        const { connect } = await import("/trio-wss.js");
        window.lost = [];
        window.answers = [];
        window.client = connect("/", { pingInterval: 2, pingTimeout: 5 });
        client.on("wss.disconnected", (what) => lost.push(what));
        window.add = () => client.send("add").then(
            ({ data }) => answers.push(data),
            (error) => answers.push(String(error)),
        );
        await add();
    })()
"""


@pytest.mark.parametrize("pings", [(20.0, 5.0), (2.0, 5.0)], ids=["as a rule", "more often"])
async def test_sockets_stay_open_through_an_outage_with_both_clients(
    pings: tuple[float, float], own_redis: RedisServer, chromium: Chromium
) -> None:
    interval, timeout = pings
    with trio.fail_after(120):
        async with (
            cluster(app, 1, redis=own_redis.url, settings=SETTINGS) as nodes,
            connect(nodes.nodes[0].url, ping_interval=interval, ping_timeout=timeout) as client,
            page(chromium, nodes.nodes[0].url.replace("ws:", "http:") + "/healthz") as tab,
        ):
            await tab.run(PAGE)
            await client.send("add")
            own_redis.pause()
            pending = [await client.submit("add") for _ in range(EVENTS)]
            for _ in range(EVENTS):
                await tab.run("void add()")
            await trio.sleep(OUTAGE)  # the outage itself
            assert await tab.run("window.lost") == []
            assert isinstance(client.state, Connected)
            own_redis.resume()
            mine = [(await one.answer()).data for one in pending]
            await tab.until(f"answers.length === {1 + EVENTS}")
            theirs = await tab.run("answers")
            assert sorted([*mine, *theirs[1:]]) == list(range(3, 3 + 2 * EVENTS))  # once each
            assert await tab.run("window.lost") == []
            states = []
            with trio.move_on_after(0):
                while True:
                    states.append(await client.receive())
            assert [one for one in states if isinstance(one, Connected)] == states[:1]
            assert tab.errors == []
