"""Taking connections in: real sockets."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio
from structlog.testing import capture_logs

from tests.support.members import eventually
from trio_wss.wire import listen, listen_everywhere
from trio_wss.wire.head import remote_address


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """For as long as it takes: nothing can be opened or accepted."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def a_listener() -> tuple[trio.SocketListener, tuple[str, int]]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listener, listener.socket.getsockname()


async def test_all_that_wait_are_taken_in_one_step() -> None:
    listener, address = await a_listener()
    peers: dict[object, int] = {}  # with the turn of the loop in which they were served
    turns = 0

    async def handle(stream: trio.SocketStream) -> None:
        peers[stream.socket.getpeername()] = turns
        await stream.aclose()

    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(30)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, [listener], handle, nursery)
            with trio.fail_after(5):
                while len(peers) < 30:
                    turns += 1
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert peers.keys() == {client.getsockname() for client in clients}
    assert max(peers.values()) - min(peers.values()) <= 1  # handlers ran before the count, or after


async def test_one_socket_for_ipv4_and_ipv6() -> None:
    peers: list[str | None] = []

    async def handle(stream: trio.SocketStream) -> None:
        peers.append(remote_address(stream))
        await stream.aclose()

    try:
        listener = await listen_everywhere(0)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    port = listener.socket.getsockname()[1]
    with pytest.raises(OSError, match="in use"):
        await listen_everywhere(port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, [listener], handle, nursery)
        with trio.fail_after(5):
            for host in ("127.0.0.1", "::1"):
                async with await trio.open_tcp_stream(host, port) as stream:
                    assert await stream.receive_some() == b""
        nursery.cancel_scope.cancel()
    assert peers == ["127.0.0.1", "::1"]


async def test_cancelled_it_closes_the_listeners() -> None:
    listeners = [(await a_listener())[0] for _ in range(2)]

    async def handle(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, listeners, handle, nursery)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [listener.socket.fileno() for listener in listeners] == [-1, -1]


async def test_without_descriptors_it_waits_and_then_goes_on() -> None:
    listener, address = await a_listener()
    served = trio.Event()

    async def handle(stream: trio.SocketStream) -> None:
        await stream.aclose()
        served.set()

    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, [listener], handle, nursery)
            await trio.testing.wait_all_tasks_blocked()
            with socket.socket() as client:
                with no_descriptor_left():
                    client.connect(address)
                    await eventually(lambda: bool(logs))
                    assert not served.is_set()
                with trio.fail_after(5):
                    await served.wait()
            nursery.cancel_scope.cancel()
    assert logs[0]["event"] == "no room for another connection"
    assert logs[0]["reason"] == "Too many open files"
