"""trio_wss/client/transport.py: what opens a connection, what stops it, and nothing is left."""

import asyncio
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair
from trio_websocket import WebSocketRequest, serve_websocket

from tests.support.peer import House, Peer, Street, echo, nothing, server
from tests.support.tls import client_side, make_certificate, server_side
from trio_wss.client import ConnectError, Disconnected, GaveUp, Ticket, connect
from trio_wss.client.transport import WatchedStream


async def until_resumed(peer: Peer) -> None:
    """The first connection is lost at once, and the one after that too, but later."""
    if peer.number:
        await trio.sleep(5)
    await peer.socket.aclose(1012)


async def test_an_error_in_the_body_comes_out_as_it_is() -> None:
    async with server(nothing) as url:
        with pytest.raises(KeyError) as caught:
            async with connect(url):
                raise KeyError("mine") from ValueError("why")
    assert repr(caught.value.__cause__) == "ValueError('why')"


async def test_cancelling_the_body_ends_the_connection() -> None:
    async with server(nothing) as url:
        with trio.CancelScope() as scope:
            async with connect(url) as client:
                scope.cancel()
                await client.receive()
        assert scope.cancelled_caught


async def test_headers_are_sent() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def handle(request: WebSocketRequest) -> None:
        seen.extend(request.headers)
        await request.reject(401, body=b"who are you?")

    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, handle, "127.0.0.1", 0, ssl_context=None)
        served = await nursery.start(serve)
        with pytest.raises(ConnectError) as caught:
            async with connect(f"ws://127.0.0.1:{served.port}", headers={"Origin": "http://a"}):
                raise AssertionError
        nursery.cancel_scope.cancel()
    assert caught.value.status == 401
    assert "HTTP 401: who are you?" in str(caught.value)
    assert (b"origin", b"http://a") in seen


def test_where_trio_does_not_run_that_is_said() -> None:
    async def use() -> None:
        async with connect("ws://127.0.0.1:1"):
            raise AssertionError

    with pytest.raises(RuntimeError, match="needs Trio"):
        asyncio.run(use())


async def test_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with server(echo, tls=server_side(certificate)) as url:
        async with connect(url, ssl_context=client_side(certificate)) as client:
            assert (await client.send("say", 1)).data == 1
        with pytest.raises(ConnectError, match="certificate verify failed"):
            async with connect(url):  # nobody that this machine trusts has signed it
                raise AssertionError


async def test_nobody_there() -> None:
    with trio.socket.socket() as held:
        await held.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        url = f"ws://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ConnectError, match=f"cannot connect to {url}: .*"):
            async with connect(url):
                raise AssertionError


@pytest.mark.parametrize(
    "url",
    [
        "http://me:sesame@here",
        "here",
        "ws://",
        "ws://here:port",
        "ws://[::1",
        "ws://here:0",
        "ws://here/\ud83d",
    ],
)
async def test_a_url_that_is_none(url: str) -> None:
    for urls in ([url], ["ws://127.0.0.1:1", url]):
        with pytest.raises(ConnectError, match="must be a URL") as caught:
            async with connect(*urls):
                raise AssertionError
        assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
async def test_a_name_that_cannot_be(host: str) -> None:
    with pytest.raises(ConnectError, match=f"cannot connect to ws://{host}/: .*label"):
        async with connect(f"ws://{host}/"):
            raise AssertionError


async def test_what_a_request_cannot_hold_is_encoded_and_what_is_encoded_stays(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(nothing)
    url = "ws://a/caf\u00e9?room=a b&who=%C3%A9~{1}&x=50%"
    async with Street({"a": house}).live(monkeypatch), connect(url):
        pass
    assert [one.path for one in house.requests] == ["/caf%C3%A9?room=a%20b&who=%C3%A9~{1}&x=50%"]


async def test_what_goes_along_is_made_anew_for_each_handshake(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = count()

    def headers() -> dict[str, str]:
        return {"Authorization": f"Bearer {next(numbers)}"}

    async def query() -> dict[str, str]:
        await trio.sleep(1)
        return {"key": f"{next(numbers)} &"}

    house = House(until_resumed)
    async with (
        Street({"a": house}).live(monkeypatch),
        connect("ws://a/path?room=tea", headers=headers, query=query) as client,
    ):
        while not client.welcome.resumed:
            await client.receive()
    sent = [dict(request.headers)[b"authorization"] for request in house.requests]
    assert sent == [b"Bearer 0", b"Bearer 2"]
    paths = [request.path for request in house.requests]
    assert paths == ["/path?room=tea&key=1+%26", "/path?room=tea&key=3+%26&resume"]


async def test_what_makes_them_is_given_its_time(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> dict[str, str]:
        await trio.sleep_forever()
        raise AssertionError

    async with Street({"a": House(nothing)}).live(monkeypatch):
        with pytest.raises(ConnectError, match="did not answer within 10 s"):
            async with connect("ws://a", headers=never):
                raise AssertionError


@pytest.mark.parametrize("resume", [None, Ticket("t", {}, 5, 1)])
async def test_what_it_raises_comes_out_of_the_first_connection(
    resume: Ticket | None, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def query() -> dict[str, str]:
        raise KeyError("mine")

    async with Street({"a": House(nothing)}).live(monkeypatch):
        with pytest.raises(KeyError, match="mine"):
            async with connect("ws://a", "ws://a", query=query, resume=resume):
                raise AssertionError


async def test_a_connect_error_that_it_raises_sends_the_first_connection_to_the_next_url(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [ConnectError("no token")]

    def headers() -> dict[str, str]:
        if left:
            raise left.pop()
        return {}

    async with (
        Street({"a": House(nothing)}).live(monkeypatch),
        connect("ws://nowhere", "ws://a", headers=headers),
    ):
        assert not left


@pytest.mark.parametrize(
    "error", [KeyError("mine"), trio.TooSlowError("mine"), ConnectError("mine")]
)
async def test_what_it_raises_at_a_reconnect_is_a_failed_try(
    error: Exception, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[Exception | None] = [None, error, error, None]

    def query() -> dict[str, str]:
        raised = left.pop(0)
        if raised is not None:
            raise raised
        return {}

    async def leave(peer: Peer) -> None:
        if peer.number == 0:
            await peer.socket.aclose(1012)
        await peer.until_closed()

    reasons: list[str] = []
    async with (
        Street({"a": House(leave)}).live(monkeypatch),
        connect("ws://a", query=query) as client,
    ):
        while not client.welcome.resumed:
            state = await client.receive()
            if isinstance(state, Disconnected):
                reasons.append(state.reason)
    assert not left
    assert reasons[0] == ""
    assert [("mine" in reason) for reason in reasons[1:]] == [True, True]


async def test_it_gives_up_when_it_raises_for_too_long(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = count()

    def headers() -> dict[str, str]:
        if next(numbers):
            raise KeyError("mine")
        return {}

    async with (
        Street({"a": House(until_resumed)}).live(monkeypatch),
        connect("ws://a", headers=headers, give_up=60) as client,
    ):
        with pytest.raises(GaveUp, match=r"for 60 s: what makes headers .*KeyError\('mine'\)"):
            async for _ in client.events():
                pass


async def test_leaving_while_it_is_made_again_ends_at_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_again = trio.Event()
    numbers = count()

    async def query() -> dict[str, str]:
        if next(numbers):
            made_again.set()
            await trio.sleep_forever()
        return {}

    async with Street({"a": House(until_resumed)}).live(monkeypatch):
        async with connect("ws://a", query=query) as client:
            await made_again.wait()
            now = trio.current_time()
        assert client.state == Disconnected(1000, "", None)
        assert trio.current_time() == now


async def test_a_server_that_never_answers() -> None:
    async def silence(_: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, silence, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        with pytest.raises(ConnectError, match=r"did not answer within 0\.1 s"):
            async with connect(f"ws://127.0.0.1:{port}", timeout=0.1):
                raise AssertionError
        nursery.cancel_scope.cancel()


async def test_a_server_of_another_protocol() -> None:
    async def other(peer: Peer) -> None:
        await peer.put(event="hello")
        await peer.until_closed()

    async with server(other, greet=False) as url:
        with pytest.raises(ConnectError, match="another protocol"):
            async with connect(url):
                raise AssertionError


async def test_a_server_that_closes_instead_of_a_welcome() -> None:
    async def shut(peer: Peer) -> None:
        await peer.socket.aclose(1013, "full")

    async with server(shut, greet=False) as url:
        with pytest.raises(ConnectError, match="closed the connection"):
            async with connect(url):
                raise AssertionError


async def test_when_bytes_came_is_noted_and_the_end_is_told(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    ends: list[int] = []
    stream = WatchedStream(ours, lambda: ends.append(1))
    await trio.sleep(5)
    await theirs.send_all(b"hello")
    assert await stream.receive_some() == b"hello"
    assert (stream.received_at, ends) == (5, [])
    await trio.sleep(5)
    await theirs.send_eof()
    assert await stream.receive_some() == b""
    assert (stream.received_at, ends) == (5, [1])


async def test_the_next_bytes_are_told(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    stream = WatchedStream(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.wait_received)
        nursery.start_soon(stream.wait_received)
        await trio.testing.wait_all_tasks_blocked()
        await theirs.send_all(b"hello")
        await stream.receive_some()
    await theirs.send_eof()
    with trio.move_on_after(5) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.wait_received)
            await trio.testing.wait_all_tasks_blocked()
            await stream.receive_some()
    assert scope.cancelled_caught, "the end is no sign of life"


async def test_a_broken_and_a_closed_stream_have_ended_too(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    ends: list[int] = []
    stream = WatchedStream(ours, lambda: ends.append(1))
    await stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()
    assert ends == [1]
    assert WatchedStream(theirs).received_at == trio.current_time()
