"""The entrance: from an accepted socket to a connection, and what a node answers over plain HTTP.

Here is the other place that catches every exception: a failure inside a connection ends that
connection alone.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio

from trio_wss.app import Identity, Request
from trio_wss.encoding import decode, encode
from trio_wss.errors import Refused
from trio_wss.node.connection import Connection
from trio_wss.node.health import health
from trio_wss.reads import Client
from trio_wss.wire import Head, Response, accept

if TYPE_CHECKING:
    from trio_wss.node.node import Node

log = structlog.get_logger(__name__)

SPARE: Final = 1000  # sockets beyond max_connections, to say 503 on and to be asked for health


async def handle(node: Node, stream: trio.abc.Stream) -> None:
    """One socket's life on this node, from its first byte."""
    clients: list[Client] = []

    async def admit(head: Head) -> Response | None:
        admitted = await _admit(node, head)
        if isinstance(admitted, Response):
            return admitted
        clients.append(admitted)
        return None

    if node.sockets >= node.settings.max_connections + SPARE:
        await trio.aclose_forcefully(stream)
        return
    with contained(node), _counted(node):
        async with accept(
            stream,
            limits=node.wire_limits,
            origins=node.settings.origins,
            plain=lambda head: _plain(node, head),
            admit=admit,
            on_dirty=node.hub.mark_dirty,
            keep_alive=node.keep_alive,
        ) as socket:
            if socket is not None:
                resumes = "resume" in socket.request.query
                connection = Connection(node, socket, clients[0], resumes=resumes)
                socket.before_close(connection.leave_hub)
                with node.connected(connection):
                    await connection.run()


@contextmanager
def _counted(node: Node) -> Iterator[None]:
    """Count an accepted socket."""
    node.sockets += 1
    try:
        yield
    finally:
        node.sockets -= 1


@contextmanager
def contained(node: Node) -> Iterator[None]:
    """A connection's boundary: its failure is logged, and goes no further."""
    try:
        yield
    except Exception:
        log.exception("connection failed", node=node.id)


def _plain(node: Node, head: Head) -> Response | None:
    """Health, readiness and static files, on the node's own port."""
    return health(node, head) or node.static.answer(head)


async def _admit(node: Node, head: Head) -> Client | Response:
    """Whether a handshake becomes a connection, and whose."""
    reason = node.unready()
    if not reason and len(node.connections) >= node.settings.max_connections:
        reason = "the node has all the connections that it takes"
    if reason:
        return Response(503, f"{reason}\n".encode(), (("Retry-After", "1"),))
    query = {name: value for name, value in head.query.items() if name != "resume"}
    request = Request(head.path, head.headers, query, head.remote)
    try:
        identity = await _authenticate(node, request)
        user, info = (None, None) if identity is None else (identity.user, _as_json(identity.info))
    except Refused as refusal:
        body = encode({"code": refusal.code, "message": refusal.message})
        return Response(401, body, content_type="application/json")
    except Exception:  # the app's code, as in turn.py
        log.exception("authenticate failed", node=node.id)
        return Response(500, b"The server failed.\n")
    return Client(secrets.token_urlsafe(12), user, info, request.query)


async def _authenticate(node: Node, request: Request) -> Identity | None:
    if node.app.authenticator is None:
        return None
    found = node.app.authenticator(request)
    return await found if inspect.isawaitable(found) else found


def _as_json(info: object) -> Any:
    """What every node finds in the session: plain data."""
    return decode(encode(info))
