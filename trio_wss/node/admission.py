"""The entrance: from an accepted socket to a connection, and what a node answers over plain HTTP.

Here are the other places that catch every exception: a failure inside a connection ends that
connection alone, and an `authenticate` that fails is answered.
"""

from __future__ import annotations

import inspect
import secrets
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import structlog
import trio
from attrs import frozen

from trio_wss.app import Identity, Request
from trio_wss.data.json import decode, encode
from trio_wss.errors import Refused
from trio_wss.node.connection import Connection
from trio_wss.ops.health import health
from trio_wss.reads import Client
from trio_wss.wire import Head, Host, Response, serve

if TYPE_CHECKING:
    from trio_wss.node.node import Node
    from trio_wss.wire import WebSocket, WireLimits

T = TypeVar("T")

log = structlog.get_logger(__name__)

SPARE: Final = 1000  # sockets beyond max_connections, to say 503 on and to be asked for health


@frozen
class Admitted:
    """Who was let in, and whether its first frame will be `wss.resume`."""

    client: Client
    resumes: bool


class Reception(Host[T]):
    """What a node's listeners have in common, as the wire sees it. Counts its sockets."""

    def __init__(self, node: Node, limits: WireLimits, origins: tuple[str, ...], most: int) -> None:
        """`most` sockets at once: what comes then is just closed."""
        self.node = node
        self.most = most
        self.sockets = 0
        self.limits = limits
        self.origins = origins
        self.keep_alive = node.keep_alive
        self.mark_dirty = node.hub.mark_dirty

    async def handle(self, stream: trio.abc.Stream) -> None:
        """One socket's life on this node, from its first byte."""
        if self.sockets >= self.most:
            await trio.aclose_forcefully(stream)
            return
        self.sockets += 1
        try:
            await serve(stream, self)
        except Exception:
            log.exception("connection failed", node=self.node.id)
        finally:
            self.sockets -= 1


@final
class Entrance(Reception[Admitted]):
    """For the sockets of the public listener."""

    def __init__(self, node: Node) -> None:
        settings = node.settings
        super().__init__(node, node.wire_limits, settings.origins, settings.max_connections + SPARE)

    def plain(self, head: Head) -> Response | None:
        """Health, readiness and static files, on the node's own port."""
        return health(self.node, head) or self.node.static.answer(head)

    async def admit(self, head: Head) -> Response | Admitted:
        """Whether a handshake becomes a connection, and whose."""
        node = self.node
        if elsewhere := self._elsewhere():
            return elsewhere
        query = {name: value for name, value in head.query.items() if name != "resume"}
        request = Request(head.path, head.headers, query, head.remote)
        try:
            identity = await _authenticate(node, request)
            user, info = (
                (None, None) if identity is None else (identity.user, _as_json(identity.info))
            )
        except Refused as refusal:
            body = encode({"code": refusal.code, "message": refusal.message})
            return Response(401, body, content_type="application/json")
        except Exception:  # the app's code, as in turn.py
            log.exception("authenticate failed", node=node.id)
            return Response(500, b"The server failed.\n")
        if elsewhere := self._elsewhere():  # it may have taken long; from here on nothing waits
            return elsewhere
        client = Client(secrets.token_urlsafe(12), user, info, request.query)
        return Admitted(client, "resume" in head.query)

    def _elsewhere(self) -> Response | None:
        """What sends a client to another node, if this one takes nobody now."""
        reason = self.node.unready()
        if not reason and len(self.node.connections) >= self.node.settings.max_connections:
            reason = "the node has all the connections that it takes"
        if not reason:
            return None
        return Response(503, f"{reason}\n".encode(), (("Retry-After", "1"),))

    async def talk(self, socket: WebSocket, admitted: Admitted) -> None:
        """The connection of a client that was let in."""
        connection = Connection(self.node, socket, admitted.client, resumes=admitted.resumes)
        socket.before_close(connection.leave_hub)
        self.node.connected(connection)
        try:
            await connection.run()
        finally:
            self.node.disconnected(connection)


async def _authenticate(node: Node, request: Request) -> Identity | None:
    if node.app.authenticator is None:
        return None
    found = node.app.authenticator(request)
    return await found if inspect.isawaitable(found) else found


def _as_json(info: object) -> Any:
    """What every node finds in the session: plain data."""
    return decode(encode(info))
