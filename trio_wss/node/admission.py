"""Admission decides which clients a node lets in, and answers plain HTTP requests.

This is one of the places that catch every exception: a failing `authenticate` gets an answer.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable
from typing import Any, Final, final

import structlog
from attrs import frozen

from trio_wss.app import App, Identity, Request
from trio_wss.data.json import decode, encode
from trio_wss.errors import Refused
from trio_wss.node.connection import Connection, ConnectionParts
from trio_wss.ops.health import health
from trio_wss.reads import Client
from trio_wss.web.static_files import StaticFiles
from trio_wss.wire import Head, KeepAlive, Outbox, Reception, Response, WebSocket, WireLimits

log = structlog.get_logger(__name__)

SPARE_SOCKETS: Final = 1000  # beyond max_connections, for 503 answers and health requests


@frozen
class Admitted:
    """A client that was let in, and whether its first frame will be `wss.resume`."""

    client: Client
    resumes: bool


@final
class Admission(Reception[Admitted]):
    """Receives the sockets of the public listener."""

    def __init__(
        self,
        parts: ConnectionParts,
        limits: WireLimits,
        keep_alive: KeepAlive,
        mark_dirty: Callable[[Outbox], None],
        *,
        origins: tuple[str, ...],
        max_connections: int,
        unready: Callable[[], str],
    ) -> None:
        """`unready` returns why no client should come now; empty: the node is ready.

        Raises RegistrationError for a folder of static files that cannot be served.
        """
        super().__init__(
            parts.session.node,
            limits,
            keep_alive,
            mark_dirty,
            most=max_connections + SPARE_SOCKETS,
            origins=origins,
        )
        self._parts = parts
        self._app: Final[App] = parts.session.app
        self._static: Final = StaticFiles(self._app.static)
        self._max_connections = max_connections
        self._unready = unready

    def plain(self, head: Head) -> Response | None:
        """Answer a GET for health, readiness or a static file; None: there is no such answer."""
        return health(head, self._unready) or self._static.answer(head)

    async def admit(self, head: Head) -> Response | Admitted:
        """Return the client that a handshake lets in, or the response that refuses it."""
        if elsewhere := self._elsewhere():
            return elsewhere
        query = {name: value for name, value in head.query.items() if name != "resume"}
        request = Request(head.path, head.headers, query, head.remote)
        try:
            identity = await self._authenticate(request)
            user, info = (
                (None, None) if identity is None else (identity.user, _as_json(identity.info))
            )
        except Refused as refusal:
            body = encode({"code": refusal.code, "message": refusal.message})
            return Response(401, body, content_type="application/json")
        except Exception:  # the app's code, as in decide.py
            log.exception("authenticate failed", node=self._parts.session.node)
            return Response(500, b"The server failed.\n")
        if elsewhere := self._elsewhere():  # authenticate may have taken long; nothing waits below
            return elsewhere
        client = Client(secrets.token_urlsafe(12), user, info, request.query)
        return Admitted(client, "resume" in head.query)

    async def _authenticate(self, request: Request) -> Identity | None:
        if self._app.authenticator is None:
            return None
        found = self._app.authenticator(request)
        return await found if inspect.isawaitable(found) else found

    def _elsewhere(self) -> Response | None:
        """Return the response that sends a client to another node; None: this node takes it."""
        reason = self._unready()
        if not reason and len(self._parts.all) >= self._max_connections:
            reason = "the node has all the connections that it takes"
        if not reason:
            return None
        return Response(503, f"{reason}\n".encode(), (("Retry-After", "1"),))

    async def talk(self, socket: WebSocket, admitted: Admitted) -> None:
        """Run the connection of a client that was let in."""
        connection = Connection(self._parts, socket, admitted.client, resumes=admitted.resumes)
        socket.before_close(connection.leave_hub)
        await connection.run()


def _as_json(info: object) -> Any:
    """Return `info` as plain data, the form in which every node finds it in the session."""
    return decode(encode(info))
