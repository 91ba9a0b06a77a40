"""trio_wss/client/dial.py: what opens a connection, what stops it, and what is left: nothing."""

from functools import partial
from pathlib import Path

import pytest
import trio
from trio_websocket import WebSocketRequest, serve_websocket

from tests.peer import Peer, echo, nothing, server
from tests.tls import client_side, make_certificate, server_side
from trio_wss.client import ConnectError, connect


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


async def test_a_url_that_is_none() -> None:
    with pytest.raises(ConnectError, match="must be a URL"):
        async with connect("http://here"):
            raise AssertionError


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
