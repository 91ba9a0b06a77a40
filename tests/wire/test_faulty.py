"""A refused frame is read again: in bounded time, whatever it is."""

import time

import pytest

from trio_wss.data.json import TOO_DEEP
from trio_wss.wire.faulty import NOT_FINITE, Refusal, find_beyond, look_again

MIB = 1 << 20


def short(value: object) -> str | None:
    """Not a name of 10,000 brackets for a test."""
    return f"{len(value)} long" if isinstance(value, str) and len(value) > 100 else None


def deep(depth: int, start: str = '{"id":7,"data":', end: str = "}") -> str:
    return start + "[" * depth + "]" * depth + end


@pytest.mark.parametrize(
    ("frame", "number"),
    [
        (deep(5000), 7),
        (deep(20_000), 7),
        (deep(5000, '{"data":', ',"id":7}'), 7),
        (deep(5000, '{"event":"id","id" : 7 ,"data":', "} "), 7),
        (deep(5000, '{"a":{"id":8},"id":7,"data":'), 7),
        (deep(5000, '{"text":"\\",\\"id\\":8","data":', ',"id":7}'), 7),
        (deep(5000, '{"text":"{[","id":7,"data":'), 7),
        (deep(5000, '{"id":6,"data":', ',"id":7}'), 7),  # the last one counts, as in any JSON
        (
            deep(20_000, '{"id":7,"texts":[' + '"a",' * 150_000 + '0],"data":'),
            7,
        ),  # looked at in part
        (deep(5000, '{"id":7.5,"data":'), None),
        (deep(5000, '{"id":7e1,"data":'), None),
        (deep(5000, '{"id":0,"data":'), None),
        (deep(5000, '{"id":9007199254740992,"data":'), None),
        (deep(5000, '{"a":{"id":8},"data":'), None),
        (deep(5000, '[{"id":7,"data":', "}]"), None),
        (deep(5000, end="}}"), None),
        (deep(5000, end=""), None),
        (deep(5000, end="]"), None),
        (deep(5000, end=',"a":"}'), None),
    ],
    ids=short,
)
def test_the_id_of_what_is_too_deep_for_a_parser(frame: str, number: int | None) -> None:
    fault = look_again(frame)
    assert fault.number == number
    assert number is None or fault.message == TOO_DEEP


@pytest.mark.parametrize(
    "frame",
    [
        "[" * MIB,
        "{" * MIB,
        '{"a":' * (MIB // 5),
        '"\\' * (MIB // 2),
        '\\"' * (MIB // 2),
        deep(2000, end="") + '"\\"' * (MIB // 3),
        '{"id":7,"data":' + "1" * MIB + "}",
        '{"id":7,"data":[' + "1," * (MIB // 2) + "NaN]}",
        '{"id":7,"data":[' + "[]," * (MIB // 3) + "NaN]}",
        '{"id":7,"data":[' + '"é",' * (MIB // 4) + "NaN]}",
        deep(900, '{"id":7,"data":{"' + "k" * 1000 + '":', ',"z":[' + "1," * (MIB // 4) + "NaN]}}"),
        deep(MIB // 2),
    ],
    ids=short,
)
def test_no_frame_takes_long(frame: str) -> None:
    before = time.process_time()
    look_again(frame)
    assert time.process_time() - before < 1  # a quadratic one takes minutes


@pytest.mark.parametrize("depth", [1, 60])
def test_of_very_many_values_only_the_first_are_looked_at(depth: int) -> None:
    many = '{"id":7,"data":' + "[" * depth + "1," * 60_000 + "NaN" + "]" * depth + "}"
    assert look_again(many) == Refusal(7)
    few = many.replace("1," * 60_000, "1," * 40_000)
    assert look_again(few) == Refusal(7, NOT_FINITE, "data" + "[0]" * (depth - 1) + "[40000]")


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ("[" + "1," * 60_000 + "18446744073709551616]", "data"),
        ("[" + "1," * 40_000 + "18446744073709551616]", "data[40000]"),
        ('["-12345678901234567890",' + "1," * 60_000 + "1]", None),
        ('["\\"",12345678901234567890123,""]', "data[1]"),
        ('["\\\\",12345678901234567890123,""]', "data[1]"),
        ("[1e-1234567890123456789]", None),
    ],
    ids=short,
)
def test_where_an_integer_is_beyond_64_bits(data: str, path: str | None) -> None:
    assert find_beyond(f'{{"data":{data}}}') == path
