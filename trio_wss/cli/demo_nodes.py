"""The nodes of `trio-wss demo`, started again when the page has killed them. The page's wishes come
as broadcasts and this program's reports go out as events, so it is a client of its own nodes.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import Final, final

import trio

from trio_wss.cli.children import Child, ChildFailed
from trio_wss.cli.greeting import near, page
from trio_wss.cli.launch import Launch
from trio_wss.cli.ports import hold, urls
from trio_wss.cli.signals import stopping
from trio_wss.cli.single import redis_for
from trio_wss.client import Client, Connected, Event, connect
from trio_wss.demo.cluster import KEY_VARIABLE, NODE_VARIABLE

APP: Final = "trio_wss.demo.cluster:app"

VISIT_PAUSE: Final = 5.0
"""The seconds for which a killed node stays away."""

MARGIN: Final = 5.0
"""Seconds beyond `drain` until a node that was told to stop is killed."""

ANSWER_TIMEOUT: Final = 60.0
"""Seconds to find a node that takes an event."""


@final
class DemoNode:
    """A node process that is started again whenever it has ended."""

    def __init__(self, name: str, child: Child) -> None:
        self.name = name
        self.up = False
        self.changes = 0
        self._child = child
        self._life = trio.CancelScope()
        self._news = trio.lowlevel.ParkingLot()

    def kill(self) -> None:
        """End the process as a crash would, with no goodbye."""
        self._life.cancel()

    async def run(self, stop: trio.Event, task_status: trio.TaskStatus[None]) -> None:
        """Keep the node running until `stop` is set. It counts as started when it listens. Raises
        ChildFailed if the first process never does.
        """
        started = False

        def ready() -> None:
            nonlocal started
            if not started:
                started = True
                task_status.started()
            self._turn(up=True)

        while True:
            code = 0
            with trio.CancelScope() as self._life:
                code = await self._child.run(stop, ready)
            self._turn(up=False)
            if not (started or stop.is_set()):
                raise ChildFailed(code)
            with trio.move_on_after(VISIT_PAUSE):
                await stop.wait()
                if not started:
                    task_status.started()  # or as ready as it will be
                return

    async def report(self, client: Client) -> None:
        """Tell the page whether the node is up, whenever that has changed."""
        told = 0
        while True:
            while told == self.changes:
                await self._news.park()
            told = self.changes
            data = {"node": self.name, "up": self.up}
            await client.send("report", data, timeout=ANSWER_TIMEOUT, again=True)

    def _turn(self, *, up: bool) -> None:
        self.up = up
        self.changes += 1
        self._news.unpark_all()


async def run_nodes(launch: Launch, count: int) -> int:
    """Run the nodes until told to stop; returns the exit code. Raises ChildFailed."""
    held = hold(launch.settings.host, launch.settings.port)
    try:
        host, port = held[0].getsockname()[:2]
        async with stopping() as stop, redis_for(launch, stop) as redis:
            key = secrets.token_urlsafe(16)
            arguments, environment = launch.child(port, redis)
            nodes = {}
            for name in string.ascii_uppercase[:count]:
                variables = environment | {NODE_VARIABLE: name, KEY_VARIABLE: key}
                child = Child(arguments, variables, launch.settings.drain + MARGIN)
                nodes[name] = DemoNode(name, child)
            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as starts:
                    for node in nodes.values():
                        starts.start_soon(nursery.start, node.run, stop.asked)
                if not stop.asked.is_set():
                    print(f"listening on {urls(host, port)}")
                    print(f"Open {page(host, port)} in a browser, and once more.", flush=True)
                    headers = {"Authorization": key}
                    async with connect(near(host, port), headers=headers) as client:
                        await _attend(client, nodes, stop.asked)
    finally:
        for socket in held:
            socket.close()
    return stop.code


async def _attend(client: Client, nodes: Mapping[str, DemoNode], stop: trio.Event) -> None:
    """Report which nodes are up and kill those that the page names, until told to stop."""
    async with trio.open_nursery() as nursery:
        for node in nodes.values():
            nursery.start_soon(node.report, client)
        nursery.start_soon(_obey, client, nodes)
        await stop.wait()
        nursery.cancel_scope.cancel()


async def _obey(client: Client, nodes: Mapping[str, DemoNode]) -> None:
    async for event in client.events():
        match event:
            case Connected(resumed=False):
                await client.send("cluster", timeout=ANSWER_TIMEOUT, again=True)
            case Event("kill", {"node": str(name)}) if name in nodes:
                nodes[name].kill()
