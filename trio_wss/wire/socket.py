"""One WebSocket connection as the node sees it: batches of messages in, an outbox out.

serve_stream() owns the stream and every task of the connection; when it returns, both have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar, final

import trio
from attrs import frozen
from trio_websocket import ConnectionClosed

from trio_wss.wire.close_codes import CloseCode
from trio_wss.wire.head import (
    BadHead,
    Head,
    Opening,
    Response,
    accept_key,
    answer,
    read_head,
    remote_address,
    upgraded,
)
from trio_wss.wire.keep_alive import KeepAlive
from trio_wss.wire.lane import Lane
from trio_wss.wire.limits import WireLimits
from trio_wss.wire.outbox import Outbox
from trio_wss.wire.seldom import Seldom
from trio_wss.wire.states import LaneState, PeerState

_SLOW: Final = PeerState.SLOW
_OPEN: Final = LaneState.OPEN

seldom = Seldom()

AdmittedT = TypeVar("AdmittedT")


class Closed(Exception):
    """There will be no more messages.

    `code` is the peer's (1005: it gave none), ours, or 1006 if the peer just vanished; `clean`
    is true if the peer sent a Close.
    """

    def __init__(self, code: int, reason: str = "", clean: bool = False) -> None:
        super().__init__(code, reason, clean)
        self.code = code
        self.reason = reason
        self.clean = clean


@final
class WebSocket:
    """An open connection. One task receives; any task may push, seal or close."""

    __slots__ = ("lane", "nursery", "outbox")

    def __init__(
        self, stream: trio.abc.Stream, nursery: trio.Nursery, host: Host[AdmittedT], early: bytes
    ) -> None:
        """`early`: frames that came with the request head."""
        self.nursery = nursery
        """For tasks of the connection: they are cancelled when its socket is closed."""
        self.outbox = Outbox(stream, host.limits, host.mark_dirty)
        self.lane = Lane(stream, nursery, self.outbox, host.limits, early)

    @property
    def clean(self) -> bool:
        """True if the peer has sent a Close."""
        return self.lane.clean

    def before_close(self, hook: Callable[[], None]) -> None:
        """Call `hook` right before the close of the socket, in the same step; at once if the socket
        is closed. There is one hook; it must not raise."""
        if self.lane.closed:
            hook()
        else:
            self.lane.before_close = hook

    async def receive(self) -> list[str | bytes]:
        """Return the next messages, at least one, in order: str for text, bytes for binary.

        The socket is read only in here. Cancelling it loses nothing. Raises Closed.
        """
        lane = self.lane
        while lane.peer is not _SLOW:
            if lane.library is not None:
                await lane.settled()
            if self.outbox.sealed or lane.state is not _OPEN:
                raise self._closed()
            if batch := await lane.read():
                return batch
        return [await self._slow_message()]

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Send Close behind all waiting frames, wait for the peer's, close the socket.

        It takes at most `close_seconds`. On a connection that is closing already, it waits for the
        end. If it is cancelled, the end of serve_stream() does the rest.
        """
        await self.lane.farewell(code, reason)
        await self.lane.aclose()

    async def _slow_message(self) -> str | bytes:
        """Return the next message from trio-websocket; feed it while it asks for more bytes."""
        lane = self.lane
        while True:
            if lane.hungry:
                if self.outbox.sealed:
                    raise self._closed()
                await lane.read()
                continue
            websocket = await lane.made()
            if websocket is None:
                raise self._closed()
            with trio.CancelScope() as fed:
                lane.when_hungry = fed.cancel
                try:
                    message = await websocket.get_message()
                except ConnectionClosed:
                    raise self._closed() from None
                if lane.is_too_long(message):
                    self.outbox.seal(CloseCode.TOO_BIG, "the message is too long")
                    raise self._closed()
                return message

    def _closed(self) -> Closed:
        if self.outbox.code is not None:
            return Closed(self.outbox.code, self.outbox.reason, self.lane.clean)
        websocket = self.lane.websocket
        reason = None if websocket is None else websocket.closed
        if reason is None:
            return Closed(CloseCode.ABNORMAL)
        return Closed(reason.code, reason.reason or "", self.lane.clean)


class Host(Protocol[AdmittedT]):
    """The interface of a node that the wire needs to serve connections."""

    limits: WireLimits
    origins: tuple[str, ...]
    """Origins of browsers that may connect, beside the node's own."""
    keep_alive: KeepAlive
    """Runs in a task of the host's."""
    mark_dirty: Callable[[Outbox], None]
    """Called when an outbox has something to flush."""

    def plain(self, head: Head) -> Response | None:
        """Return the answer to a GET that asks for no upgrade; None: 426."""

    async def admit(self, head: Head) -> Response | AdmittedT:
        """Judge an upgrade: a Response refuses it, any other value is passed to `talk`."""

    async def talk(self, socket: WebSocket, admitted: AdmittedT) -> None:
        """Converse with the client until the connection ends. Closed counts as an end."""


async def serve_stream(stream: trio.abc.Stream, host: Host[AdmittedT]) -> None:
    """Make a WebSocket of a new stream and run the host's `talk`, or answer it over plain HTTP.

    When `talk` ends, send Close 1000 if no Close was sent, wait at most `close_seconds`, and close.
    Errors of `talk` are raised in a group, as from a nursery.
    """
    opened = None
    try:
        opened = await _open(stream, host)
    finally:
        if opened is None:
            await trio.aclose_forcefully(stream)
    if opened is None:
        return
    async with trio.open_nursery() as nursery:
        socket = WebSocket(stream, nursery, host, opened.early)
        socket.outbox.push_now(opened.answer)
        talk = host.talk(socket, opened.admitted)
        del opened  # do not keep it as long as the connection lives
        host.keep_alive.add(socket.lane)
        try:
            await talk
            await socket.lane.aclose()
        finally:
            host.keep_alive.discard(socket.lane)
            if not socket.lane.closed:
                socket.outbox.seal(CloseCode.GOING_AWAY)
                await trio.aclose_forcefully(socket.lane)
            nursery.cancel_scope.cancel()


@frozen
class _Opened(Generic[AdmittedT]):
    """An accepted handshake: the answer, the admitted client, and the bytes after the head."""

    answer: bytes
    admitted: AdmittedT
    early: bytes


async def _open(stream: trio.abc.Stream, host: Host[AdmittedT]) -> _Opened[AdmittedT] | None:
    """Read and judge the head; return None if it got a plain answer."""
    opening: Opening | None = None
    response = Response(408, b"The request head took too long.\n")
    try:
        with trio.move_on_after(host.limits.handshake_seconds):
            opening = await read_head(stream, host.limits)
            accept = accept_key(opening, host.origins, host.plain)
            response = Response(503, b"Try again later.\n")
            admitted = await host.admit(opening.head)
            if not isinstance(admitted, Response):
                return _Opened(upgraded(accept), admitted, opening.rest)
            response = admitted
    except BadHead as error:
        if error.warning:
            remote = remote_address(stream) or ""
            seldom.warning(error.warning, **error.values, remote=remote)
        if error.response is None:
            return None
        response = error.response
    await answer(stream, response, opening.head.method if opening else "GET")
    return None
