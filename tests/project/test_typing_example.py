"""The design's example runs, and mypy tells a wrong handler from a right one."""

from pathlib import Path

import pytest
from mypy import api

from tests.project.typing_example import Game, Move, Say, app, enter, move, say
from trio_wss import Broadcast, Client, Increment, Join, Refused, Reply, Store
from trio_wss.reads import ReadRequest

CLIENT = Client("s1", "ann", None, {"room": "tea"})

WRONG = """
from collections.abc import Iterator
from trio_wss import App, Broadcast, Client, Effect, Effects, Increment, Reply

app = App()

@app.on("a")  # E
def returns_a_number(client: Client) -> int:
    return 5

@app.on("b")  # E
async def is_async(client: Client) -> Effects:
    return None

@app.on_connect
def returns_a_dict(client: Client) -> Effects:
    return {"event": "ok"}  # E

@app.on("c")
def is_a_generator(client: Client) -> Iterator[Effect]:
    n = Increment("n")
    yield n
    yield Reply("ok", n.result + 1)  # Any: refused when it runs

def uses() -> None:
    returned: Iterator[Effect] = is_a_generator(Client("s"))
    is_a_generator("s")  # E
    Broadcast("t", "e", None, True)  # E
"""


def test_a_handlers_test_is_a_function_call() -> None:
    n = Increment("count:a")
    assert say(Say("a", "hi"), CLIENT) == [
        n,
        Broadcast("room:a", "said", {"n": n.result, "by": "s1", "text": "hi"}),
        Reply("ok", {"n": n.result}),
    ]
    assert enter(CLIENT) == Join("room:tea")


def test_a_read_modify_write() -> None:
    event = Move("g", 1, 2)
    assert move(event, CLIENT, Game("ann", "bo")) == [
        Store("game:g", Game("bo", "bo")),
        Broadcast("game:g", "moved", event),
    ]
    with pytest.raises(Refused, match="Wait for your turn"):
        move(event, CLIENT, Game("bo", "ann"))


def test_the_example_compiled() -> None:
    handler = app.handlers["move"]
    event = handler.bind({"game": "g", "x": 1, "y": 2})
    assert handler.requests(event, CLIENT) == (ReadRequest("value", "game:g"),)
    stored = b'{"turn":"ann","other":"bo"}'
    assert handler.run(event, CLIENT, [stored], 0.0, 1) == move(event, CLIENT, Game("ann", "bo"))
    with pytest.raises(Refused):
        handler.run(event, CLIENT, [None], 0.0, 1)


@pytest.mark.slow
def test_mypy_takes_the_example_and_refuses_wrong_handlers(tmp_path: Path) -> None:
    out, _, status = api.run(["--strict", str(Path(__file__).with_name("typing_example.py"))])
    assert status == 0, out
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    out, _, _ = api.run(["--strict", str(wrong)])
    found = {int(line.split(":")[1]) for line in out.splitlines() if ": error:" in line}
    assert found == {n for n, line in enumerate(WRONG.splitlines(), 1) if "# E" in line}, out
