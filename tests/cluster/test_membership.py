"""Who is in which topic, on whichever node: joining, leaving, coming and going, and what each is
told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Annotated, Any

import pytest
import redis as redis_py
import trio
from attrs import frozen

from tests.support.histories import check_gap_free, check_one_order
from tests.support.members import Frame, Member, Rejected, member
from tests.support.servers import RedisServer
from tests.support.snapshots import snapshot
from trio_wss import (
    App,
    Broadcast,
    Client,
    Close,
    Effect,
    Effects,
    Identity,
    Increment,
    Join,
    Leave,
    Members,
    Read,
    Refused,
    Reply,
    Request,
    Store,
)
from trio_wss import Member as Present
from trio_wss.settings import Settings
from trio_wss.testing import cluster

SETTINGS = Settings(drain=1.0, max_topics=3, grace=0.1, janitor_round=0.1)
app = App(history=1000)


@frozen
class Topic:
    topic: str
    info: Any = None


@app.authenticate
async def authenticate(request: Request) -> Identity | None:
    await trio.lowlevel.checkpoint()
    name = request.query.pop("token", None)
    if name == "wrong":
        raise Refused("bad_token", "Log in again.")
    return Identity(name, {"name": name, "tags": ["a"]}) if name else None


@app.on_connect
def enter(client: Client, banned: Annotated[list[str] | None, Read("banned")]) -> Iterator[Effect]:
    if client.user in (banned or ()):
        raise Refused("banned", "Not you.")
    yield Increment("connects")
    if "in" in client.query:
        yield Join(client.query["in"], info=client.info)
        yield Broadcast("log", "came", client)


@app.on_disconnect
def go(client: Client, n: Annotated[int | None, Read("gone")]) -> Effects:
    n = (n or 0) + 1
    return [Store("gone", n), Broadcast("log", "went", {"session": client.session, "n": n})]


@app.on("join")
def join(event: Topic) -> Effects:
    return Join(event.topic, event.info)


@app.on("move")
def move(event: Topic) -> Effects:
    """From one topic to another."""
    return [Join(event.topic), Leave(event.info)]


@app.on("arrive")
def arrive(event: Topic) -> Effects:
    """Joins, and says so to the topic in the same commit."""
    return [Join(event.topic), Broadcast(event.topic, "arrived", event.info)]


@app.on("leave")
def leave(event: Topic) -> Effects:
    return Leave(event.topic)


@app.on("say")
def say(event: Topic) -> Effects:
    return Broadcast(event.topic, "said", event.info)


@app.on("whisper")
def whisper(event: Topic) -> Effects:
    return Broadcast(event.topic, "whispered", event.info, volatile=True)


@app.on("who")
def who(event: Topic, there: Annotated[list[Present], Members("{event.topic}")]) -> Effects:
    return Reply("there", [(one.session, one.user, one.info) for one in there])


@app.on("me")
def me(client: Client) -> Effects:
    return Reply("you", client)


@app.on("quit")
def quit_(event: Topic) -> Effects:
    return [Broadcast(event.topic, "quitting"), Reply("bye"), Close(4001, "as you wish")]


async def test_a_topic_reaches_its_members_on_every_node_and_nobody_else(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 3, redis=redis_url, settings=SETTINGS) as nodes,
            AsyncExitStack() as s,
        ):
            a, b, c = [
                [await s.enter_async_context(member(n.url, {"in": name})) for n in nodes.nodes]
                for name in ("room:a", "room:b", "room:c")
            ]
            for number, speaker in enumerate((a[0], b[1], c[2], a[2])):
                for name in ("room:a", "room:b"):
                    await speaker.good("say", {"topic": name, "info": number})
            for name, inside in (("room:a", a), ("room:b", b)):
                for one in inside:
                    assert len(await one.received(name, 4)) == 4
                check_one_order({one.session: one.of(name) for one in inside})
            for one in (*a, *b, *c):
                await one.good("me")
            assert not any(one.of("room:b") for one in (*a, *c))
            assert not any(one.of("room:a") for one in (*b, *c))


async def test_members_are_read_across_nodes_with_what_they_said_of_themselves(
    redis_url: str,
) -> None:
    room = {"topic": "room:a"}
    with trio.fail_after(30):
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"token": "ann"}) as ann,
            member(nodes.nodes[1].url) as bob,
        ):
            assert await bob.good("who", room) == []
            await ann.good("join", {"topic": "room:a", "info": {"mood": "good"}})
            await bob.good("join", room)
            present: list[Any] = await ann.good("who", room)
            assert [ann.session, "ann", {"mood": "good"}] in present
            assert [bob.session, None, None] in present
            assert len(present) == 2
            await ann.good("join", {"topic": "room:a", "info": "better"})  # again: only the info
            assert [ann.session, "ann", "better"] in await bob.good("who", room)
            await ann.good("leave", room)
            assert await bob.good("who", room) == [[bob.session, None, None]]
            await bob.leave()
            while await ann.good("who", room):
                pass  # a session ends a moment after its Close


async def test_joined_and_left_are_told_before_the_reply_and_bound_what_is_received(
    redis_url: str,
) -> None:
    room = {"topic": "room:a"}
    with trio.fail_after(30):
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
            member(nodes.nodes[1].url) as speaker,
        ):
            await speaker.good("say", {"topic": "room:a", "info": 1})
            session = client.session
            for _ in range(2):
                client.frames.clear()
                await client.good("join", room)
                joined, ok = client.frames[-2:]
                assert joined["event"] == "wss.joined"
                assert joined["data"].keys() == {"topic", "epoch", "offset", "recovered"}
                assert (joined["data"]["topic"], joined["data"]["recovered"]) == ("room:a", True)
                assert ok["event"] == "wss.ok"
                await speaker.good("say", room)
                await client.until(lambda: client.of("room:a"))
                assert client.of("room:a")[0]["offset"] == joined["data"]["offset"] + 1
                await client.good("leave", room)
                assert client.frames[-2] == {"event": "wss.left", "data": {"topic": "room:a"}}
                await speaker.good("say", room)
                await client.good("say", {"topic": f"session:{session}"})
                await client.received(f"session:{session}", 1)
                assert len(client.of("room:a")) == 1
                client.of("room:a").clear()
                client.of(f"session:{session}").clear()


async def test_whoever_joins_and_says_so_at_once_hears_it_once(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as one,
            member(nodes.nodes[0].url) as two,
            member(nodes.nodes[1].url) as three,
        ):
            for n, client in enumerate((one, two, three)):
                await client.good("arrive", {"topic": "room:a"})
                await client.received("room:a", 1)
                assert client.of("room:a")[0]["offset"] == n + 1
            for client, arrivals in ((one, 3), (two, 2), (three, 1)):
                check_gap_free(await client.received("room:a", arrivals))


async def test_whoever_joins_and_says_so_hears_it_before_the_reply_to_what_it_asks_next(
    redis_url: str,
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            AsyncExitStack() as s,
        ):
            for _ in range(10):
                client = await s.enter_async_context(member(nodes.nodes[0].url))
                await client.post("arrive", {"topic": "room:a"})
                await client.good("me")
                assert client.frames[-1]["event"] == "you"
                assert len(client.of("room:a")) == 1


@pytest.mark.parametrize("size", [10, 20_000])
async def test_joining_leaving_and_joining_at_once_repeats_nothing(
    redis_url: str, size: int
) -> None:
    room = {"topic": "room:a", "info": "x" * size}
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"in": "room:a"}) as other,
            member(nodes.nodes[0].url) as client,
        ):
            for n in range(10):
                numbers = [
                    await client.post(name, room)
                    for name in ("arrive", "leave", "arrive", "leave", "arrive", "leave")
                ]
                await client.answer(numbers[-1])
                await other.received("room:a", 3 * n + 3)
            await client.good("join", room)
            await other.good("say", room)
            await heard_last(client, (await other.received("room:a", 31))[-1])
            offsets = [said["offset"] for said in client.of("room:a")]
            assert len(offsets) == len(set(offsets)), offsets
            assert offsets == sorted(offsets)
            joins = [one["data"]["offset"] for one in client.named("wss.joined")]
            assert offsets[-1] == joins[-1] + 1


async def test_a_join_amid_heavy_traffic_gets_all_from_its_cursor_on_exactly_once(
    redis_url: str,
) -> None:
    each = 150
    room = {"topic": "room:a"}
    with trio.fail_after(30):
        async with (
            cluster(app, 3, redis=redis_url, settings=SETTINGS) as nodes,
            AsyncExitStack() as s,
        ):
            speakers = [
                await s.enter_async_context(member(node.url, {"in": "room:a"}))
                for node in nodes.nodes
            ]
            joiners = [
                await s.enter_async_context(member(node.url)) for node in nodes.nodes for _ in "abc"
            ]

            async def talk(speaker: Member) -> None:
                for n in range(each):
                    await speaker.send("say", {"topic": "room:a", "info": n})
                    if n % 10 == 0:
                        await speaker.good("me")

            async def come(client: Member, moment: int) -> None:
                await speakers[0].received("room:a", moment)
                await client.good("arrive" if moment % 2 else "join", room)

            async with trio.open_nursery() as nursery:
                for speaker in speakers:
                    nursery.start_soon(talk, speaker)
                for number, client in enumerate(joiners):
                    nursery.start_soon(come, client, 10 + 35 * number)
            last = (await speakers[0].received("room:a", 3 * each + 4))[-1]  # 4 said "arrived"
            for one in (*speakers, *joiners):
                await heard_last(one, last)
            for client in joiners:
                first = (await client.joined("room:a"))["data"]["offset"] + 1
                check_gap_free(client.of("room:a"), first=first)
            check_one_order({one.session: one.of("room:a") for one in (*speakers, *joiners)})


async def heard_last(one: Member, last: Frame) -> None:
    """Until the last that it has heard in its topic is this."""
    await one.until(lambda: one.of(last["topic"])[-1:] == [last])


async def test_a_topic_whose_record_expired_is_joined_and_goes_on(
    redis_url: str, shared_redis: RedisServer
) -> None:
    """A day after its last broadcast a topic's offset is forgotten, though members are in it."""
    room = {"topic": "room:a"}
    with trio.fail_after(30), shared_redis.client() as server:
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"in": "room:a"}) as old,
            member(nodes.nodes[0].url) as new,
        ):
            await old.good("say", room)
            await old.received("room:a", 1)
            assert server.delete("{wss}:t:room:a", "{wss}:h:room:a") == 2
            await new.good("join", room)
            before = calls(server)
            for _ in range(30):
                await new.good("me")
            assert calls(server) - before < 45  # it does not ask Redis again and again
            await old.good("say", room)
            await new.received("room:a", 1)
            await old.received("room:a", 2)
            joined = (await old.joined("room:a"))["data"]
            assert (joined["epoch"], joined["offset"], joined["recovered"]) == ("", 0, True)
            assert old.of("room:a")[1] == new.of("room:a")[0]


async def test_a_broadcast_to_a_topic_whose_record_expired_is_heard_by_all(
    redis_url: str, shared_redis: RedisServer
) -> None:
    """Nothing is missing, so nobody is told that something is."""
    room = {"topic": "room:a"}
    with trio.fail_after(30), shared_redis.client() as server:
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"in": "room:a"}) as one,
            member(nodes.nodes[1].url, {"in": "room:a"}) as other,
        ):
            for number in (1, 2, 3):
                if number > 1:  # a day later
                    assert server.delete("{wss}:t:room:a", "{wss}:h:room:a") == 2
                await one.good("say", room)
                await one.received("room:a", number)
                await other.received("room:a", number)
            await one.good("say", room)
            assert await one.received("room:a", 4) == await other.received("room:a", 4)
            for each in (one, other):
                said = each.of("room:a")
                assert [frame["offset"] for frame in said] == [1, 1, 1, 2]
                told = [f["data"] for f in each.named("wss.joined")]
                assert [f["recovered"] for f in told if f["topic"] == "room:a"] == [True] * 3


def calls(server: redis_py.Redis) -> int:
    """How many scripts have run."""
    found: int = server.info("commandstats")["cmdstat_evalsha"]["calls"]
    return found


async def test_a_session_may_be_in_so_many_topics_and_no_more(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            for name in "abc":
                await client.good("join", {"topic": name})
            for _ in range(2):
                await client.good("join", {"topic": "a"})  # it is in there
                refused = await client.ask("join", {"topic": "d"})
                assert refused["data"]["code"] == "refused"
            await client.good("leave", {"topic": "b"})
            await client.good("leave", {"topic": "never joined"})
            await client.good("join", {"topic": "d"})
            assert (await client.ask("join", {"topic": "b"}))["data"]["code"] == "refused"


async def test_everybody_hears_what_is_for_all_for_a_user_and_for_a_session(
    redis_url: str,
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"token": "ann"}) as ann,
            member(nodes.nodes[1].url, {"token": "ann"}) as ann_again,
            member(nodes.nodes[1].url, {"token": "bob"}) as bob,
            member(nodes.nodes[0].url) as nobody,
        ):
            everyone = (ann, ann_again, bob, nobody)
            await bob.good("say", {"topic": "all", "info": "to all"})
            await bob.good("say", {"topic": "user:ann", "info": "to ann"})
            await bob.good("say", {"topic": f"session:{nobody.session}", "info": "to one"})
            await bob.good("say", {"topic": "all", "info": "end"})
            for one in everyone:
                await one.received("all", 2)
            heard = [[said["data"] for said in one.named("said")] for one in everyone]
            assert heard[0] == heard[1] == ["to all", "to ann", "end"]
            assert heard[2] == ["to all", "end"]
            assert heard[3] == ["to all", "to one", "end"]
            for name, topic in (("join", "all"), ("leave", "user:ann"), ("join", "session:x")):
                assert (await ann.ask(name, {"topic": topic}))["data"]["code"] == "internal"


async def test_a_volatile_broadcast_has_no_place_in_the_history(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"in": "room:a"}) as client,
            member(nodes.nodes[1].url) as speaker,
        ):
            for name in ("say", "whisper", "say"):
                await speaker.good(name, {"topic": "room:a", "info": name})
            seen = await client.received("room:a", 3)
            assert [one.get("offset") for one in seen] == [1, None, 2]
            assert seen[1] == {"event": "whispered", "topic": "room:a", "data": "whisper"}


# --- coming and going


async def test_on_disconnect_runs_once_and_is_seen_on_other_nodes(redis_url: str) -> None:
    """At once for those who say Close, after the grace for those who vanish."""
    with trio.fail_after(30):
        async with (
            cluster(app, 3, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"in": "log"}) as watcher,
            AsyncExitStack() as stack,
        ):
            clients = [
                await stack.enter_async_context(member(nodes.nodes[n % 3].url, {"in": "room:a"}))
                for n in range(9)
            ]
            async with trio.open_nursery() as nursery:
                for number, client in enumerate(clients):
                    nursery.start_soon(client.leave if number % 3 else client.vanish)
            await watcher.heard("went", 9)
            gone = [one["data"] for one in watcher.named("went")]
            assert sorted(one["session"] for one in gone) == sorted(c.session for c in clients)
            assert [one["n"] for one in gone] == list(range(1, 10))
            assert await watcher.good("who", {"topic": "room:a"}) == []
            await watcher.good("say", {"topic": "log"})
            await watcher.heard("said")
            assert len(watcher.named("went")) == 9


async def test_a_close_of_the_app_comes_behind_its_reply_and_ends_the_session(
    redis_url: str,
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[1].url, {"in": "log"}) as watcher,
            member(nodes.nodes[0].url, {"in": "room:a"}) as client,
        ):
            number = await client.post("quit", {"topic": "log"})
            assert await client.closed() == 4001
            assert client.reason == "as you wish"
            assert client.answers[number]["event"] == "bye"
            await watcher.heard("quitting")
            await watcher.heard("went")


async def test_whom_on_connect_refuses_is_told_why_and_leaves_no_trace(
    redis_url: str, shared_redis: RedisServer
) -> None:
    with trio.fail_after(30), shared_redis.client() as server:
        server.rpush("{wss}:k:banned", '"bob"')
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"token": "ann"}) as ann,
        ):
            before = snapshot(server)
            async with member(nodes.nodes[0].url, {"token": "bob", "in": "room:a"}) as bob:
                assert await bob.closed() == 4403
                [error] = bob.frames
                assert error["data"] == {"code": "banned", "message": "Not you."}
            await ann.good("me")
            assert snapshot(server) == before


async def test_on_connect_is_settled_once_for_clients_that_come_at_the_same_time(
    redis_url: str,
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"in": "log"}) as watcher,
        ):

            async def come(number: int) -> None:
                async with member(nodes.nodes[number % 2].url, {"in": f"room:{number}"}) as client:
                    assert client.frames[0]["event"] == "wss.welcome"
                    await client.joined(f"room:{number}")

            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(come, number)
            await watcher.heard("came", 21)
            sessions = {one["data"]["session"] for one in watcher.named("came")}
            assert len(sessions) == 21
            await watcher.heard("went", 20)


async def test_authenticate_tells_who_a_client_is_on_every_node(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"token": "ann", "theme": "dark"}) as ann,
            member(nodes.nodes[0].url, {"theme": "dark"}) as nobody,
        ):
            query = {"theme": "dark"}  # the token is used up
            info = {"name": "ann", "tags": ["a"]}
            known = {"session": ann.session, "user": "ann", "info": info, "query": query}
            assert await ann.good("me") == known
            unknown = {"session": nobody.session, "user": None, "info": None, "query": query}
            assert await nobody.good("me") == unknown
            with pytest.raises(Rejected) as rejected:
                async with member(nodes.nodes[0].url, {"token": "wrong"}):
                    pass
            assert rejected.value.status == 401
            assert rejected.value.body == b'{"code":"bad_token","message":"Log in again."}'


async def test_authenticate_may_be_synchronous(redis_url: str) -> None:
    plain = App()

    @plain.authenticate
    def authenticate(request: Request) -> Identity | None:
        if request.headers.get("x-user") is None:
            raise Refused("who")
        return Identity(request.headers["x-user"], info=[request.path, request.remote])

    plain.on("me")(me)
    with trio.fail_after(30):
        async with (
            cluster(plain, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, headers={"X-User": "ann"}) as ann,
        ):
            you = await ann.good("me")
            assert (you["user"], you["info"]) == ("ann", ["/", "127.0.0.1"])
            with pytest.raises(Rejected, match="401"):
                async with member(nodes.nodes[0].url):
                    pass


async def test_at_the_limit_of_topics_one_may_be_left_for_another_in_one_event(
    redis_url: str,
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            for topic in ("a", "b", "c"):  # as many as there may be
                await client.good("join", {"topic": topic})
            await client.good("move", {"topic": "d", "info": "a"})
            await client.joined("d")
            await client.left("a")
            refused = await client.ask("move", {"topic": "e", "info": "not there"})
            assert refused["data"]["code"] == "refused"
            assert (await client.ask("who", {"topic": "e"}))["data"] == []
