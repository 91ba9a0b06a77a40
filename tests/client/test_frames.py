"""trio_wss/client/frames.py: the wire protocol's frames, as a client reads and writes them."""

import json
from dataclasses import dataclass
from enum import Enum
from math import inf, nan
from typing import Any

import pytest

from trio_wss.client import Answer, Event, EventError, Ticket, Welcome
from trio_wss.client.frames import BEGIN, BadFrame, decode, encode, named, raw, welcome

WELCOME = {
    "session": "s",
    "token": "t",
    "node": "n",
    "resumed": False,
    "last": 0,
    "protocol": 1,
}


@pytest.mark.parametrize(
    ("event", "data", "number", "frame"),
    [
        ("say", {"a": [1, "ü"]}, 7, '{"event":"say","id":7,"data":{"a":[1,"ü"]}}'),
        ("say", None, 7, '{"event":"say","id":7}'),
        ("say", 0, None, '{"event":"say","data":0}'),
    ],
)
def test_what_a_client_writes(event: str, data: Any, number: int | None, frame: str) -> None:
    assert encode(event, data, number) == frame


@dataclass
class Point:
    x: float
    y: float | None = None


class Far(Enum):
    FAR = inf


class Near(Enum):
    NEAR = None


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
DEEP = json.loads("[" * 70 + "]" * 70)


@pytest.mark.parametrize(
    "data",
    [
        object(), b"bytes", {1: 2}, CIRCLE, "\ud83d", ["\ud83d"], {"\ud83d": 1}, 2**64, -(2**64),
        nan, inf, -inf, [1, {"a": (nan,)}], Point(nan), [Point(1.0, inf)], Far.FAR,
    ],
)  # fmt: skip
def test_what_json_cannot_hold_is_a_type_error_and_never_null(data: Any) -> None:
    with pytest.raises(TypeError):
        raw(data)


@pytest.mark.parametrize(
    "data", [None, "null", [None, 1.5], Point(1.0), DEEP, 2**64 - 1, -(2**63), "😀", Near.NEAR]
)
def test_what_json_can_hold_is_none(data: Any) -> None:
    frame = json.loads(encode("say", raw(data), 1))
    assert set(frame) == {"event", "id", "data"} - ({"data"} if data is None else set())


@pytest.mark.parametrize("event", [None, 5, b"say", ["say"], "say\ud83d", "wss.", "wss.ping"])
def test_a_name_that_no_event_can_have_is_a_type_error(event: Any) -> None:
    with pytest.raises(TypeError):
        named(event)


def test_any_other_name_may_be_an_events() -> None:
    for event in ("say", "", "wss", "é😀", "x" * 1000):
        assert named(event) == event


def test_the_first_word_in_a_session_that_is_new() -> None:
    assert BEGIN == '{"event":"wss.begin"}'


@pytest.mark.parametrize(
    ("frame", "number", "value"),
    [
        ('{"event":"ok","re":7,"data":{"n":1}}', 7, Answer("ok", {"n": 1})),
        ('{"event":"wss.ok","re":7}', 7, Answer("wss.ok")),
        ('{"event":"x","new":"key"}', None, Event("x")),
        (
            '{"event":"said","topic":"a","epoch":"x","offset":42,"data":[]}',
            None,
            Event("said", [], "a", "x", 42),
        ),
        (
            '{"event":"wss.error","data":{"code":"invalid","message":"m"}}',
            None,
            Event("wss.error", {"code": "invalid", "message": "m"}),
        ),
    ],
)
def test_what_a_client_reads(frame: str, number: int | None, value: Any) -> None:
    assert decode(frame) == (number, value)


def test_an_error_answer_is_an_exception_with_code_message_and_path() -> None:
    number, error = decode(
        '{"event":"wss.error","re":3,"data":{"code":"invalid","message":"no","path":"data.n"}}'
    )
    assert number == 3
    assert isinstance(error, EventError)
    assert (error.code, error.message, error.path) == ("invalid", "no", "data.n")
    assert str(error) == "invalid: no (data.n)"
    assert str(EventError("invalid", "data.n: no", "data.n")) == "invalid: data.n: no"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        b"\xff",
        "[]",
        "{}",
        '{"event":5}',
        '{"event":"ok","re":"7"}',
        '{"event":"wss.error","re":7}',
        '{"event":"wss.error","re":7,"data":{}}',
    ],
)
def test_what_the_protocol_does_not_allow(frame: str | bytes) -> None:
    with pytest.raises(BadFrame):
        decode(frame)


def test_the_welcome() -> None:
    frame = json.dumps({"event": "wss.welcome", "data": WELCOME})
    assert welcome(frame) == Welcome("s", "t", "n", False, 0, 1)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ({"event": "hello"}, "no wss.welcome"),
        ({"event": "wss.welcome", "re": 1}, "no wss.welcome"),
        ({"event": "wss.welcome"}, "without last, node"),
        ({"event": "wss.welcome", "data": WELCOME | {"protocol": 2}}, "protocol 2"),
    ],
)
def test_what_is_no_welcome(frame: dict[str, Any], says: str) -> None:
    with pytest.raises(BadFrame, match=says):
        welcome(json.dumps(frame))


def test_a_ticket_does_not_show_its_token() -> None:
    ticket = Ticket("secret", {"room:a": ("e", 7)}, last=3)
    assert "secret" not in repr(ticket)
    assert "room:a" in repr(ticket)


def test_a_new_ticket_has_used_no_id_and_made_no_attempt() -> None:
    ticket = Ticket("secret", {})
    assert (ticket.last, ticket.attempt) == (0, 0)
    assert ticket == Ticket("secret", {})
    assert ticket != Ticket("other", {})
