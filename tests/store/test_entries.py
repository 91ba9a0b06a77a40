"""What reads will find after a commit, as it is worked out here and as Redis has it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.links import running
from trio_wss import (
    Add,
    Append,
    Broadcast,
    Delete,
    Drop,
    Effect,
    Increment,
    Join,
    Leave,
    Put,
    Remove,
    Store,
)
from trio_wss.app import App
from trio_wss.commit.plan import Plan, plan
from trio_wss.reads import Client, ReadRequest
from trio_wss.store.entries import afterwards
from trio_wss.store.executor import NEW, Commit, Executor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import parse_address
from trio_wss.store.outcome import Done
from trio_wss.store.scripts import link_to
from trio_wss.store.sessions import Sessions, new_token

CLIENT = Client("s1", "mary", None, {})
A = ReadRequest("value", "a")
B = ReadRequest("value", "b")
FIELD = ReadRequest("field", "map", "f")
MAP = ReadRequest("value", "map")
ROOM = ReadRequest("members", "room")
SETUP: list[Effect] = [
    Store("a", {"n": 1}),
    Put("map", "f", 1),
    Append("list", 1),
    Add("set", 1),
    Join("room"),
]


def planned(*effects: Effect) -> Plan:
    return plan(effects, CLIENT, App().history)


@pytest.mark.parametrize(
    ("requests", "effects", "known"),
    [
        ((A,), [], True),
        ((A,), [Store("a", {"n": 2})], True),
        ((A,), [Store("a", None)], True),
        ((B,), [Store("b", "new")], True),
        ((A,), [Delete("a")], True),
        ((B,), [Delete("b")], True),
        ((A, B), [Store("b", [1, 2])], True),
        ((A, B), [Store("a", 1), Store("b", 2)], True),
        ((A, A), [Store("a", 1)], True),
        ((A,), [Store("b", 2), Broadcast("room", "said"), Increment("n"), Join("a")], True),
        ((MAP,), [Store("map", 1)], True),
        ((MAP,), [Delete("map")], True),
        ((FIELD,), [Delete("map")], True),
        ((FIELD,), [Put("other", "f", 2)], True),
        ((ROOM,), [Broadcast("room", "said"), Store("room", 1)], True),
        ((A,), [Put("map", "f", 2), Drop("map", "g")], True),
        ((ReadRequest("value", "list"),), [Append("list", 2)], False),
        ((ReadRequest("value", "set"),), [Add("set", 2)], False),
        ((ReadRequest("value", "set"),), [Remove("set", 1)], False),
        ((ReadRequest("value", "n"),), [Increment("n")], False),
        ((MAP,), [Put("map", "f", 2)], False),
        ((FIELD,), [Put("map", "f", 2)], False),
        ((FIELD,), [Drop("map", "f")], False),
        ((FIELD,), [Store("map", 1)], False),
        ((ROOM,), [Leave("room")], False),
        ((ReadRequest("members", "other"),), [Join("other")], False),
        ((A, ROOM), [Store("a", 2), Leave("room")], False),
    ],
)
async def test_what_is_expected_after_a_commit_is_what_is_there(
    redis_url: str, requests: Sequence[ReadRequest], effects: list[Effect], known: bool
) -> None:
    keys = Keys("entries")
    link = link_to(parse_address(redis_url), keys)
    async with running(link) as watch:
        await watch.is_up()
        executor, sessions = Executor(link, keys, "n1"), Sessions(link, keys, "n1")
        await sessions.beat(60, new=True)
        lead = sessions.begin(CLIENT, new_token(CLIENT.session))
        begin = Commit(planned(*SETUP), CLIENT.session, NEW, lead=lead)
        assert isinstance(await executor.committed(begin), Done)
        before = await executor.read(requests)
        made = planned(*effects)
        commit = Commit(made, CLIENT.session, "1", requests=requests, entries=before)
        assert isinstance(await executor.committed(commit), Done)
        expected = afterwards(requests, before, made.ops)
        assert expected == (await executor.read(requests) if known else ())
