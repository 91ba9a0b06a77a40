"""trio_wss/web/trio-wss.js in a real browser, on real nodes that are harmed: the page shows every
message once and in order, and says so when history was lost.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.processes import Running, trio_wss
from tests.support.servers import RedisServer
from tests.web.browser.app import HISTORY
from tests.web.browser.chromium import Chromium, Page, page
from trio_wss.client import Client, connect
from trio_wss.store.embedded import find_server

ROOT = Path(__file__).parents[2]
PERIOD = 0.05  # seconds between two messages of the room's other member


MakeServer = Callable[..., RedisServer]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    """Servers of the test's own, on the engine that a node would choose."""
    servers: list[RedisServer] = []

    def make(**options: str) -> RedisServer:
        binary = find_server()
        assert binary is not None
        servers.append(RedisServer(Path(binary), under=None, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@asynccontextmanager
async def two_nodes(redis: RedisServer, folder: Path) -> AsyncIterator[list[Running]]:
    """Two processes; the second takes pages of the first."""
    env = {"PYTHONPATH": str(ROOT), "REDIS_SERVER": redis.url}
    app = "tests.web.browser.app:app"
    async with trio_wss("run", "--drain", "1", app, cwd=folder, env=env) as first:
        await first.listening()
        origin = first.url.replace("ws:", "http:")
        arguments = ("run", "--drain", "1", "--origin", origin, app)
        async with trio_wss(*arguments, cwd=folder, env=env) as second:
            await second.listening()
            yield [first, second]


@asynccontextmanager
async def room(chromium: Chromium, nodes: list[Running]) -> AsyncIterator[Page]:
    """The page, from the first node and connected to it."""
    first, second = (node.url for node in nodes)
    url = f"{first.replace('ws:', 'http:')}/?nodes={first}/,{second}/"
    async with page(chromium, url) as tab:
        await tab.until("window.client?.state === 'connected'")
        yield tab
        assert tab.errors == []


class Speaker:
    """The room's other member: it says 1, 2, 3, … on the second node while the page is harmed."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.said = 0

    async def run(self) -> None:
        while True:
            await self.say()
            await trio.sleep(PERIOD)

    async def say(self) -> None:
        await self.client.send("say", {"text": f"other {self.said + 1}"}, timeout=60)
        self.said += 1


@asynccontextmanager
async def speaking(url: str) -> AsyncIterator[Speaker]:
    """A member that goes on speaking through the block."""
    async with connect(url, buffer=0) as client, trio.open_nursery() as nursery:
        speaker = Speaker(client)
        await speaker.say()
        nursery.start_soon(speaker.run)
        yield speaker
        nursery.cancel_scope.cancel()


async def page_says(tab: Page, *texts: str) -> None:
    for text in texts:
        await tab.run(f"say({text!r})")


async def check_all_shown(tab: Page, speaker: Speaker, mine: list[str]) -> None:
    """Every message of both is there once, each one's in its order, and nothing was lost."""
    await tab.until(f"window.answers.length === {len(mine)}")
    last = speaker.said
    for text in (f"other {last}", mine[-1]):
        await tab.until(f"texts('said').includes({text!r})")
    shown: list[str] = await tab.run("texts('said')")
    assert [text for text in shown if text.startswith("mine")] == mine
    others = [int(text.removeprefix("other ")) for text in shown if text.startswith("other")]
    assert others == list(range(others[0], others[-1] + 1))
    assert others[-1] >= last
    answers = await tab.run("window.answers")
    assert [text for text, _ in answers] == mine
    numbers = [number for _, number in answers]
    assert numbers == sorted(set(numbers)), "each was applied once, in order"
    assert await tab.run("texts('lost')") == []


async def recover(tab: Page, harm: Callable[[], None], mend: Callable[[], None]) -> None:
    """Harm, and see the page away, then back. Messages are sent all the while."""
    await page_says(tab, "mine 1", "mine 2")
    await tab.run("void client.on('wss.disconnected', () => { window.away = true })")
    harm()
    await page_says(tab, "mine 3", "mine 4")
    await tab.until("window.away")  # the state itself may be back before somebody looks
    await page_says(tab, "mine 5", "mine 6")
    await tab.until("client.state === 'connected'")
    mend()
    await page_says(tab, "mine 7", "mine 8")


pytestmark = pytest.mark.slow

MINE = [f"mine {n}" for n in range(1, 9)]


def nothing() -> None:
    pass


async def test_the_node_is_killed(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    async with (
        two_nodes(make_server(), tmp_path) as nodes,
        room(chromium, nodes) as tab,
        speaking(nodes[1].url) as speaker,
    ):
        session, before = await tab.run("client.session"), await tab.run("client.node")
        await recover(tab, nodes[0].process.kill, nothing)
        await check_all_shown(tab, speaker, MINE)
        assert await tab.run("client.session") == session
        assert await tab.run("client.node") != before


async def test_the_node_freezes_and_thaws(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    async with (
        two_nodes(make_server(), tmp_path) as nodes,
        room(chromium, nodes) as tab,
        speaking(nodes[1].url) as speaker,
    ):
        process = nodes[0].process
        await recover(
            tab,
            lambda: os.kill(process.pid, signal.SIGSTOP),
            lambda: os.kill(process.pid, signal.SIGCONT),
        )
        await nodes_hear(nodes[0])  # what the page had sent to it was refused there
        await check_all_shown(tab, speaker, MINE)
        assert await tab.run("client.state") == "connected"


async def nodes_hear(node: Running) -> None:
    """Wait until a node is awake and at work."""
    with trio.fail_after(30):
        async with connect(node.url) as client:
            await client.send("say", {"text": "awake"})


async def test_the_node_is_told_to_stop(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    async with (
        two_nodes(make_server(), tmp_path) as nodes,
        room(chromium, nodes) as tab,
        speaking(nodes[1].url) as speaker,
    ):
        await tab.run("client.on('wss.disconnected', (lost) => { window.lost ??= lost })")
        await page_says(tab, "mine 1", "mine 2")
        nodes[0].process.terminate()
        await page_says(tab, "mine 3")
        await tab.until("window.lost && client.state === 'connected'")
        lost = await tab.run("window.lost")
        assert (lost["code"], lost["reason"]) == (1012, "the node is stopping")
        await check_all_shown(tab, speaker, ["mine 1", "mine 2", "mine 3"])


async def test_redis_restarts_with_its_data(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    redis = make_server(appendonly="yes", appendfsync="always")
    async with (
        two_nodes(redis, tmp_path) as nodes,
        room(chromium, nodes) as tab,
        speaking(nodes[1].url) as speaker,
    ):
        await page_says(tab, "mine 1", "mine 2")
        redis.kill()
        await page_says(tab, "mine 3", "mine 4")
        redis.start()
        await page_says(tab, "mine 5")
        await check_all_shown(tab, speaker, MINE[:5])


async def test_redis_restarts_without_its_data(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    redis = make_server()
    async with two_nodes(redis, tmp_path) as nodes, room(chromium, nodes) as tab:
        await page_says(tab, "mine 1")
        await tab.until("window.answers.length === 1")
        session = await tab.run("client.session")
        redis.restart()
        await tab.until("texts('lost').length === 1")
        await tab.until(f"client.state === 'connected' && client.session !== {session!r}")
        await page_says(tab, "mine 2")
        await tab.until("texts('said').includes('mine 2')")
        kinds = await tab.run("[...document.querySelectorAll('li')].map((line) => line.className)")
        assert kinds == ["said", "lost", "said"]


async def test_the_network_goes_away(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    async with (
        two_nodes(make_server(), tmp_path) as nodes,
        room(chromium, nodes) as tab,
        speaking(nodes[1].url) as speaker,
    ):
        await page_says(tab, "mine 1", "mine 2")
        await tab.offline(offline=True)
        await page_says(tab, "mine 3", "mine 4")
        await tab.until("client.state !== 'connected'")
        await page_says(tab, "mine 5")
        await tab.offline(offline=False)
        await tab.until("client.state === 'connected'")
        await check_all_shown(tab, speaker, MINE[:5])


async def test_the_network_is_away_for_more_than_the_history(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    async with (
        two_nodes(make_server(), tmp_path) as nodes,
        room(chromium, nodes) as tab,
        connect(nodes[1].url, buffer=0) as client,
    ):
        speaker = Speaker(client)
        await speaker.say()
        await tab.until("texts('said').length === 1")
        await tab.offline(offline=True)
        await tab.until("client.state !== 'connected'")
        for _ in range(HISTORY + 10):
            await speaker.say()
        await tab.offline(offline=False)
        await tab.until("texts('lost').length === 1")
        await speaker.say()
        await tab.until(f"texts('said').includes('other {HISTORY + 12}')")
        kinds = await tab.run("[...document.querySelectorAll('li')].map((line) => line.className)")
        assert kinds == ["said", "lost", "said"]


async def test_one_event_that_is_too_big_costs_itself_only(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    async with (
        two_nodes(make_server(), tmp_path) as nodes,
        room(chromium, nodes) as tab,
        speaking(nodes[1].url) as speaker,
    ):
        session = await tab.run("client.session")
        await page_says(tab, "mine 1")
        await tab.run(
            "void client.send('say', { text: 'x'.repeat(2 << 20) })"
            ".then(() => 'ok', ({ code }) => code).then((outcome) => { window.outcome = outcome })"
        )
        await page_says(tab, "mine 2", "mine 3")
        await tab.until("window.outcome")
        assert await tab.run("window.outcome") == "invalid"
        await check_all_shown(tab, speaker, MINE[:3])
        assert await tab.run("client.session") == session


REFUSALS = """
    (async () => {
        const { connect } = await import("/trio-wss.js");
        const thrown = (act) => { try { act(); } catch (error) { return String(error); } };
        return {
            option: thrown(() => connect("/", { pingIntervall: 1 })),
            address: thrown(() => connect("mailto:me@example.org")),
            half: await client.send("say" + "😀"[0]).catch(String),
            own: await client.send("wss.ping").catch(String),
        };
    })()
"""


async def test_a_page_is_told_what_cannot_be(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    async with two_nodes(make_server(), tmp_path) as nodes, room(chromium, nodes) as tab:
        found = await tab.run(REFUSALS)
        assert all(text.startswith("TypeError: ") for text in found.values()), found
        await tab.run("void client.send('say', { text: 'unawaited' }); client.close()")
        await tab.until("client.state === 'closed'")  # and no error of the page, see `room`


async def test_tabs_have_sessions_of_their_own_and_a_reload_begins_a_new_one(
    chromium: Chromium, make_server: MakeServer, tmp_path: Path
) -> None:
    async with (
        two_nodes(make_server(), tmp_path) as nodes,
        room(chromium, nodes) as one,
        room(chromium, nodes) as other,
    ):
        session = await one.run("client.session")
        assert await other.run("client.session") != session
        await one.call("Page.reload")
        await one.until(f"window.client?.session && client.session !== {session!r}")
        await page_says(one, "mine 1")
        await other.until("texts('said').includes('mine 1')")
