"""Connect to a URL; the result is a transport, a WebSocket whose welcome has come. `Dialer.dial`
owns its stream and its tasks.

Any failure before the welcome is a ConnectError, except errors of the caller's own headers and
query; no socket is left open.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Final, final
from urllib.parse import SplitResult, urlsplit

import trio
from attrs import define, field, frozen
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)
from wsproto.utilities import LocalProtocolError

from trio_wss.client import frames
from trio_wss.client.backoff import VANISHED, read_reason
from trio_wss.client.credentials import Credentials, header_lines, made, target
from trio_wss.client.errors import ConnectError, ConnectionLost, EventError
from trio_wss.client.frames import BadFrame, Ticket, Welcome

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

PIECE: Final = 1 << 16  # bytes
RECEIVE_BUFFER: Final = 65_536


def _ignore() -> None:
    """Do nothing at the end of a stream that nobody waits for."""


@final
@define(eq=False)
class WatchedStream(trio.abc.Stream):
    """The stream that trio-websocket reads and writes. It is needed because trio-websocket waits on
    for its handshake when the peer has gone, and reports no bytes of an incomplete message.
    """

    stream: trio.abc.Stream
    at_end: Callable[[], None] = field(default=_ignore)
    received_at: float = field(factory=trio.current_time)
    """When the last bytes came."""
    sent_at: float = field(factory=trio.current_time)
    """When the last piece of a message went out."""
    _received: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

    async def wait_received(self) -> None:
        """Wait for the next bytes."""
        await self._received.park()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Read the stream, and report its end."""
        try:
            received = await self.stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.at_end()
            raise
        if received:
            self.received_at = trio.current_time()
            self._received.unpark_all()
        else:
            self.at_end()
        return received

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send in pieces, so that a long message shows how it gets on."""
        view = memoryview(data)
        for start in range(0, len(view), PIECE):
            await self.stream.send_all(view[start : start + PIECE])
            self.sent_at = trio.current_time()

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream."""
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream."""
        await self.stream.aclose()


@frozen(eq=False)
class Transport:
    """A WebSocket whose welcome has come."""

    socket: WebSocketConnection
    stream: WatchedStream
    welcome: Welcome
    max_message: int
    """The longest message that we take, in bytes."""


Run = Callable[[Transport], Awaitable[ConnectionLost]]


@define(eq=False)
class Dialer:
    """The options for connecting. `headers` and `query` may contain secrets."""

    headers: Credentials = field(repr=False)
    query: Credentials = field(repr=False)
    ssl_context: ssl.SSLContext | None
    timeout: float
    max_message: int

    async def dial(
        self, url: SplitResult, ticket: Ticket | None, run: Run, *, again: bool
    ) -> ConnectionLost:
        """Connect, ask to resume the ticket's session, `run` the connection to its end, close.
        Raises ConnectError; and, unless `again`, the errors of the caller's functions.
        """
        stream: trio.abc.Stream | None = None
        failure: BaseException | None = None
        loss = ConnectionLost(VANISHED)
        try:
            async with trio.open_nursery() as nursery:
                try:
                    with trio.fail_after(self.timeout):
                        headers = header_lines(await made("headers", self.headers, again=again))
                        query = await made("query", self.query, again=again)
                        where = target(url, query, resumes=ticket is not None)
                        stream = await self._stream(url)
                        watched = WatchedStream(stream)
                        socket = await self._upgrade(nursery, watched, url, where, headers)
                        welcome = await _greet(socket, url, ticket)
                except trio.TooSlowError:
                    message = f"{shown(url)} did not answer within {self.timeout:g} s"
                    raise ConnectError(message) from None
                loss = await run(Transport(socket, watched, welcome, self.max_message))
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # Only one part can fail: trio-websocket in the handshake, or the code after it.
            if len(group.exceptions) != 1:
                raise
            [failure] = group.exceptions
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)  # a failed handshake leaves it open
        match failure:
            case None | LocalProtocolError():  # the latter: a ping met our Close half-way
                return loss
            case ConnectionRejected():
                raise _rejected(url, failure)
        raise failure  # here, not in the handler, so that its context and cause do not change

    async def _stream(self, url: SplitResult) -> trio.abc.Stream:
        """Open a TCP stream to the URL's host, with TLS if the scheme is `wss`."""
        assert url.hostname is not None
        try:
            return await open_stream(url.scheme, url.hostname, url.port, self.ssl_context)
        except trio.BrokenResourceError as error:
            raise ConnectError(f"cannot connect to {shown(url)}: {error.__cause__}") from error
        except (OSError, UnicodeError) as error:  # the latter: a name that DNS cannot have
            raise ConnectError(f"cannot connect to {shown(url)}: {error}") from error

    async def _upgrade(
        self,
        nursery: trio.Nursery,
        watched: WatchedStream,
        url: SplitResult,
        where: str,
        headers: list[tuple[bytes, bytes]],
    ) -> WebSocketConnection:
        """Do the WebSocket handshake."""
        with trio.CancelScope() as scope:
            watched.at_end = scope.cancel
            return await wrap_client_stream(
                nursery,
                watched,  # type: ignore[arg-type] # any stream will do
                url.netloc.rpartition("@")[2],
                where,
                extra_headers=headers,
                max_message_size=self.max_message,
                receive_buffer_size=RECEIVE_BUFFER,
            )
        raise ConnectError(f"{shown(url)} hung up during the handshake")


def parse_url(url: str) -> SplitResult:
    """Parse and check a URL. Raises ConnectError."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0 and url.encode():
            return parts
    except ValueError:  # a port that is no number, an unclosed bracket, a lone surrogate
        pass
    told = ascii(url)[1:-1].partition("?")[0].rpartition("@")[2]  # see `shown`
    raise ConnectError(f'{told} must be a URL such as "ws://127.0.0.1:8000"')


def shown(url: SplitResult) -> str:
    """Return a URL for messages, without its query and password."""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


async def open_stream(
    scheme: str, host: str, port: int | None, context: ssl.SSLContext | None = None
) -> Stream:
    """Open a TCP stream to a host, with TLS if the scheme is `wss`. Do the TLS handshake here:
    trio-websocket would wait for it for ever. Raises OSError, BrokenResourceError, and UnicodeError
    for a name that DNS cannot have.
    """
    secure = scheme == "wss"
    plain = await trio.open_tcp_stream(host, port or (443 if secure else 80))
    if not secure:
        return plain
    context = context or ssl.create_default_context()
    stream = trio.SSLStream(plain, context, server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _greet(socket: WebSocketConnection, url: SplitResult, ticket: Ticket | None) -> Welcome:
    """Do the protocol's handshake: send the resume, if any, and return the welcome."""
    try:
        if ticket is not None:
            await socket.send_message(frames.resume(ticket))
        welcome = frames.welcome(await socket.get_message())
        if ticket is not None and not welcome.resumed:
            await socket.send_message(frames.BEGIN)
        return welcome
    except BadFrame as fault:
        message = f"{shown(url)} speaks another protocol: {fault}"
        raise ConnectError(message, code=1002) from None
    except EventError as refusal:
        message = f"{shown(url)} refused: {refusal}"
        raise ConnectError(message, code=await _code_behind(socket)) from None
    except ConnectionClosed as closed:
        code, text = _told(closed)
        message = f"{shown(url)} closed the connection: {code} {read_reason(text)[0]}".rstrip()
        raise ConnectError(message, code=code) from None


async def _code_behind(socket: WebSocketConnection) -> int:
    """Return the code of the Close after a refusal; it decides whether to try again."""
    try:
        while True:
            await socket.get_message()
    except ConnectionClosed as closed:
        return _told(closed)[0]


def _told(closed: ConnectionClosed) -> tuple[int, str]:
    """Return code and reason of a Close."""
    if closed.reason is None:
        return VANISHED, ""
    return int(closed.reason.code), closed.reason.reason or ""


def _rejected(url: SplitResult, answer: ConnectionRejected) -> ConnectError:
    """Return the error for an HTTP answer other than 101 (RFC 6455 §4.1)."""
    body = (answer.body or b"").decode(errors="replace").strip()
    status = answer.status_code
    message = f"{shown(url)} answered with HTTP {status}{f': {body}' if body else ''}"
    return ConnectError(message, status)
