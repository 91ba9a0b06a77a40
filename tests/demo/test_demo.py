"""trio_wss/demo: what a room keeps and tells, and the code that its page shows."""

import html
import inspect
import re
import textwrap
from pathlib import Path

import pytest
import trio

from trio_wss import demo
from trio_wss.client import Client, Event, EventError
from trio_wss.demo import app, board
from trio_wss.testing import World, cluster, play

PAGE = Path(demo.__file__).parent / "static/index.html"
SHOWN = re.findall(r'<code data-handler="(\w+)">(.*?)</code>', PAGE.read_text(), re.DOTALL)


def test_say_counts_and_tells() -> None:
    outcome = play(app, "say", {"room": "a", "text": "hi"})
    assert outcome.reply is not None
    assert (outcome.reply.event, outcome.reply.data) == ("ok", {"n": 1})
    [told] = outcome.broadcasts
    assert (told.topic, told.event) == ("room:a", "said")
    assert told.data == {"n": 1, "by": "s1", "text": "hi"}


def test_a_newcomer_is_shown_the_room_as_it_is() -> None:
    world = World(app, now=0.0)
    for number in range(demo.KEPT + 2):
        world.play("post", {"room": "a", "text": f"{number}"})
    world.play("tap", {"room": "a"})
    world.play("move", {"room": "a", "cell": 0, "turn": 0})
    outcome = world.play("look", {"room": "a"})
    assert outcome.reply is not None
    shown = outcome.reply.data
    assert [message["text"] for message in shown["log"]] == [
        f"{number}" for number in range(2, demo.KEPT + 2)
    ]
    assert (shown["posts"], shown["taps"]) == (demo.KEPT + 2, 1)
    assert shown["board"]["cells"] == "X........"
    assert shown["people"] == ["s1"]
    assert set(outcome.joined) == {"table:a", "taps:a"}


@pytest.mark.parametrize("text", ["", "x" * 501])
def test_a_message_has_a_length(text: str) -> None:
    outcome = play(app, "post", {"room": "a", "text": text})
    assert outcome.error is not None
    assert outcome.error.code == "bad_length"


def test_where_changes_nothing() -> None:
    outcome = play(app, "where")
    assert outcome.state == {}
    assert outcome.broadcasts == ()


@pytest.mark.parametrize(("name", "code"), SHOWN, ids=[name for name, _ in SHOWN])
def test_the_page_shows_the_code_that_runs(name: str, code: str) -> None:
    handler = getattr(demo, name, None) or getattr(board, name)
    assert textwrap.indent(html.unescape(code), "    ") in inspect.getsource(handler)


async def test_who_comes_and_goes_is_told_and_one_of_two_gets_the_cell(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 2, redis=redis_url) as nodes,
            nodes.connect(0, {"room": "a"}) as one,
        ):
            await one.send("look", {"room": "a"})
            async with nodes.connect(1, {"room": "a"}) as other:
                looked = await other.send("look", {"room": "a"})
                assert set(looked.data["people"]) == {one.session, other.session}
                results: list[str] = []
                async with trio.open_nursery() as nursery:
                    for client in (one, other):
                        nursery.start_soon(reach, client, results)
                assert sorted(results) == ["ok", "taken"]
                gone = other.session
            async for event in one.events():
                if isinstance(event, Event) and event.event == "gone":
                    assert event.data == {"who": gone}
                    break


async def reach(client: Client, results: list[str]) -> None:
    try:
        answer = await client.send("move", {"room": "a", "cell": 4, "turn": 0})
        results.append(answer.event)
    except EventError as error:
        results.append(error.code)
