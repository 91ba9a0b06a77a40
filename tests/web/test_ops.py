"""trio_wss/web/ops in a real browser, on real nodes: the page shows what the nodes say of
themselves, the fault of each once, and those that have gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio

from tests.support.members import member
from tests.support.processes import DEADLINE
from tests.web.browser.chromium import Chromium, Page, page
from trio_wss import App, Broadcast, Client, Effects, Join
from trio_wss.node import serve
from trio_wss.settings import Settings
from trio_wss.store.embedded import embedded
from trio_wss.testing import Cluster, cluster

pytestmark = pytest.mark.slow

SETTINGS = Settings(drain=1.0, ops_port=0)
ROOM = "room:<img src=x onerror=alert(1)>"
app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(ROOM)


@app.on("say")
def say(event: str) -> Effects:
    return Broadcast(ROOM, "said", event)


@app.on("bug")
def bug() -> Effects:
    raise ZeroDivisionError


@asynccontextmanager
async def looked_at(chromium: Chromium) -> AsyncIterator[tuple[Cluster, Page]]:
    """Two nodes, and the page of the first."""
    with trio.fail_after(2 * DEADLINE):
        async with (
            cluster(app, nodes=2, settings=SETTINGS) as running,
            page(chromium, f"{running.nodes[0].ops_url}/") as tab,
        ):
            await tab.until("document.querySelectorAll('#nodes tbody .good').length === 2")
            yield running, tab
            assert tab.errors == []


async def text(tab: Page, selector: str) -> str:
    return str(await tab.run(f"document.querySelector({selector!r}).innerText"))


async def test_it_shows_nodes_clients_topics_and_events(chromium: Chromium) -> None:
    async with looked_at(chromium) as (running, tab):
        for node in running.nodes:
            assert node.id[:8] in await text(tab, "#nodes")
        async with member(running.nodes[1].url) as client, trio.open_nursery() as nursery:

            async def chat() -> None:
                while True:
                    await client.good("say", "hi")
                    await client.ask("what is this")
                    await trio.sleep(0.05)

            nursery.start_soon(chat)
            await tab.until("document.querySelector('#topics').innerText.includes('onerror')")
            await tab.until("document.querySelector('#events').innerText.includes('unknown')")
            await tab.until("document.querySelector('#events .warn') !== null")
            assert "2 of 2 nodes ready, 1 client" in await text(tab, "#summary")
            assert "say" in await text(tab, "#events")
            await tab.until("document.querySelector('#charts .line').getAttribute('d').length > 20")
            nursery.cancel_scope.cancel()
        assert not await tab.run("document.querySelector('#topics img')")


async def test_a_fault_is_shown_once_though_it_is_told_every_second(chromium: Chromium) -> None:
    async with looked_at(chromium) as (running, tab), member(running.nodes[1].url) as client:
        await client.ask("bug")
        await tab.until("document.querySelector('#faults').innerText.includes('failed in')")
        told = await tab.run("document.querySelector('#charts .line').getAttribute('d')")
        await tab.until(f"document.querySelector('#charts .line').getAttribute('d') !== {told!r}")
        assert (await text(tab, "#faults")).count("failed in the app") == 1


async def test_a_node_that_goes_is_gone(chromium: Chromium) -> None:
    with trio.fail_after(2 * DEADLINE):
        async with embedded(None) as url, trio.open_nursery() as nursery:
            settings = attrs.evolve(SETTINGS, redis=url)
            stops = [trio.Event(), trio.Event()]
            first, _ = [
                await nursery.start(partial(serve, app, settings, shutdown=stop)) for stop in stops
            ]
            async with page(chromium, f"{first.ops_url}/") as tab:
                await tab.until("document.querySelectorAll('#nodes tbody .good').length === 2")
                stops[1].set()
                await tab.until("document.querySelector('#nodes').innerText.includes('gone')")
                assert "says nothing any more" in await text(tab, "#faults")
                stops[0].set()
                await tab.until("document.querySelector('#state').innerText.includes('trying')")


async def test_a_phone_needs_no_sideways_scrolling(chromium: Chromium) -> None:
    async with looked_at(chromium) as (_, tab):
        for width in (1280, 390, 320):
            await tab.looks(width, 800, phone=width < 500)
            assert await tab.run("document.documentElement.scrollWidth") == width
            inner = "document.querySelector('.scroll')"
            over = await tab.run(f"{inner}.scrollWidth - {inner}.clientWidth")
            assert over == 0, width
