"""harness/faults/proxy.py: each harm, and what is left of a connection after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing

from harness.faults.proxy import Proxy, proxied


class Echo:
    """A server that sends everything back; `heard` is what has come."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.ends = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async for chunk in stream:
                self.heard += chunk
                await stream.send_all(bytes(chunk))
        self.ends += 1


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[Proxy, Echo]]:
    server = Echo()
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, server.serve, [listener])
            async with proxied(("127.0.0.1", listener.socket.getsockname()[1])) as proxy:
                yield proxy, server
            nursery.cancel_scope.cancel()


async def dial(proxy: Proxy) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", proxy.port)


async def say(client: trio.SocketStream, text: bytes) -> bytes:
    """Send something and wait for as much to come back."""
    await client.send_all(text)
    return await hear(client, len(text))


async def hear(client: trio.SocketStream, size: int) -> bytes:
    found = b""
    while len(found) < size:
        chunk = await client.receive_some()
        if not chunk:
            break
        found += chunk
    return found


async def test_bytes_go_both_ways_and_ends_are_passed_on() -> None:
    async with echo() as (proxy, server), await dial(proxy) as client:
        text = bytes(range(256)) * 2000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, text)
            assert await hear(client, len(text)) == text
        await client.send_eof()
        assert await client.receive_some() == b""
        while not server.ends:  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.001)


async def test_a_delay_keeps_the_order() -> None:
    async with echo() as (proxy, _), await dial(proxy) as client:
        proxy.delay = 0.05
        begun = trio.current_time()
        assert await say(client, b"one") == b"one"
        assert trio.current_time() - begun >= 0.1
        proxy.heal()
        assert await say(client, b"two") == b"two"


async def test_a_cut_ends_connections_and_lets_new_ones_in() -> None:
    async with echo() as (proxy, _), await dial(proxy) as client:
        await say(client, b"x")
        proxy.cut()
        assert await hear(client, 1) == b""
        async with await dial(proxy) as other:
            assert await say(other, b"y") == b"y"


async def test_who_is_refused_hears_nothing() -> None:
    async with echo() as (proxy, server):
        proxy.refuses = True
        async with await dial(proxy) as client:
            with suppress(trio.BrokenResourceError):
                await client.send_all(b"x")
                assert await hear(client, 1) == b""
        assert not server.heard


async def test_a_black_hole_accepts_and_forwards_nothing_until_it_is_healed() -> None:
    async with echo() as (proxy, server), await dial(proxy) as client:
        await say(client, b"a")
        proxy.gate.shut()
        await client.send_all(b"b")
        async with await dial(proxy) as other:
            await other.send_all(b"c")
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert bytes(server.heard) == b"a"
            proxy.heal()
            assert await hear(client, 1) == b"b"
            assert await hear(other, 1) == b"c"


async def test_what_was_sent_into_a_black_hole_arrives_after_its_sender_has_gone() -> None:
    """So a late copy of a command is carried out though nobody waits for it."""
    async with echo() as (proxy, server):
        async with await dial(proxy) as client:
            await say(client, b"a")
            proxy.gate.shut()
            await client.send_all(b"b")
        proxy.heal()
        while bytes(server.heard) != b"ab":  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.001)


@pytest.mark.parametrize("side", ["client", "server"])
async def test_half_a_close(side: str) -> None:
    async with echo() as (proxy, server), await dial(proxy) as client:
        await say(client, b"a")
        proxy.half_close("client" if side == "client" else "server")
        assert await hear(client, 1) == b""
        if side == "client":  # it is told of an end that has not come
            await client.send_all(b"b")
            while bytes(server.heard) != b"ab":  # noqa: ASYNC110 - there is no event to wait for
                await trio.sleep(0.001)
            assert not server.ends


async def test_swallowed_answers_are_lost_for_good() -> None:
    """A stream with a hole would be no TCP: the connection ends instead."""
    async with echo() as (proxy, server), await dial(proxy) as client:
        await say(client, b"a")
        proxy.swallows = True
        await client.send_all(b"b")
        while bytes(server.heard) != b"ab":  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked(0.05)
        proxy.heal()
        assert await hear(client, 1) == b""


async def test_the_target_may_move_or_be_away() -> None:
    async with echo() as (proxy, _):
        target, proxy.target = proxy.target, ("127.0.0.1", 1)
        async with await dial(proxy) as client:
            assert await hear(client, 1) == b""
        proxy.target = target
        async with await dial(proxy) as client:
            assert await say(client, b"x") == b"x"


async def test_what_a_connection_held_comes_after_what_a_newer_one_brought() -> None:
    """So a first copy may come last."""
    async with echo() as (proxy, server):
        async with await dial(proxy) as client:
            await say(client, b"a")
            proxy.hold()
            await client.send_all(b"b")
            async with await dial(proxy) as other:
                assert await say(other, b"c") == b"c"
        assert bytes(server.heard) == b"ac"
        proxy.heal()
        while bytes(server.heard) != b"acb":  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.001)
