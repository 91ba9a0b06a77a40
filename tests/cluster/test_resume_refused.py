"""Resume: who gets a new session instead, and that nobody gets another's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.members import event, member
from tests.support.resuming import (
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


BEGIN = event("wss.begin")


async def test_whoever_says_nothing_for_too_long_is_sent_away_and_keeps_its_session(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "RESUME_SECONDS", 0.1)
    async with member(nodes.nodes[0].url) as client:
        async with returning(nodes.nodes[1].url) as late:
            assert await late.closed() == 1013
            assert late.frames == []
        assert await client.good("say", {"topic": "x"}) == 1  # it still has its session


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
async def test_a_first_frame_that_is_no_resume_is_dropped_in_a_new_session(
    nodes: Cluster, first: bytes
) -> None:
    async with returning(nodes.nodes[0].url, first, BEGIN, event("say", {}, 2)) as client:
        assert welcome(client)["resumed"] is False
        assert (await client.answer(2))["data"]["code"] == "invalid"  # it came behind wss.begin
        [dropped] = [one for one in client.named("wss.error") if "re" not in one]
        assert dropped["data"]["code"] == "not_resumed"
        assert await client.good("say", {"topic": "x"}) == 1


async def test_what_is_sent_before_the_welcome_is_applied_in_no_other_session(
    nodes: Cluster,
) -> None:
    """It may have been applied in the one that is over: nobody knows that any more."""
    early = [event("say", {"topic": "x"}, number) for number in (1, 2)]
    early += [event("say", {"topic": "x"}), event("wss.ping")]
    async with member(nodes.nodes[2].url, {"in": "went"}) as watcher:
        async with member(nodes.nodes[0].url) as client:
            assert (await client.good("say", {"topic": "x"})) == 1
            await client.leave()
        await watcher.heard("went")
        async with returning(nodes.nodes[1].url, ask_back(token(client)), *early) as back:
            assert welcome(back)["resumed"] is False
            await back.heard("wss.pong")  # a sign of life is nobody's event
            await back.raw(event("say", {"topic": "x"}, 3))  # before it has seen the welcome
            dropped = await back.heard("wss.error", 4)
            assert {one["data"]["code"] for one in dropped} == {"not_resumed"}
            assert not any("re" in one for one in dropped)
            await back.raw(BEGIN, BEGIN)  # the second says nothing new
            assert await back.good("say", {"topic": "x"}) == 2  # in its own numbers, from 1
            assert back.answers_to(2) == back.answers_to(3) == []


async def test_whoever_resumes_or_comes_anew_needs_no_word_to_begin(nodes: Cluster) -> None:
    async with member(nodes.nodes[0].url) as client:
        await client.raw(BEGIN)
        assert await client.good("say", {"topic": "x"}) == 1
        await client.vanish()
        said = event("say", {"topic": "x"}, 2)
        async with returning(nodes.nodes[1].url, ask_back(token(client)), said) as back:
            assert welcome(back)["resumed"] is True
            assert (await back.answer(2))["data"] == 2
            assert back.named("wss.error") == []


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
            await other.raw(BEGIN)
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
