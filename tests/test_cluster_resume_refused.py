"""Resume: who gets a new session instead, and that nobody gets another's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.members import event, member
from tests.resuming import (
    SETTINGS,
    app,
    ask_back,
    returning,
    token,
    welcome,
)
from trio_wss.node import connection
from trio_wss.testing import Cluster, cluster


@pytest.fixture
async def nodes(redis_url: str) -> AsyncIterator[Cluster]:
    async with cluster(app, 3, redis=redis_url, settings=SETTINGS) as started:
        yield started


async def test_whoever_says_nothing_for_too_long_gets_a_new_session(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "RESUME_SECONDS", 0.1)
    async with member(nodes.nodes[0].url) as client, returning(nodes.nodes[1].url) as late:
        assert welcome(late)["resumed"] is False
        assert late.session != client.session
        await late.raw(ask_back(token(client)))
        [error] = await late.heard("wss.error")
        assert error["data"]["code"] == "unknown_event"
        assert await late.good("say", {"topic": "x"}) == 1
        assert await client.good("say", {"topic": "x"}) == 2  # it still has its session


@pytest.mark.parametrize(
    "first",
    [
        event("say", {"topic": "x"}, 1),
        event("wss.resume", None),
        event("wss.resume", {"token": 5}),
        event("wss.resume", {"topics": {}}),
        b"\x81\x81\x00\x00\x00\x00{",
        b"\x82\x81\x00\x00\x00\x00x",
    ],
    ids=["event", "no data", "no text", "no token", "no JSON", "binary"],
)
async def test_a_first_frame_that_is_no_resume_is_answered_in_a_new_session(
    nodes: Cluster, first: bytes
) -> None:
    async with returning(nodes.nodes[0].url, first, event("say", {"topic": "y"}, 2)) as client:
        assert welcome(client)["resumed"] is False
        assert (await client.answer(2))["data"] == 1
        if first == event("say", {"topic": "x"}, 1):
            assert (await client.answer(1))["data"] == 1
        else:
            assert len(client.named("wss.error")) == 1


@pytest.mark.parametrize("forge", ["", "x", ".", "{session}", "{session}.", "{token}x", "{other}"])
async def test_a_wrong_token_resumes_nothing(nodes: Cluster, forge: str) -> None:
    async with member(nodes.nodes[0].url) as client, member(nodes.nodes[0].url) as other:
        secret = token(other).partition(".")[2]
        forged = forge.format(
            session=client.session, token=token(client), other=f"{client.session}.{secret}"
        )
        async with returning(nodes.nodes[1].url, ask_back(forged)) as thief:
            assert welcome(thief)["resumed"] is False
            assert thief.session not in (client.session, other.session)
            assert welcome(thief)["last"] == 0
        assert await client.good("say", {"topic": "x"}) == 1


@pytest.mark.parametrize(
    ("owner", "thief"), [("ann", "bo"), ("ann", ""), ("", "bo")], ids=["other", "none", "new"]
)
async def test_another_users_token_resumes_nothing(nodes: Cluster, owner: str, thief: str) -> None:
    async with member(nodes.nodes[0].url, {"user": owner}) as client:
        async with returning(
            nodes.nodes[1].url, ask_back(token(client)), query={"user": thief}
        ) as other:
            assert welcome(other)["resumed"] is False
            assert other.session != client.session
            assert (await other.good("me"))[1] == (thief or None)
        assert await client.good("say", {"topic": "x"}) == 1


async def test_a_session_that_has_ended_is_not_resumed(nodes: Cluster) -> None:
    async with member(nodes.nodes[2].url, {"in": "went"}) as watcher:
        async with member(nodes.nodes[0].url) as client:
            await client.leave()
        await watcher.heard("went")
        async with returning(nodes.nodes[1].url, ask_back(token(client))) as back:
            assert welcome(back)["resumed"] is False
            assert back.session != client.session
