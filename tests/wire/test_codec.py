"""trio_wss/wire/codec.py: one event in, and every text that goes out."""

from typing import Any

import orjson
import pytest

from trio_wss.wire import codec
from trio_wss.wire.codec import Malformed, Message, Resume
from trio_wss.wire.faulty import LARGEST_ID


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"event":"say"}', Message("say")),
        ('{"event":"say","id":1,"data":[1],"more":2}', Message("say", 1, [1])),
        ('{"event":"","id":null}', Message("")),
        (f'{{"event":"say","id":{LARGEST_ID - 1}}}', Message("say", LARGEST_ID - 1)),
    ],
)
def test_a_message(text: str, message: Message) -> None:
    assert codec.parse_message(text) == message


@pytest.mark.parametrize(
    ("text", "path", "number"),
    [
        (b'{"event":"say"}', "", None),
        ("{", "", None),
        ("[]", "", None),
        ('{"event":"say","id":0}', "id", None),
        ('{"event":"say","id":-1}', "id", None),
        ('{"event":"say","id":1.0}', "id", None),
        ('{"event":"say","id":true}', "id", None),
        ('{"event":"say","id":"1"}', "id", None),
        (f'{{"event":"say","id":{LARGEST_ID}}}', "id", None),
        ('{"id":7}', "event", 7),
        ('{"event":5,"id":7}', "event", 7),
    ],
)
def test_what_is_no_message(text: str | bytes, path: str, number: int | None) -> None:
    with pytest.raises(Malformed) as caught:
        codec.parse_message(text)
    assert (caught.value.path, caught.value.number) == (path, number)


def resume(**data: Any) -> str:
    return orjson.dumps({"event": "wss.resume", "data": data}).decode()


def test_a_resume_keeps_what_is_a_cursor_and_an_attempt() -> None:
    topics = {
        "a": ["e", 0], "b": ["", 5], "no": ["e", -1], "long": ["x" * 65, 1], "space": [" ", 1],
        "bool": ["e", True], "large": ["e", LARGEST_ID], "short": ["e"], "float": ["e", 1.0],
    }  # fmt: skip
    found = codec.parse_resume(resume(token="t", topics=topics, attempt=2))
    assert found == Resume("t", {"a": ("e", 0), "b": ("", 5)}, 2)
    for attempt in (-1, True, "2", LARGEST_ID, None):
        found = codec.parse_resume(resume(token="t", attempt=attempt))
        assert found == Resume("t", {}, None)


@pytest.mark.parametrize(
    "text", ["{", '{"event":"say"}', resume(), resume(token=5), '{"event":"wss.resume","data":[]}']
)
def test_what_is_no_resume(text: str) -> None:
    assert codec.parse_resume(text) is None


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (codec.reply('o"k', 7, b"[1]"), b'{"event":"o\\"k","re":7,"data":[1]}'),
        (codec.reply("ok", None, b"null"), b'{"event":"ok","data":null}'),
        (codec.ok(7), b'{"event":"wss.ok","re":7}'),
        (
            codec.error(7, "invalid", "is missing", "data.n"),
            b'{"event":"wss.error","re":7,"data":'
            b'{"code":"invalid","message":"is missing","path":"data.n"}}',
        ),
        (
            codec.error(None, "refused", "no"),
            b'{"event":"wss.error","data":{"code":"refused","message":"no"}}',
        ),
        (
            codec.joined("t", "e", 4, recovered=True),
            b'{"event":"wss.joined","data":{"topic":"t","epoch":"e","offset":4,"recovered":true}}',
        ),
        (codec.left("t"), b'{"event":"wss.left","data":{"topic":"t"}}'),
        (codec.pong(), b'{"event":"wss.pong"}'),
        (
            codec.welcome("s", "t", "n", resumed=False, last=0),
            b'{"event":"wss.welcome","data":{"session":"s","token":"t","node":"n",'
            b'"resumed":false,"last":0,"protocol":1}}',
        ),
    ],
)
def test_what_goes_out(made: bytes, text: bytes) -> None:
    assert made == text


def test_the_reason_of_a_restart_fits_into_a_close() -> None:
    reason = codec.restart_reason("the session is gone", 1.2345)
    assert orjson.loads(reason) == {"retry": 1.23, "why": "the session is gone"}
    assert len(reason) <= 123
