"""An echo server over the wire layer alone: what the compliance suite and the benchmark talk to."""

import sys
from collections.abc import Callable
from functools import partial

import trio

from trio_wss.wire import Head, KeepAlive, Outbox, Response, WireLimits, accept
from trio_wss.wire.frames import binary_frame, text_frame


async def admit_all(request: Head) -> Response | None:
    return None


async def echo(
    stream: trio.abc.Stream,
    limits: WireLimits,
    on_dirty: Callable[[Outbox], None] = lambda outbox: None,
) -> None:
    """Send every message back, a batch at a time, until the client is gone."""
    async with accept(
        stream,
        limits=limits,
        plain=lambda head: None,
        admit=admit_all,
        on_dirty=on_dirty,
        keep_alive=KeepAlive(limits),
    ) as socket:
        while socket is not None:
            for message in await socket.receive():
                if isinstance(message, str):
                    socket.outbox.push(text_frame(message.encode()))
                else:
                    socket.outbox.push(binary_frame(message))
            socket.outbox.flush()
            await socket.outbox.room()


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
