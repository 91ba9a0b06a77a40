"""Nodes that die, stop breathing, or die while they clean up after another: real processes. No
session is ended twice, none stays for ever, and none that has moved on is changed."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import redis
import trio
import trio.lowlevel

from tests.support.members import Member, dial, event, http, member, request, shake_hands
from tests.support.processes import Running, trio_wss
from tests.support.resuming import DIES_AT, ROOM, ask_back, places, returning, token, welcome

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[2]
LEASE, GRACE = 2.0, 0.5
SETTINGS: Final = {
    "lease": LEASE,
    "grace": GRACE,
    "janitor_round": 0.1,
    "rate": 0,
}
DEADLINE: Final = 90.0


@asynccontextmanager
async def node(
    redis_url: str, folder: Path, *, dies_at: int = 0, **settings: float
) -> AsyncIterator[Running]:
    """A node in a process of its own, with the app of tests/support/resuming.py."""
    pairs = [f"{name}={value}" for name, value in (SETTINGS | settings).items()]
    options = [word for pair in pairs for word in ("--set", pair)]
    async with trio_wss(
        "run", "tests.support.resuming:app", "--redis", redis_url, "--drain", "1", *options,
        cwd=folder, env={"PYTHONPATH": str(ROOT), DIES_AT: str(dies_at)}, module=True,
    ) as running:  # fmt: skip
        yield await running.listening()


def kill(running: Running) -> None:
    os.kill(running.process.pid, signal.SIGKILL)


def pause(running: Running) -> None:
    os.kill(running.process.pid, signal.SIGSTOP)


def wake(running: Running) -> None:
    os.kill(running.process.pid, signal.SIGCONT)


async def clients_of(stack: AsyncExitStack, url: str, count: int) -> list[Member]:
    return [await stack.enter_async_context(member(url)) for _ in range(count)]


def log_of(store: redis.Redis) -> list[str]:
    """What the app has noted so far."""
    entries: Any = store.lrange("{wss}:k:log", 0, -1)
    return [entry.decode().strip('"') for entry in entries]


def went(store: redis.Redis) -> list[str]:
    return sorted(entry.partition(" ")[2] for entry in log_of(store) if entry.startswith("went"))


async def until_ended(store: redis.Redis, sessions: list[str]) -> None:
    """Wait until all of these have ended, and see that each did so once."""
    while set(went(store)) < set(sessions):  # noqa: ASYNC110 - Redis does not tell us
        await trio.sleep(0.02)
    assert went(store) == sorted(sessions)


async def test_the_sessions_of_a_killed_node_end_once_and_leave_no_ghost(
    redis_url: str, tmp_path: Path
) -> None:
    with trio.fail_after(DEADLINE), redis.Redis.from_url(redis_url) as store:
        async with (
            node(redis_url, tmp_path) as one,
            node(redis_url, tmp_path) as two,
            node(redis_url, tmp_path) as three,
            member(two.url) as watcher,
            AsyncExitStack() as stack,
        ):
            clients = await clients_of(stack, three.url, 30)
            kill(three)
            began = trio.current_time()
            sessions = sorted(client.session for client in clients)
            members = await watcher.good("who", {"topic": ROOM})
            assert members == sorted([*sessions, watcher.session])
            await until_ended(store, sessions)
            assert trio.current_time() - began > GRACE
            assert trio.current_time() - began < LEASE + GRACE + 5  # and not the busy machine's
            assert await watcher.good("who", {"topic": ROOM}) == [watcher.session]
            await trio.sleep(1)  # rounds of both janitors
            assert went(store) == sessions
            assert store.zcard("{wss}:nodes") == 2
            assert one.process.returncode is None


async def test_clients_of_a_killed_node_that_come_back_in_time_have_not_left(
    redis_url: str, tmp_path: Path
) -> None:
    with trio.fail_after(DEADLINE), redis.Redis.from_url(redis_url) as store:
        async with (
            node(redis_url, tmp_path) as one,
            node(redis_url, tmp_path) as two,
            member(one.url) as watcher,
            AsyncExitStack() as stack,
        ):
            comes, stays_away = await clients_of(stack, two.url, 2)
            await comes.good("say", {"topic": ROOM})
            await comes.received(ROOM, 1)
            left = places(comes)
            kill(two)
            await watcher.good("say", {"topic": ROOM})
            async with returning(one.url, ask_back(token(comes), left)) as back:
                assert welcome(back)["resumed"]
                assert welcome(back)["last"] == 1
                assert [said["data"] for said in await back.received(ROOM, 1)] == [2]
                await until_ended(store, [stays_away.session])
                await trio.sleep(1)
                assert went(store) == [stays_away.session]
                await back.send("say", {"topic": ROOM}, 2)
                assert (await back.answer(2))["data"] == 3


async def test_a_paused_node_that_wakes_applies_nothing_for_sessions_that_moved_on(
    redis_url: str, tmp_path: Path
) -> None:
    """What stood in its sockets is fenced; its record is gone, so it sends all clients away with
    1012 and begins anew."""
    with trio.fail_after(DEADLINE), redis.Redis.from_url(redis_url) as store:
        async with (
            node(redis_url, tmp_path) as awake,
            node(redis_url, tmp_path) as sleeper,
            member(sleeper.url) as moves,
            member(sleeper.url) as ends,
        ):
            await moves.good("say", {"topic": ROOM})
            await moves.received(ROOM, 1)
            left = places(moves)
            pause(sleeper)
            await moves.raw(*(event("say", {"topic": ROOM}, n) for n in range(2, 12)))
            async with returning(awake.url, ask_back(token(moves), left)) as back:
                assert welcome(back)["resumed"]
                await back.send("say", {"topic": ROOM}, 2)
                assert (await back.answer(2))["data"] == 2
                await until_ended(store, [ends.session])
                while store.zcard("{wss}:nodes") > 1:  # noqa: ASYNC110 - Redis does not tell us
                    await trio.sleep(0.02)
                wake(sleeper)
                assert await moves.closed() in (4409, 1012)
                assert await ends.closed() == 1012
                # The second was seen already: the recorded answer may come, and nothing else.
                assert {n: answer["data"] for n, answer in moves.answers.items()} in (
                    {1: 1}, {1: 1, 2: 2},
                )  # fmt: skip
                assert store.get("{wss}:k:count:" + ROOM) == b"2"
                await back.send("say", {"topic": ROOM}, 3)
                assert (await back.answer(3))["data"] == 3
                assert [said["offset"] for said in back.of(ROOM)] == [2, 3]
                assert went(store) == [ends.session]
            while (await http(sleeper.url, "/readyz"))[0] != 200:  # noqa: ASYNC110 - nor here
                await trio.sleep(0.02)
            async with member(sleeper.url) as new:
                assert await new.good("say", {"topic": ROOM}) == 4


async def test_a_node_that_was_paused_for_less_than_its_lease_goes_on(
    redis_url: str, tmp_path: Path
) -> None:
    with trio.fail_after(DEADLINE), redis.Redis.from_url(redis_url) as store:
        async with (
            node(redis_url, tmp_path, lease=10),
            node(redis_url, tmp_path, lease=10) as sleeper,
            member(sleeper.url) as client,
        ):
            pause(sleeper)
            await client.send("say", {"topic": ROOM}, 1)
            await trio.sleep(1)
            wake(sleeper)
            assert (await client.answer(1))["data"] == 1
            assert went(store) == []


@asynccontextmanager
async def about_to_resume(url: str) -> AsyncIterator[Member]:
    """A client that has said it will resume, and not yet which session."""
    async with await dial(url) as stream, trio.open_nursery() as nursery:
        client = Member(stream, await shake_hands(stream, request(url, {"resume": ""})))
        nursery.start_soon(client.read)
        yield client
        nursery.cancel_scope.cancel()


async def test_a_resume_that_a_frozen_node_finds_when_it_wakes_takes_the_session_from_nobody(
    redis_url: str, tmp_path: Path
) -> None:
    """Its client gave it up long ago, and is on another node; nobody there hears a word of it."""
    with trio.fail_after(DEADLINE):
        async with (
            node(redis_url, tmp_path, grace=60) as frozen,
            node(redis_url, tmp_path, grace=60) as other,
            member(other.url) as first,
        ):
            await first.vanish()
            async with about_to_resume(frozen.url) as late:
                pause(frozen)
                await late.raw(ask_back(token(first), attempt=1))
                asked = ask_back(token(first), attempt=2)
                async with returning(other.url, asked) as back:
                    assert welcome(back)["resumed"]
                    wake(frozen)
                    assert await late.closed() == 1013
                    assert late.frames == []
                    assert await back.good("say", {"topic": ROOM}) == 1
                    assert back.code is None
                # And the session can still go there, when its client says so.
                asked = ask_back(token(first), attempt=3)
                async with returning(frozen.url, asked) as again:
                    assert welcome(again)["resumed"]
                    assert welcome(again)["last"] == 1


async def test_a_janitor_that_dies_in_the_middle_only_delays(
    redis_url: str, tmp_path: Path
) -> None:
    """Its half-done work is due again, and what it did is not done once more."""
    count = 300
    with trio.fail_after(DEADLINE), redis.Redis.from_url(redis_url) as store:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(node(redis_url, tmp_path))
            clients = await clients_of(stack, one.url, count)
            sessions = [client.session for client in clients]
            kill(one)
            janitor = await stack.enter_async_context(node(redis_url, tmp_path, dies_at=150))
            assert await janitor.ended() == -signal.SIGKILL
            assert len(went(store)) < 150
            await stack.enter_async_context(node(redis_url, tmp_path))
            await until_ended(store, sessions)
            assert not store.exists("{wss}:m:" + ROOM)


async def test_every_node_at_once(redis_url: str, tmp_path: Path) -> None:
    """Nobody is left to clean up, until somebody starts."""
    with trio.fail_after(DEADLINE), redis.Redis.from_url(redis_url) as store:
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(node(redis_url, tmp_path)) for _ in range(2)]
            clients = [
                client for running in nodes for client in await clients_of(stack, running.url, 5)
            ]
            for running in nodes:
                kill(running)
            for client in clients:
                await client.closed()
            async with node(redis_url, tmp_path, grace=5) as new:
                comes, *stay_away = clients
                async with returning(new.url, ask_back(token(comes), places(comes))) as back:
                    assert welcome(back)["resumed"]
                    assert await back.good("who", {"topic": ROOM}) == sorted(
                        client.session for client in clients
                    )
                    await until_ended(store, [client.session for client in stay_away])
                    assert await back.good("who", {"topic": ROOM}) == [comes.session]
