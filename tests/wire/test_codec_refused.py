"""Frames from a client become events, or refusals that say whose they are."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_wss.wire import codec

IDS = st.integers(1, 2**53 - 1)
HALF = "\ud83d"  # of an emoji, as `"😀".slice(0, 1)` leaves it
TEXTS = st.text(st.characters(codec=None, categories=None))  # lone surrogates among them
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def taken(frame: str) -> codec.Message | codec.Malformed:
    try:
        return codec.parse_message(frame)
    except codec.Malformed as fault:
        return fault


def refused(frame: str | bytes) -> codec.Malformed:
    with pytest.raises(codec.Malformed) as caught:
        codec.parse_message(frame)
    return caught.value


@given(JSON, IDS)
@example(HALF, 1)
@example({HALF: 1}, 2)
@example(nested(80), 3)
@example(float("nan"), 4)
@example([float("inf"), -float("inf")], 4)
@example(2**64, 5)
@example(-(10**400), 5)
@example([{"a": [2**64 - 1, -(2**63), 2**80]}], 2**53 - 1)
def test_whatever_python_writes_shows_its_id(data: Any, number: int) -> None:
    frame = json.dumps({"event": "x", "id": number, "data": data})
    match taken(frame):
        case codec.Message() as message:
            assert message.id == number
        case codec.Malformed() as fault:
            assert fault.number == number
            assert codec.error(number, "invalid", fault.message, fault.path)


@given(JSON, IDS)
def test_a_good_message_holds_what_was_sent(data: Any, number: int) -> None:
    """Or it is refused: nothing turns into another value."""
    found = taken(json.dumps({"event": "x", "id": number, "data": data}))
    if isinstance(found, codec.Message):
        assert found.data == data
        assert json.dumps(found.data) == json.dumps(data)


@pytest.mark.parametrize(
    ("data", "path", "says"),
    [
        pytest.param('{"text":"\\ud83d"}', "data.text", "surrogate", id="half an emoji"),
        pytest.param('[1,"\\udc00!"]', "data[1]", "surrogate", id="the other half"),
        pytest.param('{"a":{"\\ud83d":1}}', "data.a", "surrogate", id="in a key"),
        pytest.param("NaN", "data", "NaN", id="NaN"),
        pytest.param('{"x":[-Infinity]}', "data.x[0]", "Infinity", id="Infinity"),
        pytest.param('{"n":18446744073709551616}', "data.n", "64 bits", id="2^64"),
        pytest.param("[-9223372036854775809]", "data[0]", "64 bits", id="below -2^63"),
        pytest.param("1" + "0" * 5000, "data", "64 bits", id="very long"),
        pytest.param("[" * 80 + "]" * 80, "", "deeper than 64", id="80 deep"),
        pytest.param("[" * 990 + "]" * 990, "", "deeper than 64", id="990 deep"),
        pytest.param('{"a":' * 5000 + "0" + "}" * 5000, "", "deeper than 64", id="5,000 deep"),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_what_cannot_be_taken_is_said_with_its_place(
    data: str, path: str, says: str, last: bool
) -> None:
    start, end = ("", ',"id":7') if last else ('"id":7,', "")
    fault = refused(f'{{"event":"x",{start}"data":{data}{end}}}')
    assert fault.number == 7
    assert fault.path == path
    assert says.lower() in fault.message.lower()


def test_half_an_emoji_in_the_name_of_an_event() -> None:
    fault = refused('{"event":"\\ud83d","id":7}')
    assert (fault.number, fault.path) == (7, "event")


def test_a_binary_frame_with_json_shows_its_id() -> None:
    assert refused(b'{"event":"x","id":7}').number == 7
    assert refused(b"\xff\x00").number is None


@pytest.mark.parametrize(
    "frame",
    [
        '{"event":"x","id":7',
        '{"event":"x","id":7,}',
        '{"event":"x","id":7,"data":\'a\'}',
        '{"event":"x","id":7}}',
        '["\\ud83d",7]',
        '{"event":"\\ud83d"}',
        '{"event":"\\ud83d","id":0}',
        '{"event":"\\ud83d","id":true}',
        '{"event":"\\ud83d","id":9007199254740992}',
        '{"event":"\\ud83d","id":7.0}',
    ],
)
def test_what_shows_no_good_id_has_none(frame: str) -> None:
    assert refused(frame).number is None


@pytest.mark.parametrize(
    "data",
    [
        "18446744073709551615",
        "-9223372036854775808",
        "123456789012345678901.5",
        "1234567890123456789012e3",
        "0.1234567890123456789012345",
        '"12345678901234567890123"',
        '{"12345678901234567890123":1}',
        '"\\"-12345678901234567890123"',
    ],
)
def test_digits_that_are_no_integer_beyond_64_bits(data: str) -> None:
    assert codec.parse_message(f'{{"event":"x","data":{data}}}').data == json.loads(data)


@given(st.integers(-(2**66), 2**66), st.text('ab {}"\\1234567890', max_size=60))
def test_no_integer_changes_wherever_it_stands(number: int, before: str) -> None:
    frame = json.dumps({"event": "x", "id": 1, "data": [before, number]})
    match taken(frame):
        case codec.Message() as message:
            assert message.data == [before, number]
        case codec.Malformed() as fault:
            assert not -(2**63) <= number < 2**64
            assert (fault.number, fault.path) == (1, "data[1]")


def test_keys_that_are_ignored_may_hold_any_number() -> None:
    message = codec.parse_message('{"event":"x","id":1,"sent":18446744073709551616}')
    assert message == codec.Message("x", 1)


def test_the_shortest_integer_beyond_64_bits_is_found_at_every_place() -> None:
    for padding in range(60):
        frame = json.dumps({"event": "x", "data": [" " * padding, -(2**63) - 1]})
        assert refused(frame).path == "data[1]"
