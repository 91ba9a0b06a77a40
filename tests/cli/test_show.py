"""trio_wss/cli/show.py: what is received, as the wire's JSON and as words."""

import pytest

from trio_wss.cli.show import as_json, as_sentence, as_text
from trio_wss.client import Answer, Connected, Disconnected, Event, EventError, State


@pytest.mark.parametrize(
    ("shown", "number", "json", "text"),
    [
        (Answer("ok", {"n": 1}), 7, '{"event":"ok","re":7,"data":{"n":1}}', 'ok {"n":1}'),
        (Answer("wss.ok"), 7, '{"event":"wss.ok","re":7}', "wss.ok"),
        (
            EventError("full", "The room is full."),
            7,
            '{"event":"wss.error","re":7,"data":{"code":"full","message":"The room is full."}}',
            "error full: The room is full.",
        ),
        (
            EventError("invalid", "a number", "data.n"),
            7,
            '{"event":"wss.error","re":7,'
            '"data":{"code":"invalid","message":"a number","path":"data.n"}}',
            "error invalid: a number (data.n)",
        ),
        (
            Event("said", [1], "room:a", "x", 3),
            None,
            '{"event":"said","topic":"room:a","epoch":"x","offset":3,"data":[1]}',
            "said room:a #3 [1]",
        ),
        (
            Event("typing", None, "room:a"),
            None,
            '{"event":"typing","topic":"room:a"}',
            "typing room:a",
        ),
    ],
)
def test_one_line_each(
    shown: Answer | EventError | Event, number: int | None, json: str, text: str
) -> None:
    assert as_json(shown, number) == json
    assert as_text(shown) == text


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (Connected(False, "s", "n"), "connected to node n as session s"),
        (Connected(True, "s", "n"), "connected to node n as session s, resumed"),
        (
            Disconnected(1012, "the node is stopping", 0.25),
            "no connection (1012: the node is stopping); next try in 0.2 s",
        ),
        (Disconnected(1006, "", None), "no connection (1006)"),
    ],
)
def test_how_the_connection_is(state: State, sentence: str) -> None:
    assert as_sentence(state) == sentence
