"""An echo server over the wire layer alone: what the compliance suite and the benchmark talk to."""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio

from tests.support.frames import client_frame
from trio_wss import wire
from trio_wss.wire import Closed, Head, Host, KeepAlive, Outbox, Response, WebSocket, WireLimits
from trio_wss.wire.frames import BINARY, text_frame


class EchoHost(Host[Head]):
    """Sends every message back, a batch at a time, until the client is gone."""

    def __init__(self, limits: WireLimits) -> None:
        self.limits = limits
        self.origins: tuple[str, ...] = ()
        self.keep_alive = KeepAlive(limits)
        self.mark_dirty: Callable[[Outbox], None] = lambda outbox: None

    def plain(self, head: Head) -> Response | None:
        return None

    async def admit(self, head: Head) -> Response | Head:
        return head

    async def talk(self, socket: WebSocket, admitted: Head) -> None:
        with suppress(Closed):
            while True:
                for message in await socket.receive():
                    if isinstance(message, str):
                        socket.outbox.push(text_frame(message.encode()))
                    else:
                        socket.outbox.push(client_frame(BINARY, message, mask=None))
                socket.outbox.flush()
                await socket.outbox.room()


async def echo(stream: trio.abc.Stream, limits: WireLimits) -> None:
    await wire.serve_stream(stream, EchoHost(limits))


async def serve(
    limits: WireLimits,
    port: int = 0,
    task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
) -> None:
    await trio.serve_tcp(
        partial(echo, limits=limits), port, host="127.0.0.1", task_status=task_status
    )


if __name__ == "__main__":
    trio.run(serve, WireLimits(message_bytes=32 << 20, outbox_bytes=64 << 20), int(sys.argv[1]))
