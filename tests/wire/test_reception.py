"""trio_wss/wire/reception.py: how many sockets there may be, and that a failure ends one alone."""

from __future__ import annotations

from contextlib import suppress
from typing import final

import trio
from structlog.testing import capture_logs
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.support.frames import HEAD, text
from trio_wss.wire import Closed, Head, KeepAlive, Reception, Response, WebSocket, WireLimits

LIMITS = WireLimits()


@final
class Echo(Reception[Head]):
    """Says back what it hears, but fails at "fail"."""

    def __init__(self, most: int) -> None:
        super().__init__("n1", LIMITS, KeepAlive(LIMITS), lambda _: None, most=most)

    def plain(self, head: Head) -> Response:
        return Response(200, b"hello\n")

    async def admit(self, head: Head) -> Head:
        await trio.lowlevel.checkpoint()
        return head

    async def talk(self, socket: WebSocket, admitted: Head) -> None:
        with suppress(Closed):
            while True:
                if "fail" in await socket.receive():
                    raise RuntimeError("on purpose")


async def test_what_fails_ends_its_own_connection_and_is_logged() -> None:
    echo = Echo(most=2)
    near, far = memory_stream_pair()
    good, other = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        with capture_logs() as logs:
            nursery.start_soon(echo.handle, far)
            nursery.start_soon(echo.handle, other)
            await near.send_all(HEAD)
            await good.send_all(HEAD)
            await wait_all_tasks_blocked()
            assert echo.sockets == 2
            await near.send_all(text("fail"))
            while await near.receive_some():
                pass
            await wait_all_tasks_blocked()
        assert [(log["event"], log["node"]) for log in logs] == [("connection failed", "n1")]
        assert echo.sockets == 1
        await good.send_all(text("ok"))
        await wait_all_tasks_blocked()
        assert echo.sockets == 1
        await good.aclose()
        await wait_all_tasks_blocked()
        assert echo.sockets == 0


async def test_a_socket_too_many_is_just_closed() -> None:
    echo = Echo(most=1)
    near, far = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo.handle, far)
        await wait_all_tasks_blocked()
        late, other = memory_stream_pair()
        await echo.handle(other)
        assert await late.receive_some() == b""
        await near.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await near.receive_some()).startswith(b"HTTP/1.1 200")
        await near.aclose()
