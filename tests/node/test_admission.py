"""trio_wss/node/admission.py: who is let in, and what is answered over plain HTTP."""

import json
from collections.abc import Callable
from functools import partial

import pytest
import trio
from structlog.testing import capture_logs

from tests.support.members import eventually
from trio_wss import App, Identity, Refused, Request
from trio_wss.node import Node, serve
from trio_wss.settings import Settings
from trio_wss.testing import cluster

HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def answer_to(node: Node, request: str) -> tuple[int, str]:
    """The status and the body of a plain answer."""
    with trio.fail_after(10):
        async with await trio.open_tcp_stream(node.host, node.port) as stream:
            await stream.send_all(request.encode())
            answer = b"".join([chunk async for chunk in stream])
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


def no_json(_: Request) -> Identity:
    return Identity("ann", info=object())


def broken(_: Request) -> Identity:
    raise KeyError("token")


@pytest.mark.parametrize("authenticate", [no_json, broken])
async def test_an_authenticate_that_fails_is_the_servers_fault(
    authenticate: Callable[[Request], Identity], redis_url: str
) -> None:
    app = App()
    app.authenticate(authenticate)
    async with cluster(app, 1, redis=redis_url) as made:
        with capture_logs() as logs:
            status, body = await answer_to(made.nodes[0], HANDSHAKE.format("/"))
        assert (status, body) == (500, "The server failed.\n")
        assert [log["event"] for log in logs] == ["authenticate failed"]
        assert (await answer_to(made.nodes[0], "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200


async def test_a_refused_client_is_told_why(redis_url: str) -> None:
    app = App()

    @app.authenticate
    def refuse(_: Request) -> Identity | None:
        raise Refused("expired", "Log in again.")

    async with cluster(app, 1, redis=redis_url) as made:
        status, body = await answer_to(made.nodes[0], HANDSHAKE.format("/?token=x"))
    assert status == 401
    assert json.loads(body) == {"code": "expired", "message": "Log in again."}


async def test_a_full_node_sends_clients_elsewhere(redis_url: str) -> None:
    settings = Settings(max_connections=1, drain=1.0)
    async with cluster(App(), 1, redis=redis_url, settings=settings) as made, made.connect():
        status, body = await answer_to(made.nodes[0], HANDSHAKE.format("/"))
        assert status == 503
        assert "connections" in body
        health = await answer_to(made.nodes[0], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert health == (200, "ok\n")


class Slow:
    """A client at whom `authenticate` looks until `go` is set; others it lets in."""

    def __init__(self) -> None:
        self.app = App()
        self.app.authenticate(self._authenticate)
        self.asked = trio.Event()
        self.go = trio.Event()
        self.answered = trio.Event()
        self.answer = (0, "")

    async def _authenticate(self, request: Request) -> None:
        if request.path == "/slow":
            self.asked.set()
            await self.go.wait()

    async def shake_hands(self, node: Node) -> None:
        self.answer = await answer_to(node, HANDSHAKE.format("/slow"))
        self.answered.set()


async def test_a_node_that_fills_up_during_a_handshake_sends_it_elsewhere(redis_url: str) -> None:
    slow = Slow()
    settings = Settings(max_connections=1, drain=1.0)
    async with (
        cluster(slow.app, 1, redis=redis_url, settings=settings) as made,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(slow.shake_hands, made.nodes[0])
        await slow.asked.wait()
        async with made.connect():
            slow.go.set()
            await slow.answered.wait()
    assert slow.answer == (503, "the node has all the connections that it takes\n")


async def test_a_node_that_stops_during_a_handshake_sends_it_elsewhere(redis_url: str) -> None:
    slow = Slow()
    shutdown = trio.Event()
    settings = Settings(host="127.0.0.1", port=0, redis=redis_url, drain=4.0)
    async with trio.open_nursery() as nursery:
        node = await nursery.start(partial(serve, slow.app, settings, shutdown=shutdown))
        nursery.start_soon(slow.shake_hands, node)
        await slow.asked.wait()
        shutdown.set()
        await eventually(lambda: node.draining)
        slow.go.set()
    assert slow.answer == (503, "the node is stopping\n")


async def test_a_node_that_listens_everywhere_takes_ipv4_and_ipv6(redis_url: str) -> None:
    settings = Settings(redis=redis_url, host="::", ops_host="::", ops_port=0, drain=0.5)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            node: Node = await nursery.start(serve, App(), settings)
            for port in (node.port, int(node.ops_url.rpartition(":")[2])):
                for host in ("127.0.0.1", "::1"):
                    async with await trio.open_tcp_stream(host, port) as stream:
                        await stream.send_all(b"GET /healthz HTTP/1.0\r\n\r\n")
                        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            nursery.cancel_scope.cancel()
