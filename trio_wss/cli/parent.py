"""The parent of node processes: it holds the port and the embedded Redis; the nodes do the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from trio_wss.cli import apps
from trio_wss.cli.children import Child, keep
from trio_wss.cli.greeting import greet
from trio_wss.cli.launch import Launch
from trio_wss.cli.log import tell
from trio_wss.cli.ports import hold
from trio_wss.cli.signals import Stop, stopping
from trio_wss.cli.single import redis_for
from trio_wss.cli.watch import Watch
from trio_wss.errors import WrongSetting

_MARGIN = 5.0  # seconds beyond `drain` until a process that was told to stop is killed


async def run_children(launch: Launch) -> int:
    """Run the node processes until told to stop; returns the exit code. Raises ChildFailed, and
    WrongSetting if the first of them found one.
    """
    held = hold(launch.settings.host, launch.settings.port)
    try:
        host, port = held[0].getsockname()[:2]
        async with stopping() as stop, redis_for(launch, stop) as redis:
            children = [
                Child(*launch.child(port, redis, number), launch.settings.drain + _MARGIN)
                for number in range(launch.workers)
            ]
            if launch.reload:
                await _keep_fresh(launch, children[0], stop, host, port)
            else:
                await _keep_all(launch, children, stop, host, port)
    finally:
        for socket in held:
            socket.close()
    return stop.code


async def _keep_all(
    launch: Launch, children: list[Child], stop: Stop, host: str, port: int
) -> None:
    """Start one node first, and the others when it listens, so that a common fault is told once."""
    async with trio.open_nursery() as nursery:
        await nursery.start(keep, children[0], stop.asked)
        async with trio.open_nursery() as starts:
            for child in children[1:]:
                starts.start_soon(nursery.start, keep, child, stop.asked)
        if not stop.asked.is_set():
            greet(launch, host, port, launch.ops_ports)


async def _keep_fresh(launch: Launch, child: Child, stop: Stop, host: str, port: int) -> None:
    """Start a new process after each edit, and none before the next edit if it ends by itself."""
    log = structlog.get_logger()
    folder = apps.folder(launch.target)
    watch = Watch(folder)
    greeted = False

    def ready() -> None:
        nonlocal greeted
        if greeted:
            log.info("reloaded")
        else:
            greet(launch, host, port, launch.ops_ports)
        greeted = True

    while not stop.asked.is_set():
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_after, watch.edited, over)
            nursery.start_soon(_set_after, stop.asked.wait, over)
            try:
                await child.run(over, ready)
            except WrongSetting as wrong:
                if not greeted:  # no edit of the app will mend it
                    raise
                log.error("the node found a wrong setting", reason=str(wrong))
            if not over.is_set():
                tell(f"waiting for an edit in {folder}")
                await over.wait()
            nursery.cancel_scope.cancel()


async def _set_after(wait: Callable[[], Awaitable[None]], over: trio.Event) -> None:
    await wait()
    over.set()
