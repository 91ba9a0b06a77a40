"""A refused frame is read again: in bounded time, whatever it is."""

import time

import pytest

from trio_wss.encoding import TOO_DEEP
from trio_wss.wire.faulty import Fault, look

MIB = 1 << 20


def deep(depth: int, start: str = '{"id":7,"data":', end: str = "}") -> str:
    return start + "[" * depth + "]" * depth + end


@pytest.mark.parametrize(
    ("frame", "number"),
    [
        (deep(5000), 7),
        (deep(5000, '{"data":', ',"id":7}'), 7),
        (deep(5000, '{"event":"id","id" : 7 ,"data":', "} "), 7),
        (deep(5000, '{"a":{"id":8},"id":7,"data":'), 7),
        (deep(5000, '{"text":"\\",\\"id\\":8","data":', ',"id":7}'), 7),
        (deep(5000, '{"text":"{[","id":7,"data":'), 7),
        (deep(5000, '{"id":6,"data":', ',"id":7}'), 7),  # the last one counts, as in any JSON
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
)
def test_the_id_of_what_is_too_deep_for_a_parser(frame: str, number: int | None) -> None:
    assert look(frame) == Fault(number, TOO_DEEP if number else "")


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
        deep(900, '{"id":7,"data":{"' + "k" * 1000 + '":', ',"z":[' + "1," * (MIB // 4) + "NaN]}}"),
        deep(MIB // 2),
    ],
)
def test_no_frame_takes_long(frame: str) -> None:
    before = time.process_time()
    look(frame)
    assert time.process_time() - before < 2  # a whole quadratic one takes minutes
