"""The lane and plain trio-websocket are given the same bytes, cut alike, and must agree."""

from collections.abc import Callable, Coroutine
from typing import Any

import trio
from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from tests.support.echo import EchoHost
from tests.support.frames import HEAD, MASK, client_frame, close, closes, server_frames, text
from trio_wss.wire import Closed, Head, WebSocket, WireLimits, serve_stream

LIMIT = 300


@frozen
class Seen:
    """What a server made of a client's bytes."""

    messages: list[str | bytes]
    sent: list[tuple[int, bytes]]
    code: int


Serve = Callable[[trio.abc.Stream, list[str | bytes]], Coroutine[Any, Any, int]]


class Listener(EchoHost):
    """Keeps what it hears."""

    def __init__(self, messages: list[str | bytes]) -> None:
        super().__init__(WireLimits(message_bytes=LIMIT))
        self.messages = messages
        self.code = 0

    async def talk(self, socket: WebSocket, admitted: Head) -> None:
        try:
            while True:
                self.messages += await socket.receive()
        except Closed as closed:
            self.code = closed.code


async def serve_lane(stream: trio.abc.Stream, messages: list[str | bytes]) -> int:
    listener = Listener(messages)
    await serve_stream(stream, listener)
    return listener.code


async def serve_plain(stream: trio.abc.Stream, messages: list[str | bytes]) -> int:
    code = 1006
    try:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream, max_message_size=LIMIT)
            socket = await request.accept()
            try:
                while True:
                    messages.append(await socket.get_message())
            except ConnectionClosed as closed:
                code = closed.reason.code if closed.reason else 1006
            await wait_all_tasks_blocked()
            await stream.aclose()  # after its own Close, 1009, trio-websocket leaves it open
            nursery.cancel_scope.cancel()
    except* LocalProtocolError:
        await stream.aclose()  # and a ping behind what made it say 1009 is the end of its task
    return code


def play(serve: Serve, pieces: list[bytes]) -> Seen:
    """A client that sends the head, then each piece once the server has settled, then leaves."""
    messages: list[str | bytes] = []
    codes: list[int] = []
    received = bytearray()

    async def server(stream: trio.abc.Stream) -> None:
        codes.append(await serve(stream, messages))

    async def main() -> None:
        client, stream = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server, stream)
            await client.send_all(HEAD)
            for piece in pieces:
                await wait_all_tasks_blocked()
                try:
                    await client.send_all(piece)
                except trio.BrokenResourceError:
                    break
            await wait_all_tasks_blocked()
            await client.send_eof()
            async for chunk in client:
                received.extend(chunk)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    head, _, frames = bytes(received).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    return Seen(messages, server_frames(frames), codes[0])


def expected(pieces: list[bytes]) -> Seen:
    """Plain trio-websocket's view; but a broken protocol is told with its code (RFC 6455 §7.1.7),
    where trio-websocket just closes, and what a peer sends behind our Close changes nothing."""
    seen = play(serve_plain, pieces)
    if closes(seen.sent) == [1009]:
        return Seen(seen.messages, seen.sent, 1009)
    if seen.code in (1002, 1007) and not closes(seen.sent):
        code = seen.code.to_bytes(2)
        return Seen(seen.messages, [*seen.sent, (0x88, code)], seen.code)
    return seen


def without_reasons(seen: Seen) -> Seen:
    sent = [(first, payload[:2] if first == 0x88 else payload) for first, payload in seen.sent]
    return Seen(seen.messages, sent, seen.code)


def agree(pieces: list[bytes]) -> None:
    ours, theirs = play(serve_lane, pieces), expected(pieces)
    for number, message in enumerate(theirs.messages):
        if isinstance(message, str) and len(message.encode()) > LIMIT:  # it counts characters
            seen = ours.messages, closes(ours.sent), ours.code
            assert seen == (theirs.messages[:number], [1009], 1009)
            return
    assert without_reasons(ours) == without_reasons(theirs)


payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"", b"x" * 125, b"x" * 126, b"\xc3\xa9" * 150, b"x" * 300, b"x" * 301]),
    st.sampled_from([b"\xe2\x82", b"ok\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]),  # not UTF-8
)
masks = st.sampled_from([MASK, b"\0\0\0\0", b"\xff\0\xff\0"])
plain_frames = st.builds(
    lambda first, payload, mask: client_frame(first, payload, mask=mask),
    st.sampled_from([0x81, 0x81, 0x82]),
    payloads,
    masks,
)
control_frames = st.builds(client_frame, st.sampled_from([0x89, 0x8A]), st.binary(max_size=125))
close_payloads = st.one_of(
    st.just(b""),
    st.binary(max_size=3),
    st.builds(
        lambda code, reason: code.to_bytes(2) + reason,
        st.sampled_from([999, 1000, 1001, 1004, 1005, 1006, 1009, 1015, 1016, 2999, 3000, 4999]),
        st.sampled_from([b"", b"bye", b"\xff"]),
    ),
)
close_frames = st.builds(client_frame, st.just(0x88), close_payloads)
fragments = st.builds(client_frame, st.sampled_from([0x01, 0x02, 0x00, 0x80]), payloads)
any_frames = st.builds(
    lambda first, payload, mask: client_frame(first, payload, mask=mask),
    st.integers(0, 255),
    payloads,
    st.one_of(st.none(), masks),
)
bad_lengths = st.builds(
    lambda first, length, rest: bytes((first,)) + length + MASK + rest,
    st.sampled_from([0x81, 0x82, 0x89, 0x01]),
    st.sampled_from(
        [
            b"\xfe\0\x05",  # 5 in two bytes
            b"\xff" + (200).to_bytes(8),  # 200 in eight
            b"\xff" + (1 << 63).to_bytes(8),
            b"\xff" + (1 << 40).to_bytes(8),
            b"\xfe\x01\x2d",  # 301, above the limit
        ]
    ),
    st.binary(max_size=8),
)
frames = st.one_of(
    plain_frames, plain_frames, control_frames, fragments, close_frames, any_frames, bad_lengths
)


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Frames, joined and cut anywhere: at frames, in few pieces, byte by byte, or cut short."""
    parts = draw(st.lists(frames, max_size=8))
    how = draw(st.sampled_from(["frames", "joined", "anywhere", "bytes", "short"]))
    whole = b"".join(parts)
    if how == "frames":
        return parts
    if how == "bytes" and len(whole) < 400:
        return [whole[i : i + 1] for i in range(len(whole))]
    if how == "short":
        whole = whole[: draw(st.integers(0, len(whole)))]
    if how in ("joined", "short"):
        return [whole] if whole else []
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    return [piece for piece in pieces if piece]


@settings(deadline=None, max_examples=300)
@given(conversations())
@example([text("a") + client_frame(0x88) + text("b")])
@example([text("a") + close(4000, "bye") + b"\xff" * 50])
@example([client_frame(0x89, b"1") + text("a") + client_frame(0x89, b"2")])
@example(
    [client_frame(0x01, b"a") + client_frame(0x89, b"p") + client_frame(0x80, b"b"), text("c")]
)
@example([client_frame(0x82, b"x" * 301) + close()])
@example([client_frame(0x01, b"\xc3\xa9" * 150), client_frame(0x80, b"x") + text("y")])
@example([client_frame(0x81, b"x" * 100 + b"\xff" + b"x" * 100)[:150]])  # and then it leaves
def test_the_lane_agrees_with_trio_websocket(pieces: list[bytes]) -> None:
    agree(pieces)
