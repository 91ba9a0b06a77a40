"""trio_wss/node/entrance.py: who is let in, and what is answered over plain HTTP."""

import json
from collections.abc import Callable

import pytest
import trio
from structlog.testing import capture_logs

from trio_wss import App, Identity, Refused, Request
from trio_wss.node import Node
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
