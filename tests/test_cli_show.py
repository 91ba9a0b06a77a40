"""trio_wss/cli/show.py: what is received, as the wire's JSON and as words."""

import pytest

from trio_wss.cli.show import as_json, as_text
from trio_wss.client import Answer, Event, EventError


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
