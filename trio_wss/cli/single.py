"""One node in this process, alone or as the child of a parent that holds a channel to it.

The channel is a socket, on which the node says that it listens, or which setting is wrong. When the
channel ends, the parent is gone.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio
from attrs import evolve

import trio_wss.node
from trio_wss.app import App
from trio_wss.cli.children import LISTENS, WRONG, WRONG_CALL
from trio_wss.cli.faults import leaves
from trio_wss.cli.files import allow_files
from trio_wss.cli.greeting import greet
from trio_wss.cli.launch import Launch
from trio_wss.cli.ports import bind, listeners
from trio_wss.cli.signals import Stop, stopping
from trio_wss.errors import WrongSetting
from trio_wss.store.embedded import embedded


@asynccontextmanager
async def redis_for(launch: Launch, stop: Stop) -> AsyncIterator[str]:
    """The URL of the Redis to use. An embedded one runs for the length of the block, and its own
    end asks for a stop.
    """
    if launch.settings.redis is not None:
        yield launch.settings.redis
    else:
        async with embedded(launch.data, ended=stop.fail) as url:
            yield url


def calm_collector() -> None:
    """Let the garbage collector look at a node's many long-lived connections less often.

    With Python's own thresholds a handshake costs 1.6 times as much (benchmarks, 5,000 clients).
    """
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


async def run_node(launch: Launch, app: App) -> int:
    """Run a node until it is told to stop; returns the exit code.

    A child leaves it to its parent to say which setting is wrong, since the parent was given it.
    """
    calm_collector()
    allow_files(launch.settings.max_connections)
    if launch.channel is None:
        return await _run(launch, app, None)
    with trio.socket.from_stdlib_socket(socket.socket(fileno=launch.channel)) as channel:
        try:
            return await _run(launch, app, channel)
        except (WrongSetting, BaseExceptionGroup) as error:
            match list(leaves(error)):
                case [WrongSetting() as wrong]:
                    with suppress(OSError):  # the parent is gone
                        await channel.send(WRONG + f"{wrong.setting} {wrong.complaint}".encode())
                    return WRONG_CALL
                case _:
                    raise


async def _run(launch: Launch, app: App, channel: trio.socket.SocketType | None) -> int:
    settings = launch.settings
    bound = bind(settings.host, settings.port, shared=channel is not None)
    ops = []
    if settings.ops_port is not None:
        ops = bind(settings.ops_host, settings.ops_port, option="--ops-port")
    async with stopping(channel) as stop, redis_for(launch, stop) as redis:
        serve = partial(
            trio_wss.node.serve,
            app,
            evolve(settings, redis=redis),
            listeners=listeners(bound),
            ops_listeners=listeners(ops, option="--ops-port") if ops else None,
            shutdown=stop.asked,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            if channel is None:
                host, port = bound[0].getsockname()[:2]
                greet(launch, host, port, [ops[0].getsockname()[1]] if ops else [])
            else:
                await channel.send(LISTENS)
    return stop.code
