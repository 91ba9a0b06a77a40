"""From a URL to a Client whose welcome has come, and back: `connect` owns stream and tasks.

Whatever goes wrong before the welcome is a ConnectError, and no socket is left open.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio
from attrs import define
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from trio_wss.client import frames
from trio_wss.client.connection import Client
from trio_wss.client.errors import ConnectError
from trio_wss.client.frames import BadFrame, Welcome


@define(eq=False)
class _Dial:
    """Where a URL leads, and the stream to it. Raises ConnectError."""

    url: str
    headers: Mapping[str, str]
    ssl_context: ssl.SSLContext | None
    max_message: int

    async def stream(self) -> trio.abc.Stream:
        """A TCP stream to the URL's host, with TLS if its scheme says so."""
        parts = urlsplit(self.url)
        try:
            host, port = parts.hostname, parts.port
            if parts.scheme not in ("ws", "wss") or not host:
                raise ConnectError(f'{self.url} must be a URL such as "ws://127.0.0.1:8000"')
            if parts.scheme == "ws":
                return await trio.open_tcp_stream(host, port or 80)
            return await self._secured(await trio.open_tcp_stream(host, port or 443), host)
        except trio.BrokenResourceError as error:
            raise ConnectError(f"cannot connect to {self.url}: {error.__cause__}") from error
        except (OSError, ValueError) as error:
            raise ConnectError(f"cannot connect to {self.url}: {error}") from error

    async def _secured(self, plain: trio.SocketStream, host: str) -> trio.abc.Stream:
        """TLS over a stream, its handshake done here: trio-websocket would wait for ever."""
        context = self.ssl_context or ssl.create_default_context()
        stream = trio.SSLStream(plain, context, server_hostname=host, https_compatible=True)
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def greet(
        self, nursery: trio.Nursery, stream: trio.abc.Stream
    ) -> tuple[WebSocketConnection, Welcome]:
        """Both handshakes: the WebSocket's, and the protocol's welcome."""
        parts = urlsplit(self.url)
        socket = await wrap_client_stream(
            nursery,
            stream,  # type: ignore[arg-type] # it takes any stream, but says SocketStream
            parts.netloc.rpartition("@")[2],
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            extra_headers=[(name.encode(), value.encode()) for name, value in self.headers.items()],
            max_message_size=self.max_message,
            receive_buffer_size=65_536,
        )
        try:
            return socket, frames.welcome(await socket.get_message())
        except BadFrame as fault:
            raise ConnectError(f"{self.url} speaks another protocol: {fault}") from None
        except ConnectionClosed as closed:
            raise ConnectError(f"{self.url} closed the connection: {closed.reason}") from None

    def refused(self, answer: ConnectionRejected) -> ConnectError:
        """What an HTTP answer other than 101 means (RFC 6455 §4.1)."""
        body = (answer.body or b"").decode(errors="replace").strip()
        status = answer.status_code
        return ConnectError(
            f"{self.url} answered with HTTP {status}{f': {body}' if body else ''}", status
        )


@asynccontextmanager
async def connect(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    timeout: float = 10.0,  # noqa: ASYNC109 - one that a caller would always have to add
    buffer: int = 1024,
    max_message: int = 16 << 20,
) -> AsyncIterator[Client]:
    """Connect to a node: `async with connect("ws://…") as client`.

    `timeout`, in seconds, is for everything up to the welcome. `buffer` is how many events may
    wait for `receive` before the connection is given up (FellBehind); 0 keeps none.
    Raises ConnectError.
    """
    dial = _Dial(url, headers or {}, ssl_context, max_message)
    stream: trio.abc.Stream | None = None
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                with trio.fail_after(timeout):
                    stream = await dial.stream()
                    client = Client(*await dial.greet(nursery, stream), buffer)
            except trio.TooSlowError:
                raise ConnectError(f"{url} did not answer within {timeout:g} s") from None
            nursery.start_soon(client.run_reader)
            nursery.start_soon(client.run_writer)
            try:
                yield client
            finally:
                await client.close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # Only one part can fail: trio-websocket in the handshake, or the body after it.
        if len(group.exceptions) != 1:
            raise
        [failure] = group.exceptions
    finally:
        if stream is not None:
            await trio.aclose_forcefully(stream)  # a failed handshake leaves it open
    if isinstance(failure, ConnectionRejected):
        raise dial.refused(failure)
    if failure is not None:
        raise failure  # here, not in the handler, so that its context and cause stay its own
