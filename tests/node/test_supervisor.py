"""trio_wss/node/supervisor.py: the tasks of a node, and what it does when Redis goes, when its
record goes and when it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.support.fakes import FakeLink
from trio_wss import App
from trio_wss.errors import SettingsError, Unavailable, WrongSetting
from trio_wss.node import supervisor
from trio_wss.node.node import Node
from trio_wss.node.supervisor import BEATS, serve
from trio_wss.ops.statistics import Statistics
from trio_wss.settings import Settings
from trio_wss.store.link.resp import LinkLost, WrongRedis

SETTINGS = Settings(
    redis="redis://127.0.0.1:1", lease=3.0, redis_away=5.0, grace=7.0, drain=10.0, port=0
)


class RestlessLink(FakeLink):
    """A link with so many lives: each is up for some seconds, or never (0), and ends so."""

    def __init__(self) -> None:
        super().__init__()
        self.up = False
        self.maxmemory_policy: str | None = "noeviction"
        self.lives: list[tuple[float, LinkLost]] = []
        self.rests: list[float] = []

    async def run(self, listener: object, *, task_status: trio.TaskStatus[None]) -> None:
        if not self.lives:
            await trio.sleep_forever()
        seconds, error = self.lives.pop(0)
        if seconds:
            self.up = True
            task_status.started()
            await trio.sleep(seconds)
            self.up = False
        await trio.lowlevel.checkpoint()
        raise error

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        await trio.sleep(seconds)


class Leases:
    """What Redis says to each sign of life, in turn: whether the record is there, or nothing."""

    def __init__(self) -> None:
        self.answers: list[bool | None] = []
        self.beats: list[tuple[float, bool]] = []  # when, and whether the record was to be new
        self.signed_off: list[float] = []
        self.seconds = 0.0
        self.silent = False

    async def beat(self, lease: float, *, new: bool = False) -> bool:
        assert lease == SETTINGS.lease
        await trio.lowlevel.checkpoint()
        self.beats.append((trio.current_time(), new))
        answer = self.answers.pop(0) if self.answers else True
        if answer is None:
            raise Unavailable("away")
        return answer

    async def sign_off(self, grace: float) -> None:
        await trio.sleep(self.seconds)
        if self.silent:
            raise Unavailable("away")
        self.signed_off.append(grace)


class Away:
    """Connections that keep how they were sent away."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str]] = []
        self.seconds = 0.0
        self.ended = False

    async def send_away(self, seconds: float, why: str) -> None:
        self.told.append((seconds, why))
        await trio.sleep(self.seconds)
        self.ended = True


class FakeAdmission:
    async def handle(self, stream: trio.abc.Stream) -> None:
        raise AssertionError("nobody connects here")


class FakeNode:
    """What the supervisor looks after."""

    def __init__(self) -> None:
        self.id = "n1"
        self.settings = SETTINGS
        self.host, self.port = "", 0
        self.link = RestlessLink()
        self.listener = object()
        self.sessions = Leases()
        self.connections = Away()
        self.statistics = Statistics()
        self.admission = FakeAdmission()
        self.registered = False
        self.draining = False

    @property
    def node(self) -> Node:
        return cast(Node, self)

    def faults(self) -> list[tuple[str, str]]:
        return [(fault.kind, fault.text) for fault in self.statistics.faults]


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_wss.node.supervisor.random.uniform", lambda _, high: high)


async def run_for(seconds: float, task: Callable[..., Any], *arguments: object) -> list[str]:
    """Run a task that has no end for some seconds; what was logged."""
    with structlog.testing.capture_logs() as logs, trio.move_on_after(seconds):
        await task(*arguments)
    return [log["event"] for log in logs]


# --- its tasks


def tasks(task: trio.lowlevel.Task) -> Iterator[str]:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield child.name.removeprefix("trio_wss.")
            yield from tasks(child)


async def test_a_node_starts_without_redis_and_has_all_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_LINK", 0.01)
    settings = Settings(redis=f"unix://{tmp_path}/none", ops_port=0, drain=0.5)
    shutdown = trio.Event()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            node: Node = await nursery.start(partial(serve, App(), settings, shutdown=shutdown))
            await wait_all_tasks_blocked()
            [served] = nursery.child_tasks
            found = [*tasks(served)]
            for name in (
                "node.supervisor._keep_link",
                "node.supervisor._leave_a_dead_redis",
                "node.supervisor._keep_registered",
                "node.topics.hub.Hub.run",
                "node.writes.Writes.run",
                "node.connections.Connections.listen",
                "node.janitor.Janitor.run",
                "ops.statistics.Statistics.measure_lag",
                "ops.heartbeat.Heartbeat.run",
                "ops.server.Operations.run",
                "wire.keep_alive.KeepAlive.run",
                "wire.listen.listen",
            ):
                assert found.count(name) == 1, (name, found)
            assert node.unready() == "Redis is away"
            assert node.port != 0
            assert node.ops_url.startswith("http://127.0.0.1:")
            shutdown.set()
    assert node.draining


async def test_a_port_that_is_taken_is_one_sentence() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {port}"):
            await supervisor._listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::"])
async def test_a_free_port_is_one_whatever_the_addresses(host: str) -> None:
    [listener] = await supervisor._listen(host, 0)
    assert listener.socket.getsockname()[1] > 0
    await listener.aclose()


# --- the link

LOST = LinkLost("it hung up")


async def test_a_lost_link_is_tried_again_less_and_less_often(
    autojump_clock: MockClock, no_jitter: None
) -> None:
    fake = FakeNode()
    fake.link.lives = [(0, LOST)] * 8
    logs = await run_for(100, supervisor._keep_link, fake.node)
    assert fake.link.rests == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    assert logs == ["Redis is away"] * 8
    assert (fake.statistics.link_losses, fake.faults()) == (0, [])


async def test_a_link_that_held_is_taken_up_at_once_and_its_loss_is_counted(
    autojump_clock: MockClock, no_jitter: None
) -> None:
    fake = FakeNode()
    fake.link.lives = [(0, LOST), (0, LOST), (3, LOST), (0, LOST)]
    await run_for(100, supervisor._keep_link, fake.node)
    assert fake.link.rests == pytest.approx([0.05, 0.1, 0.05, 0.1])
    assert fake.statistics.link_losses == 1
    assert fake.faults() == [("link", "it hung up")]


async def test_a_redis_that_will_never_do_is_a_wrong_setting(autojump_clock: MockClock) -> None:
    fake = FakeNode()
    fake.link.lives = [(0, LOST), (0, WrongRedis("it is too old"))]
    with pytest.raises(WrongSetting, match="does not work: it is too old"):
        await supervisor._keep_link(fake.node)


async def test_one_that_was_linked_to_once_is_tried_for_ever(autojump_clock: MockClock) -> None:
    fake = FakeNode()
    fake.link.lives = [(1, LOST), (0, WrongRedis("it is loading"))]
    await run_for(100, supervisor._keep_link, fake.node)
    assert len(fake.link.rests) == 2


@pytest.mark.parametrize(
    ("policy", "warned"), [("noeviction", False), (None, False), ("allkeys-lru", True)]
)
async def test_a_redis_that_may_evict_state_is_warned_of(
    policy: str | None, warned: bool, autojump_clock: MockClock
) -> None:
    fake = FakeNode()
    fake.link.maxmemory_policy = policy
    fake.link.lives = [(1000, LOST)]
    logs = await run_for(1, supervisor._keep_link, fake.node)
    assert logs[0] == "linked to Redis"
    assert any("evict" in log for log in logs) == warned


# --- Redis away for too long


async def test_clients_are_sent_elsewhere_when_redis_is_away_for_too_long(
    autojump_clock: MockClock,
) -> None:
    fake = FakeNode()
    await run_for(SETTINGS.redis_away + 0.5, supervisor._leave_a_dead_redis, fake.node)
    assert fake.connections.told == []
    await run_for(SETTINGS.redis_away + 1.5, supervisor._leave_a_dead_redis, fake.node)
    assert fake.connections.told == [(SETTINGS.lease / BEATS, "Redis is away")]


async def test_a_redis_that_comes_back_now_and_then_is_not_left(
    autojump_clock: MockClock,
) -> None:
    fake = FakeNode()

    async def come_and_go() -> None:
        while True:
            await trio.sleep(SETTINGS.redis_away - 1)
            fake.link.up = True
            await trio.sleep(1.5)
            fake.link.up = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come_and_go)
        await run_for(100, supervisor._leave_a_dead_redis, fake.node)
        nursery.cancel_scope.cancel()
    assert fake.connections.told == []


# --- the node's record


async def test_a_node_gives_three_signs_of_life_in_the_time_of_a_lease(
    autojump_clock: MockClock,
) -> None:
    fake, registered = FakeNode(), trio.Event()
    began = trio.current_time()
    await run_for(2.5, supervisor._keep_registered, fake.node, registered)
    assert fake.sessions.beats == [(began, True), (began + 1, False), (began + 2, False)]
    assert fake.registered
    assert registered.is_set()


async def test_a_node_that_is_not_registered_tries_ten_times_as_often(
    autojump_clock: MockClock,
) -> None:
    fake, registered = FakeNode(), trio.Event()
    fake.sessions.answers = [None, False]
    began = trio.current_time()
    await run_for(0.15, supervisor._keep_registered, fake.node, registered)
    assert (fake.registered, registered.is_set(), fake.connections.told) == (False, False, [])
    await run_for(0.5, supervisor._keep_registered, fake.node, registered)
    assert [round(when - began, 2) for when, new in fake.sessions.beats if new] == [0, 0.1, 0.15]
    assert registered.is_set()


async def test_a_redis_that_does_not_say_leaves_the_node_its_record(
    autojump_clock: MockClock,
) -> None:
    fake = FakeNode()
    fake.sessions.answers = [True, None, None, True]
    await run_for(3.5, supervisor._keep_registered, fake.node, trio.Event())
    assert [new for _, new in fake.sessions.beats] == [True, False, False, False]
    assert (fake.registered, fake.connections.told) == (True, [])


async def test_a_node_whose_record_is_gone_sends_its_clients_away_and_begins_anew(
    autojump_clock: MockClock,
) -> None:
    fake = FakeNode()
    fake.sessions.answers = [True, False, True]
    began = trio.current_time()
    logs = await run_for(1.5, supervisor._keep_registered, fake.node, trio.Event())
    assert logs == ["the node's record is gone from Redis"]
    assert fake.connections.told == [(SETTINGS.lease / BEATS, "the node lost its sessions")]
    assert fake.sessions.beats == [(began, True), (began + 1, False), (began + 1, True)]
    assert fake.registered


async def test_while_its_clients_go_a_node_without_a_record_is_not_registered(
    autojump_clock: MockClock,
) -> None:
    fake = FakeNode()
    fake.sessions.answers = [True, False]
    fake.connections.seconds = 10
    await run_for(5, supervisor._keep_registered, fake.node, trio.Event())
    assert (fake.registered, len(fake.sessions.beats)) == (False, 2)


# --- the end


@pytest.mark.parametrize(("seconds", "ended"), [(1.0, True), (100.0, False)])
async def test_a_node_that_stops_sees_its_clients_off_in_half_of_the_time(
    seconds: float, ended: bool, autojump_clock: MockClock
) -> None:
    fake, shutdown = FakeNode(), trio.Event()
    fake.connections.seconds = seconds
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        started = await nursery.start(partial(_take_clients, fake, listeners, shutdown))
        assert started is fake
        assert (fake.host, fake.port) == listeners[0].socket.getsockname()
        assert (fake.draining, fake.connections.told) == (False, [])
        shutdown.set()
        await wait_all_tasks_blocked()
        assert fake.draining
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((fake.host, fake.port))
        began = trio.current_time()
    assert fake.connections.told == [(SETTINGS.drain / 4, "the node is stopping")]
    assert fake.connections.ended == ended
    assert trio.current_time() - began <= SETTINGS.drain / 2


async def _take_clients(
    fake: FakeNode,
    listeners: list[trio.SocketListener],
    shutdown: trio.Event,
    *,
    task_status: trio.TaskStatus[Node],
) -> None:
    await supervisor._take_clients(fake.node, listeners, shutdown, task_status)


@pytest.mark.parametrize(
    ("up", "silent", "seconds", "signed_off", "warned"),
    [
        (True, False, 0.5, [SETTINGS.grace], []),
        (False, False, 0.0, [], []),
        (True, True, 0.0, [], ["the node's record stays in Redis for now"]),
        (True, False, 100.0, [], []),
    ],
)
async def test_a_node_that_stops_takes_its_record_away_if_redis_takes_that(
    up: bool,
    silent: bool,
    seconds: float,
    signed_off: list[float],
    warned: list[str],
    autojump_clock: MockClock,
) -> None:
    fake = FakeNode()
    fake.link.up, fake.sessions.silent, fake.sessions.seconds = up, silent, seconds
    began = trio.current_time()
    logs = await run_for(50, supervisor._sign_off, fake.node)
    assert (fake.sessions.signed_off, logs) == (signed_off, warned)
    assert trio.current_time() - began <= SETTINGS.drain / 10
