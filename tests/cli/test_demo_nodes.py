"""trio_wss/cli/demo_nodes.py: a node that is killed is started again, and the page is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_wss.cli import demo_nodes
from trio_wss.cli.children import Child, ChildFailed
from trio_wss.cli.demo_nodes import VISIT_PAUSE, DemoNode
from trio_wss.client import Client, Connected, Event


class FakeChild:
    """A process that listens after a second, or ends with `code` before that."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code
        self.starts: list[float] = []
        self.killed = 0

    async def run(self, stop: trio.Event, ready: Callable[[], None]) -> int:
        self.starts.append(trio.current_time())
        try:
            with trio.move_on_after(1):
                await stop.wait()
                return 0
            if self.code is not None:
                return self.code
            ready()
            await stop.wait()
        except trio.Cancelled:
            self.killed += 1
            raise
        return 0


class FakeClient:
    """A client that keeps what it sends, and hears what the test says."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.incoming: list[Connected | Event] = []

    async def send(self, name: str, data: Any = None, **options: Any) -> None:
        assert options["again"]
        await trio.lowlevel.checkpoint()
        self.sent.append((name, data))

    async def events(self) -> AsyncIterator[Connected | Event]:
        for event in self.incoming:
            await trio.lowlevel.checkpoint()
            yield event


def node(code: int | None = None) -> tuple[DemoNode, FakeChild]:
    child = FakeChild(code)
    return DemoNode("A", cast(Child, child)), child


async def test_a_killed_node_is_started_again_after_a_pause(autojump_clock: MockClock) -> None:
    one, child = node()
    stop, began = trio.Event(), trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run, stop)
        assert (one.up, one.changes, trio.current_time()) == (True, 1, began + 1)
        one.kill()
        await wait_all_tasks_blocked()
        assert (one.up, one.changes, child.killed) == (False, 2, 1)
        await trio.sleep(VISIT_PAUSE + 1.5)
        assert (one.up, child.starts) == (True, [began, began + 1 + VISIT_PAUSE])
        stop.set()
    assert (one.up, child.killed) == (False, 1)


async def test_told_to_stop_while_it_is_away_it_stays_away(autojump_clock: MockClock) -> None:
    one, child = node()
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run, stop)
        one.kill()
        await wait_all_tasks_blocked()
        stop.set()
    assert len(child.starts) == 1


async def test_told_to_stop_before_it_listens_it_stops(autojump_clock: MockClock) -> None:
    one, _ = node()
    stop = trio.Event()
    stop.set()
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run, stop)
    assert not one.up


async def test_a_node_that_never_listens_has_failed(autojump_clock: MockClock) -> None:
    one, _ = node(3)
    failed = pytest.RaisesExc(ChildFailed, check=lambda error: error.exit_code == 3)
    with pytest.RaisesGroup(failed):
        async with trio.open_nursery() as nursery:
            await nursery.start(one.run, trio.Event())


async def test_one_that_listened_once_may_end_as_it_likes(autojump_clock: MockClock) -> None:
    one, child = node()
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run, stop)
        child.code = 3
        one.kill()
        await trio.sleep(3 * (VISIT_PAUSE + 1))
        assert len(child.starts) == 4
        stop.set()


async def test_the_page_is_told_whenever_a_node_comes_or_goes(autojump_clock: MockClock) -> None:
    one, _ = node()
    client, stop = FakeClient(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.report, cast(Client, client))
        await nursery.start(one.run, stop)
        await wait_all_tasks_blocked()
        one.kill()
        await trio.sleep(VISIT_PAUSE + 2)
        assert client.sent == [("report", {"node": "A", "up": up}) for up in (True, False, True)]
        nursery.cancel_scope.cancel()


async def test_what_the_page_says_is_done_and_nothing_else() -> None:
    client = FakeClient()
    killed: list[str] = []

    class Node:
        def __init__(self, name: str) -> None:
            self.name = name

        def kill(self) -> None:
            killed.append(self.name)

    client.incoming = [
        Connected(False, "s1", "n1"),
        Event("kill", {"node": "B"}),
        Event("kill", {"node": "C"}),
        Event("kill", "B"),
        Event("other", {"node": "A"}),
        Connected(True, "s1", "n1"),
    ]
    nodes = {name: cast(DemoNode, Node(name)) for name in "AB"}
    await demo_nodes._obey(cast(Client, client), nodes)
    assert (killed, client.sent) == (["B"], [("cluster", None)])
