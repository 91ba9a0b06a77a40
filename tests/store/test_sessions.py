"""Generations: whose a session is, over resumes, late copies and failovers that lose some."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from tests.support.links import running
from trio_wss.commit.plan import EMPTY_PLAN, plan
from trio_wss.effects import Join
from trio_wss.errors import Unavailable
from trio_wss.reads import Client
from trio_wss.store import sessions as store_sessions
from trio_wss.store.executor import NEW, Commit, Executor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import parse_address
from trio_wss.store.link.backlog import LIGHT, Answered
from trio_wss.store.link.link import Link
from trio_wss.store.outcome import CommitOutcome, Done, Fenced, Gone
from trio_wss.store.scripts import link_to
from trio_wss.store.sessions import (
    Overtaken,
    Sessions,
    StoredSession,
    new_token,
    next_generation,
)

CLIENT = Client("s1", "mary", None, {})
FIRST = "1"


class Node:
    """What a node needs of the store, with one session that has begun."""

    def __init__(self, link: Link) -> None:
        keys = Keys("generations")
        self.link = link
        self.executor = Executor(link, keys, "n1")
        self.sessions = Sessions(link, keys, "n1")
        self.token = new_token(CLIENT.session)

    async def begin(self) -> None:
        await self.sessions.beat(60, new=True)
        lead = self.sessions.begin(CLIENT, self.token)
        commit = Commit(EMPTY_PLAN, CLIENT.session, NEW, lead=lead)
        assert isinstance(await self.executor.committed(commit), Done)

    async def take(self, seen: str, generation: str, attempt: int | None = None) -> bool:
        stored = StoredSession(CLIENT, seen)
        return await self.sessions.take(stored, generation, attempt) is not None

    async def commit(self, generation: str) -> CommitOutcome:
        return await self.executor.committed(Commit(EMPTY_PLAN, CLIENT.session, generation))


def size(reply: Any) -> int:
    """About how many bytes an answer has on the wire."""
    if isinstance(reply, dict):
        return sum(map(size, [*reply, *reply.values()]))
    return len(reply) + 16 if isinstance(reply, bytes) else sum(map(size, reply))


@asynccontextmanager
async def node(url: str) -> AsyncIterator[Node]:
    link = link_to(parse_address(url), Keys("generations"))
    async with running(link) as watch:
        await watch.is_up()
        one = Node(link)
        await one.begin()
        yield one


def test_each_generation_is_one_more_and_unlike_any_other() -> None:
    second, other = next_generation(FIRST), next_generation(FIRST)
    assert second.startswith("2.")
    assert second != other
    assert next_generation(second).startswith("3.")


async def test_a_resume_fences_the_connection_before_it(redis_url: str) -> None:
    async with node(redis_url) as one:
        second = next_generation(FIRST)
        assert await one.take(FIRST, second)
        found = await one.sessions.find(one.token)
        assert found is not None
        assert found.generation == second
        assert isinstance(await one.commit(FIRST), Fenced)
        assert isinstance(await one.commit(second), Done)


async def test_a_resume_that_is_sent_again_is_the_same_one(redis_url: str) -> None:
    async with node(redis_url) as one:
        second = next_generation(FIRST)
        assert await one.take(FIRST, second)
        assert await one.take(FIRST, second)
        assert not await one.take(FIRST, next_generation(FIRST))
        assert isinstance(await one.commit(second), Done)


async def test_an_attempt_to_resume_that_was_overtaken_changes_nothing(redis_url: str) -> None:
    """It saw the present generation, and yet it is old: it has lain about somewhere."""
    async with node(redis_url) as one:
        second, third = next_generation(FIRST), next_generation(FIRST)
        assert await one.take(FIRST, second, 7)
        for attempt in (0, 6, 7):
            with pytest.raises(Overtaken):
                await one.take(second, third, attempt)
        assert isinstance(await one.commit(second), Done)
        assert await one.take(FIRST, second, 7)  # the same one, sent again by the link
        assert not await one.take(FIRST, third, 9)
        assert await one.take(second, third, 8)
        fourth = next_generation(third)
        assert await one.take(third, fourth)  # of a client that does not count
        with pytest.raises(Overtaken):
            await one.take(fourth, next_generation(fourth), 8)
        assert await one.take(fourth, next_generation(fourth), 2**53 - 1)


async def test_a_resume_that_a_failover_lost_is_gone_and_not_replaced(redis_url: str) -> None:
    """Its client must come back: nobody has taken its place."""
    async with node(redis_url) as one:
        lost = next_generation(FIRST)
        assert await one.take(FIRST, lost)
        with redis.Redis.from_url(redis_url) as client:  # as the replica had it
            client.hset("{generations}:s:s1", "gen", FIRST)
        assert isinstance(await one.commit(lost), Gone)


async def test_two_resumes_of_one_generation_are_told_apart(redis_url: str) -> None:
    """The first was lost in a failover; the second must not be taken for it."""
    async with node(redis_url) as one:
        lost, second = next_generation(FIRST), next_generation(FIRST)
        assert await one.take(FIRST, second)
        assert isinstance(await one.commit(lost), Fenced)
        await one.sessions.away(CLIENT.session, lost, 0)  # what the first leaves behind
        assert (await one.sessions.due(0, 10, 10, 60)).sessions == []


async def test_after_a_silence_of_all_nodes_nobody_is_due_for_a_lease(redis_url: str) -> None:
    """That was Redis' own: the nodes, and the clients whose grace it took, come back first."""
    async with node(redis_url) as one:
        with redis.Redis.from_url(redis_url) as client:
            now = client.time()[0] * 1000

            def pulse(last: int, since: int) -> None:
                client.set("{generations}:pulse", f"{now - last} {now - since}")

            async def due() -> list[str]:
                found = await one.sessions.due(60, 10, 0, 10)
                return [stored.client.session for stored in found.sessions]

            client.zadd("{generations}:due:", {CLIENT.session: 1})
            client.zadd("{generations}:nodes", {"n2": 1})
            client.hset("{generations}:n:n2", "gen", "1")
            client.sadd("{generations}:o:n2", "s2")
            pulse(6000, 100_000)  # nobody has beaten for over half a lease
            assert await due() == []
            pulse(1000, 9000)  # they do again, but not for a lease
            assert await due() == []
            assert client.zrange("{generations}:nodes", 0, 0) == [b"n2"]
            pulse(4000, 11_000)
            assert await due() == [CLIENT.session]
            assert client.exists("{generations}:n:n2") == 0
            assert client.zscore("{generations}:due:", "s2") is not None


@pytest.mark.parametrize(
    ("last", "starts_again"), [(4000, False), (6000, True)], ids=["a beat", "a silence"]
)
async def test_a_pulse_starts_again_after_a_silence(
    redis_url: str, last: int, starts_again: bool
) -> None:
    async with node(redis_url) as one:
        with redis.Redis.from_url(redis_url) as client:
            now = client.time()[0] * 1000
            client.set("{generations}:pulse", f"{now - last} 5")
            assert await one.sessions.beat(10)
            beaten, since = client.get("{generations}:pulse").split()
            assert int(beaten) >= now
            assert since == (beaten if starts_again else b"5")


async def test_a_node_that_wakes_while_it_is_buried_learns_it_at_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many sessions it has: they are taken off it some at a time."""
    monkeypatch.setattr(store_sessions, "AT_ONCE", 10)
    async with node(redis_url) as one:
        with redis.Redis.from_url(redis_url) as client:
            client.sadd("{generations}:o:n1", *range(20))
            client.zadd("{generations}:nodes", {"n1": 1})
            assert (await one.sessions.due(600, 10, 10, 60)).more
            assert not await one.sessions.beat(60)
            assert client.zscore("{generations}:nodes", "n1") == 1  # the rest comes off it, too
            assert (await one.sessions.due(600, 10, 10, 60)).more
            last = await one.sessions.due(600, 10, 10, 60)
            assert not last.more
            assert last.buried == ["n1"]
            assert client.exists("{generations}:nodes", "{generations}:o:n1") == 0
            assert client.zcard("{generations}:due:") == 21


async def test_a_node_whose_record_is_gone_is_given_no_session(redis_url: str) -> None:
    """Nobody looks for the sessions of one that is buried: a take may arrive that late."""
    async with node(redis_url) as one:
        await one.sessions.away(CLIENT.session, FIRST, 60)
        with redis.Redis.from_url(redis_url) as client:
            client.delete("{generations}:n:n1")
            with pytest.raises(Unavailable):
                await one.take(FIRST, next_generation(FIRST))
            assert client.hget("{generations}:s:s1", "gen") == FIRST.encode()
            assert client.zscore("{generations}:due:", CLIENT.session)
            assert not client.exists("{generations}:o:n1")


@pytest.mark.parametrize(
    "lost", ["its node is buried", "no node has it", "it is as it should be", "it is due"]
)
async def test_the_audit_finds_the_sessions_that_nobody_would_end(
    redis_url: str, lost: str
) -> None:
    async with node(redis_url) as one:
        with redis.Redis.from_url(redis_url) as client:
            if lost == "its node is buried":
                client.zrem("{generations}:nodes", "n1")
            elif lost == "no node has it":
                client.srem("{generations}:o:n1", CLIENT.session)
            elif lost == "it is due":
                await one.sessions.away(CLIENT.session, FIRST, 1000)
            before = client.zscore("{generations}:due:", CLIENT.session)
            client.sadd("{generations}:sessions:", "ended long ago")
            _, found = await one.sessions.audit("0", 60)
            assert found == (
                [CLIENT.session] if lost in ("its node is buried", "no node has it") else []
            )
            after = client.zscore("{generations}:due:", CLIENT.session)
            assert after == before if not found else after
            assert client.smembers("{generations}:sessions:") == {CLIENT.session.encode()}


async def test_an_audit_goes_through_all_sessions(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_sessions, "AT_ONCE", 10)
    async with node(redis_url) as one:
        names = {f"lost{n}" for n in range(1000)}
        with redis.Redis.from_url(redis_url) as client:
            client.sadd("{generations}:sessions:", *names)
            for name in names:
                client.hset(f"{{generations}}:s:{name}", "node", "n9")
        place, found, calls = "0", set(), 0
        while calls == 0 or place != "0":
            place, lost = await one.sessions.audit(place, 60)
            found |= set(lost)
            calls += 1
        assert found == names
        assert calls > 10


async def test_the_last_words_of_a_node_leave_nothing_of_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_sessions, "AT_ONCE", 10)
    async with node(redis_url) as one:
        with redis.Redis.from_url(redis_url) as client:
            client.sadd("{generations}:o:n1", *range(35))
            await one.sessions.sign_off(60)
            assert client.zcard("{generations}:due:") == 36
            names = [key for key in client.scan_iter() if key.endswith(b":n1")]
            assert names == []
            assert not client.exists("{generations}:nodes")


async def test_the_grace_of_a_dead_nodes_sessions_counts_from_the_end_of_its_lease(
    redis_url: str,
) -> None:
    """However late a janitor comes; but not from before a lease ago."""
    async with node(redis_url) as one:
        with redis.Redis.from_url(redis_url) as client:
            seconds, micros = client.time()
            now = seconds * 1000 + micros // 1000
            for name, ago in (("n2", 5_000), ("n3", 500_000)):
                client.zadd("{generations}:nodes", {name: now - ago})
                client.sadd(f"{{generations}}:o:{name}", f"of {name}")
            await one.sessions.due(60, 10, 10, 15)
            assert client.zscore("{generations}:due:", "of n2") == now - 5_000 + 60_000
            late = client.zscore("{generations}:due:", "of n3")
            assert 0 <= late - (now - 15_000 + 60_000) < 5_000


async def test_no_answer_about_a_large_session_is_heavier_than_the_link_is_told(
    redis_url: str,
) -> None:
    """So that not even many that are resumed at once are more than Redis lets be on their way."""
    told: list[tuple[int, int]] = []
    sent: list[bytes] = []
    client = Client("large", "mary", None, {"x": "q" * 16_000})
    async with node(redis_url) as one:
        link, token = one.link, new_token("large")
        submit = link.submit

        def weighed(
            command: bytes, answered: Answered, *, weight: int = LIGHT, **options: float | None
        ) -> None:
            def arrived(reply: object) -> None:
                if not isinstance(reply, int):
                    told.append((size(reply), weight))
                answered(reply)

            sent.append(command)
            submit(command, arrived, weight=weight, **options)  # type: ignore[arg-type]  # handed on

        link.submit = weighed  # type: ignore[method-assign]  # to see what is asked
        lead = one.sessions.begin(client, token)
        await one.executor.committed(Commit(EMPTY_PLAN, "large", NEW, lead=lead))
        for n in range(100):
            made = plan([Join(f"{n:03}".ljust(256, "."))], client, lambda _: (0, 0))
            await one.executor.committed(Commit(made, "large", FIRST, n + 1))
        weight = told[-1][1]
        seen = await link.call(sent[-1], weight=weight)
        assert len(seen[2]) > 100
        found = await one.sessions.find(token)
        assert found is not None
        assert await one.sessions.take(found, "2")
        await one.sessions.owned()
        await one.sessions.away("large", "2", 0)
        due = await one.sessions.due(60, 1, 60, 60)
        assert [stored.client for stored in due.sessions] == [client]
    assert max(told)[0] > 25_000
    assert [one for one in told if one[0] > one[1]] == []
