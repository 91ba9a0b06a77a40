"""One node of a run, as a process of its own, which ends with its parent: it holds a pipe to it."""

from __future__ import annotations

import os
import sys

import click
import orjson
import trio

from harness.faults.app import app
from trio_wss.cli.log import configure
from trio_wss.cli.signals import stopping
from trio_wss.node import serve
from trio_wss.settings import Settings


async def _end_with_parent() -> None:
    """The pipe on standard input ends when the parent does, however that dies."""
    async with trio.lowlevel.FdStream(os.dup(0)) as pipe:
        await pipe.receive_some(1)
    os._exit(3)


async def run(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code."""
    async with trio.open_nursery() as nursery, stopping() as stop:
        nursery.start_soon(_end_with_parent)
        async with trio.open_nursery() as serving:

            async def serve_until_asked(
                task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
            ) -> None:
                await serve(app, settings, shutdown=stop.asked, task_status=task_status)

            node = await serving.start(serve_until_asked)
            click.echo(f"listening on {node.port} as {node.id}")
        nursery.cancel_scope.cancel()
    return stop.code


if __name__ == "__main__":
    configure("json")
    sys.exit(trio.run(run, Settings(**orjson.loads(sys.argv[1]))))
