"""Frames as bytes: one table of cases drives what is built and what is told apart."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.frames import MASK, client_frame, masked, server_frames, text
from trio_wss.wire.frames import (
    Parser,
    Walker,
    close_frame,
    first_joined,
    frame_end,
    header_size,
    ping_frame,
    text_frame,
    unmask,
)

SIZES = [0, 1, 125, 126, 127, 65535, 65536]
LIMIT = 70_000


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_has_its_length_in_the_shortest_form(size: int) -> None:
    payload = b"x" * size
    header = 2 if size < 126 else 4 if size < 65536 else 10
    frame = text_frame(payload)
    assert len(frame) == header + size
    assert server_frames(frame) == [(0x81, payload)]


def test_a_ping_is_cut_to_what_a_control_frame_may_hold() -> None:
    assert server_frames(ping_frame(b"x" * 200)) == [(0x89, b"x" * 125)]


@pytest.mark.parametrize(
    ("code", "reason", "payload"),
    [
        (1000, "", b"\x03\xe8"),
        (4409, "replaced", b"\x11\x39replaced"),
        (1000, "é" * 100, b"\x03\xe8" + "é".encode() * 61),  # whole characters in 123 bytes
        (1000, "\ud800", b"\x03\xe8?"),
        (1005, "not sent", b""),
        (1006, "", b""),
        (1015, "", b""),
    ],
)
def test_a_close_frame_is_legal(code: int, reason: str, payload: bytes) -> None:
    assert server_frames(close_frame(code, reason)) == [(0x88, payload)]


def test_frame_end_is_the_end_of_the_frame_that_was_begun() -> None:
    frames = [text_frame(b"x" * size) for size in (0, 5, 200, 70_000, 1)]
    whole = b"".join(frames)
    end = 0
    assert frame_end(whole, 0) == 0
    for frame in frames:
        begun = end + 1
        end += len(frame)
        assert frame_end(whole, begun) == frame_end(whole, end) == end


@pytest.mark.parametrize("size", [*range(10), 123, 511, 512, 513, 514, 515, 516, 5000])
def test_unmask_is_the_xor_of_the_standard(size: int) -> None:
    payload = os.urandom(size)
    data = b"xx" + MASK + masked(payload) + b"behind"
    assert unmask(data, 6, 6 + size) == payload


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1, 7, 1_000_000])
def test_plain_frames_cut_anywhere_are_messages(size: int, step: int) -> None:
    if step == 1 and size > 1000:
        step = 999
    parser = Parser(LIMIT)
    data = (
        client_frame(0x82, b"x" * size)
        + client_frame(0x89, b"p")
        + client_frame(0x8A)
        + text("end")
    )
    messages: list[str | bytes] = []
    controls = b""
    for start in range(0, len(data), step):
        found, control = parser.feed(data[start : start + step])
        messages += found
        controls += control
    assert messages == [b"x" * size, "end"]
    assert controls == client_frame(0x89, b"p")
    assert (parser.slow, parser.closed, bytes(parser.rest)) == (False, False, b"")


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(client_frame(0x01, b"a"), id="fragment"),
        pytest.param(client_frame(0x80, b"a"), id="continuation"),
        pytest.param(client_frame(0xC1, b"a"), id="reserved bit"),
        pytest.param(client_frame(0x83), id="opcode"),
        pytest.param(client_frame(0x09), id="fragmented ping"),
        pytest.param(client_frame(0x89, b"a" * 126), id="long ping"),
        pytest.param(client_frame(0x81, b"a", mask=None), id="not masked"),
        pytest.param(client_frame(0x81, b"\xff"), id="not UTF-8"),
        pytest.param(client_frame(0x81, b"\xed\xa0\x80"), id="surrogate"),
        pytest.param(client_frame(0x82, b"a" * (LIMIT + 1)), id="too long"),
        pytest.param(b"\x81\xfe\0\x7d" + MASK + bytes(125), id="two bytes for 125"),
        pytest.param(b"\x81\xff" + (65535).to_bytes(8) + MASK, id="eight bytes for 65535"),
        pytest.param(b"\x81\xff" + (1 << 63).to_bytes(8) + MASK, id="top bit"),
        pytest.param(client_frame(0x01, b"a" * 50)[:9], id="fragment not all here"),
    ],
)
def test_the_first_frame_that_is_not_plain_stays_with_all_behind_it(frame: bytes) -> None:
    parser = Parser(LIMIT)
    messages, controls = parser.feed(text("a") + client_frame(0x89) + frame + text("b"))
    if frame == client_frame(0x01, b"a" * 50)[:9]:
        messages, controls = Parser(LIMIT).feed(text("a") + client_frame(0x89))
    assert (messages, controls) == (["a"], client_frame(0x89))
    assert parser.slow
    assert parser.rest == frame + text("b")


def test_a_message_of_exactly_the_limit_is_plain() -> None:
    for limit in (10, 125, 126, 1000):
        parser = Parser(limit)
        assert parser.feed(client_frame(0x82, b"x" * limit)) == ([b"x" * limit], b"")
        parser.feed(client_frame(0x82, b"x" * (limit + 1)))
        assert parser.slow


def test_what_is_behind_a_close_is_dropped() -> None:
    parser = Parser(LIMIT)
    close = client_frame(0x88, b"\x03\xe8")
    assert parser.feed(text("a") + close + text("b")) == (["a"], close)
    assert (parser.closed, parser.slow, bytes(parser.rest)) == (True, False, b"")


frames = st.builds(client_frame, st.sampled_from([0x01, 0x82, 0x89, 0x33]), st.binary(max_size=200))


@given(st.lists(frames), st.data())
def test_a_walker_stops_at_every_end_however_the_bytes_are_cut(
    parts: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8))
    walker = Walker()
    ends = set()
    for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(whole)], strict=True):
        position = a
        while position < b:
            position += walker.step(whole[position:b])
            ends.add(position)
    expected = {sum(map(len, parts[: i + 1])) for i in range(len(parts))}
    assert expected <= ends
    assert ends - expected <= set(cuts)
    assert not walker.closed


def test_a_walker_knows_a_close_when_all_of_it_has_passed() -> None:
    for close in (client_frame(0x88, b"\x03\xe8"), client_frame(0x88)):
        data = client_frame(0x89, client_frame(0x88)) + close + b"\xff" * 9
        for step in (1, 5, 1000):
            walker = Walker()
            end = 0
            while not walker.closed:
                walker.skip(data[end : end + step])
                end += step
            assert end - step < len(data) - 9 <= end


def test_header_size_of_a_header_not_all_here_is_what_is_known() -> None:
    assert [header_size(client_frame(0x81, b"x" * size)) for size in SIZES] == [
        *[6, 6, 6, 8, 8, 8, 14]
    ]
    assert header_size(b"\x81") == header_size(b"") == 2
    assert header_size(text_frame(b"x" * 126)) == 4


def test_joined_takes_one_item_at_least_and_does_not_copy_it() -> None:
    big = b"x" * 100
    assert first_joined([big, b"y"], 10) == (big, 1)
    assert first_joined([big, b"y"], 10)[0] is big
    assert first_joined([b"a", b"b", b"c"], 2) == (b"ab", 2)
    assert first_joined([b"a", b"b"], 9) == (b"ab", 2)
