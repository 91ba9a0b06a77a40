"""Somebody else publishes on our channels, as one does by hand in redis-cli: nobody is told,
nothing ends, and the log says so once."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest
import trio
from attrs import frozen
from structlog.testing import capture_logs

from tests.support.members import Member, member
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Effects, Increment, Join
from trio_wss.settings import Settings
from trio_wss.store.history import parse_text
from trio_wss.store.link.resp import Foreign
from trio_wss.testing import cluster

ROOM: Final = "room:a"
app = App()

FRAME: Final = b'{"event":"said","topic":"room:a","data":1}'
FOREIGN: Final = {
    "empty": b"",
    "a zero byte": b"\0" + FRAME,
    "a word": b"hello",
    "JSON": FRAME,
    "a line": b"\n",
    "volatile, of nothing": b"\n\n",
    "volatile, no JSON": b"\nhello",
    "volatile, no object": b'\n"event"',
    "volatile, half an object": b'\n{"event":"said"',
    "volatile, no UTF-8": b'\n{"event":"\xff"}',
    "no frame": b"epoch 1\n",
    "no offset": b"epoch\n" + FRAME,
    "no epoch": b" 1\n" + FRAME,
    "too many words": b"epoch 1 before more\n" + FRAME,
    "not separated": b"epoch 1" + FRAME,
    "no UTF-8 anywhere": bytes(range(128, 256)),
    "an epoch of no UTF-8": b"\xff\xfe 1\n" + FRAME,
    "an epoch that is too long": b"e" * 65 + b" 1\n" + FRAME,
    "an offset of no digits": b"epoch one\n" + FRAME,
    "a negative offset": b"epoch -1\n" + FRAME,
    "a fraction": b"epoch 1.5\n" + FRAME,
    "digits of another script": "epoch ٣\n".encode() + FRAME,
    "digits with lines between": b"epoch 1_0\n" + FRAME,
    "an offset beyond 2^53": b"epoch 99999999999999999\n" + FRAME,
    "an offset of very many digits": b"epoch " + b"9" * 5000 + b"\n" + FRAME,
    "numbered, no UTF-8": b'epoch 1\n{"event":"\xff"}',
    "huge": b"\xff" * (2 << 20),
    "a huge line": b"a" * (2 << 20) + b"\n",
}
IMITATED: Final = {  # could be ours, but are in no stream
    "far ahead": b"epoch 9007199254740991\n" + FRAME,
    "of another epoch": b"epoch 3\n" + FRAME,
}


@frozen
class Say:
    topic: str


@app.on_connect
def enter() -> Effects:
    return Join(ROOM)


@app.on("say")
def say(to: Say) -> Effects:
    n = Increment("n")
    return [n, Broadcast(to.topic, "said", n.result), Broadcast(ROOM, "shown", 0, volatile=True)]


@pytest.mark.parametrize("payload", FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_ours_is_told_apart(payload: bytes) -> None:
    with pytest.raises(Foreign):
        parse_text(payload)


async def test_what_others_publish_on_our_channels_is_logged_once_and_ignored(
    shared_redis: RedisServer, redis_url: str
) -> None:
    with trio.fail_after(30), shared_redis.client() as stranger, capture_logs() as logs:
        async with (
            cluster(app, 2, redis=redis_url, settings=Settings(drain=1.0)) as nodes,
            member(nodes.nodes[0].url) as one,
            member(nodes.nodes[1].url) as other,
        ):
            topics = (ROOM, "all", f"session:{one.session}", "wss.nodes")

            def publish_everything() -> None:
                for payload in (*FOREIGN.values(), *IMITATED.values()):
                    for topic in topics:
                        stranger.publish(f"{{wss}}/0:{topic}", payload)

            publish_everything()
            for n in range(1, 4):
                await one.good("say", {"topic": ROOM})
                await one.good("say", {"topic": "all"})
                publish_everything()
                for client in (one, other):
                    await client.until(partial(heard, client, n))
            frames = {client.session: client.frames for client in (one, other)}
    for client in (one, other):
        assert [said["data"] for said in numbered(client, ROOM)] == [1, 3, 5]
        assert [said["data"] for said in numbered(client, "all")] == [2, 4, 6]
        assert {frame["event"] for frame in frames[client.session]} <= {
            "wss.welcome", "wss.joined", "wss.ok", "said", "shown",
        }  # fmt: skip
        assert all(joined["data"]["recovered"] for joined in client.named("wss.joined"))
        assert client.code in (None, 1000)
    told = [entry for entry in logs if entry["event"].startswith("somebody else publishes")]
    assert len(told) == 2  # once by each node
    assert all(len(str(entry)) < 400 for entry in told)
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


def heard(client: Member, number: int) -> bool:
    """Whether so many broadcasts of each topic have come."""
    return all(len(numbered(client, topic)) == number for topic in (ROOM, "all"))


def numbered(client: Member, topic: str) -> list[Any]:
    """The broadcasts of a topic that have a place in it."""
    return [frame for frame in client.of(topic) if "offset" in frame]
