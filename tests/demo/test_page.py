"""trio_wss/demo's page in a real browser: what it shows, how it recovers, and that it can be used
without a mouse and without eyes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.processes import trio_wss
from tests.web.browser.chromium import Chromium, Page, page
from trio_wss.client import connect
from trio_wss.demo import app
from trio_wss.settings import Settings
from trio_wss.testing import Cluster, cluster

pytestmark = pytest.mark.slow

READY = (
    "window.client?.state === 'connected' && document.querySelector('#board [aria-label]') !== null"
)
TEXTS = (
    "[...document.querySelectorAll('#log li')]"
    ".map((line) => line.childNodes[1]?.textContent.trim() ?? line.textContent)"
)


@asynccontextmanager
async def two_nodes() -> AsyncIterator[Cluster]:
    async with cluster(app, 2, settings=Settings(drain=0.5)) as nodes:
        yield nodes


@asynccontextmanager
async def demo_page(chromium: Chromium, url: str) -> AsyncIterator[Page]:
    async with page(chromium, f"{url.replace('ws:', 'http:')}/?room=tea") as tab:
        await tab.until(READY)
        yield tab
        assert tab.errors == []


async def press(tab: Page, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
        await tab.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            windowsVirtualKeyCode=code,
            **text,
        )


async def test_two_tabs_chat_tap_and_play(chromium: Chromium) -> None:
    async with (
        two_nodes() as nodes,
        demo_page(chromium, nodes.nodes[0].url) as one,
        demo_page(chromium, nodes.nodes[1].url) as two,
    ):
        await one.until("document.querySelector('#people').textContent.includes('(2)')")
        await one.run("document.querySelector('#text').focus()")
        await one.call("Input.insertText", text="<b>hi</b> & so on")
        await press(one, "Enter", 13)
        for tab in (one, two):
            await tab.until(f"{TEXTS}.length === 1")
            assert await tab.run(TEXTS) == ["<b>hi</b> & so on"]
        assert await one.run("document.querySelectorAll('#sending li').length") == 0

        await one.run("document.querySelector('#hammer').click()")
        await two.run("document.querySelector('#tap').click()")
        for tab in (one, two):
            await tab.until("document.querySelector('#count').textContent === '101'")
            assert "each one in order" in await tab.run("document.querySelector('#taps').innerText")

        await one.run("document.querySelector('#board button').click()")
        await two.until("document.querySelector('#board button').textContent === 'X'")
        await two.run("document.querySelector('#race').click()")
        await two.until("/won the cell/.test(document.querySelector('#verdict').textContent)")
        marks = "[...document.querySelectorAll('#board button')].map((cell) => cell.textContent)"
        assert sorted(await two.run(marks)) == [""] * 7 + ["O", "X"]
        for tab in (one, two):
            await tab.until("/ 0 missing/.test(document.querySelector('#seen').textContent)")


async def test_a_dropped_connection_misses_nothing(chromium: Chromium) -> None:
    async with (
        two_nodes() as nodes,
        demo_page(chromium, nodes.nodes[0].url) as tab,
        connect(f"{nodes.nodes[1].url}/?room=tea", buffer=0) as other,
    ):
        await other.send("post", {"room": "tea", "text": "before"})
        await tab.until(f"{TEXTS}.includes('before')")
        await tab.run("document.querySelector('#drop').click()")
        await tab.until("document.querySelector('#state').dataset.state === 'waiting'")
        for number in range(20):
            await other.send("post", {"room": "tea", "text": f"{number}"})
        await tab.run("document.querySelector('#text').value = 'mine'")
        await tab.run("document.querySelector('#post').requestSubmit()")
        assert await tab.run("document.querySelector('#sending').innerText") == "mine (sending…)"
        await tab.until(f"{TEXTS}.includes('mine')")
        assert await tab.run(TEXTS) == ["before", *map(str, range(20)), "mine"]
        assert await tab.run("document.querySelector('#seen').innerText.includes(' 0 missing')")


async def test_lost_history_is_said_and_the_state_read_anew(chromium: Chromium) -> None:
    async with (
        two_nodes() as nodes,
        demo_page(chromium, nodes.nodes[0].url) as tab,
        connect(f"{nodes.nodes[1].url}/?room=tea", buffer=0) as other,
    ):
        await other.send("post", {"room": "tea", "text": "before"})
        await tab.until(f"{TEXTS}.includes('before')")
        await tab.run("document.querySelector('#drop').click()")
        for number in range(200):
            await other.submit("post", {"room": "tea", "text": f"{number}"})
        await other.send("post", {"room": "tea", "text": "last"})
        await tab.until(f"{TEXTS}.includes('last')")
        before, lost, *kept = await tab.run(TEXTS)
        assert before == "before"
        assert lost.startswith("Messages were lost here.")
        assert kept == [*map(str, range(151, 200)), "last"]


# A part of the page with a client that the test plays: `hear` is what comes, in its order.
PART = """
    const listeners = {};
    const client = { session: "me", on: (event, listener) => { listeners[event] = listener; } };
    const message = (n) => ({ by: "x", at: 0, text: `${n}` });
    const hear = (...numbers) => {
        for (const n of numbers) listeners.posted({ n, ...message(n) }, { offset: n });
    };
    const kept = (posts, most = 5) => {
        const log = Array.from({ length: posts }, (_, at) => message(at + 1));
        chat.reset({ log: log.slice(-most), posts, people: ["me"] });
    };
"""


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        ("hear(1); kept(1); hear(2)", "1 2"),
        ("hear(9); kept(9); hear(10)", "5 6 7 8 9 10"),
        ("kept(9); hear(8, 9, 10)", "5 6 7 8 9 10"),
        ("hear(10, 11); kept(9); hear(12)", "5 6 7 8 9 10 11 12"),
        ("kept(9); hear(10, 11); kept(10); hear(12)", "5 6 7 8 9 10 11 12"),
        ("kept(2); chat.lost(); hear(5); kept(5); hear(6)", "1 2 | 3 4 5 6"),
        ("kept(2); chat.lost(); hear(3, 4); kept(3); hear(5)", "1 2 | 3 4 5"),
        ("hear(4); chat.lost(); hear(6); kept(3); kept(6); hear(7)", "| 1 2 3 4 5 6 7"),
        ("kept(9); chat.lost(); hear(9, 10); kept(9); hear(11)", "5 6 7 8 9 | 10 11"),
        ("kept(9); chat.lost(); hear(9); kept(8); hear(10)", "5 6 7 8 9 | 4 5 6 7 8 9 10"),
        ("kept(9); chat.lost(); hear(2, 3); kept(2); hear(4)", "5 6 7 8 9 | 1 2 3 4"),
    ],
    ids=[
        "an empty room",
        "a busy room",
        "the state overtakes what is in it",
        "the state is that of before a resume",
        "so is that of one who knew it",
        "history was lost",
        "and the state is older than what came since",
        "twice, before the state came",
        "nothing was missed",
        "Redis lost its last commits",
        "Redis lost its data",
    ],
)
async def test_the_chat_is_whole_and_in_order(chromium: Chromium, what: str, shown: str) -> None:
    async with two_nodes() as nodes, demo_page(chromium, nodes.nodes[0].url) as tab:
        await tab.run(f"""import("/chat.js").then(({{ startChat }}) => {{
            {PART}
            const chat = startChat(client, "tea");
            {what};
        }})""")
        texts = [
            "|" if text.startswith("Messages were lost") else text for text in await tab.run(TEXTS)
        ]
        assert " ".join(texts) == shown


async def test_a_room_whose_state_does_not_come_shows_what_is_new(chromium: Chromium) -> None:
    async with two_nodes() as nodes, demo_page(chromium, nodes.nodes[0].url) as tab:
        await tab.run(f"""import("/chat.js").then(({{ startChat }}) => {{
            {PART}
            const chat = startChat(client, "tea");
            for (let n = 8; n < 1000; n++) hear(n);
        }})""")
        texts = await tab.run(TEXTS)
        assert texts == [str(n) for n in range(1000 - len(texts), 1000)]
        assert texts


async def test_nobody_plays_before_the_board_is_known(chromium: Chromium) -> None:
    async with two_nodes() as nodes, demo_page(chromium, nodes.nodes[0].url) as tab:
        enabled = "document.querySelectorAll('#game button:enabled').length"
        assert await tab.run(enabled) == 11
        await tab.run(f"""import("/game.js").then(({{ startGame }}) => {{
            {PART}
            document.querySelector("#board").replaceChildren();
            window.game = startGame(client, "tea", {{}});
        }})""")
        assert await tab.run(enabled) == 0
        await tab.run("game.reset({ board: { cells: '.'.repeat(9), turn: 0, game: 1 } })")
        assert await tab.run(enabled) == 11


async def test_everything_has_a_name_and_can_be_reached_by_keyboard(chromium: Chromium) -> None:
    async with two_nodes() as nodes, demo_page(chromium, nodes.nodes[0].url) as tab:
        await tab.call("Accessibility.enable")
        tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
        roles: dict[str, list[str]] = {}
        for node in tree:
            if not node["ignored"]:
                name = node.get("name", {}).get("value", "")
                roles.setdefault(node["role"]["value"], []).append(name)
        for role in ("button", "textbox", "link", "log", "heading", "table"):
            assert roles[role], role
            assert all(roles[role]), f"a {role} without a name"
        assert "Row 1, column 1: free" in roles["button"]
        assert "Board" in roles["group"]
        assert set(roles) >= {"main", "banner", "contentinfo", "complementary", "status"}

        await press(tab, "Tab", 9)
        assert await tab.run("document.activeElement.className") == "skip"
        seen = set()
        for _ in range(40):
            await press(tab, "Tab", 9)
            seen.add(await tab.run("document.activeElement.id || document.activeElement.ariaLabel"))
        assert seen >= {"text", "tap", "hammer", "race", "clear", "drop", "Row 3, column 3: free"}


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
async def test_no_width_makes_it_scroll_sideways(chromium: Chromium, width: int) -> None:
    async with two_nodes() as nodes, demo_page(chromium, nodes.nodes[0].url) as tab:
        await tab.looks(width, 800, phone=width < 500)
        await tab.run("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        assert await tab.run("document.documentElement.scrollWidth") <= width


async def test_the_page_kills_the_node_that_it_is_on(chromium: Chromium, tmp_path: Path) -> None:
    async with trio_wss("demo", "--nodes", "2", cwd=tmp_path) as running:
        await running.listening()
        await running.out.until(r"^Open http://127.0.0.1:\d+/ in a browser")
        up = "#nodes li:not(.down)"
        async with demo_page(chromium, running.url) as tab:
            await tab.until(f"document.querySelectorAll('{up}').length === 2")
            session, node = await tab.run("client.session"), await tab.run("client.node")
            await tab.run("document.querySelector('#nodes li.here button').click()")
            await tab.until(f"client.state === 'connected' && client.node !== {node!r}")
            assert await tab.run("client.session") == session
            await tab.until("document.querySelectorAll('#nodes li.down').length === 1")
            await tab.until("document.querySelector('#nodes li.here') !== null")
            last = "document.querySelector('#nodes li.here b').textContent.at(-1)"
            kill = f"client.send('kill', {{ node: {last} }})"
            assert await tab.run(f"{kill}.catch((error) => error.code)") == "last_one"
            await tab.until(f"document.querySelectorAll('{up}').length === 2")
        with trio.fail_after(30):
            running.process.terminate()
            assert await running.ended() == 0
