"""What the tests of sessions share: an app that notes who came and went, and a client that comes
back."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Annotated, Any

import trio
from attrs import frozen

from tests.support.members import Member, dial, event, request, shake_hands
from trio_wss import (
    App,
    Append,
    Broadcast,
    Client,
    Effects,
    Identity,
    Increment,
    Join,
    Leave,
    Members,
    Read,
    Reply,
    Request,
)
from trio_wss import Member as Present
from trio_wss.settings import Settings

ROOM = "room:a"
SETTINGS = Settings(drain=1.0, rate=0, janitor_round=0.1)
DEADLINE = 60.0
DIES_AT = "TEST_DIES_AT_FAREWELL"  # in a node's environment: how many farewells it lives to see
app = App(history=1000)
farewells = count(1)
app.topic("short", history=2, ttl=60)


@frozen
class To:
    topic: str


@app.authenticate
def authenticate(request: Request) -> Identity | None:
    name = request.query.pop("user", None)
    return Identity(name) if name else None


@app.on_connect
def enter(client: Client) -> Effects:
    return [Append("log", f"came {client.session}"), Join(client.query.get("in", ROOM))]


@app.on_disconnect
def leave(client: Client) -> Effects:
    """No handler may do this: it lets a node die in the middle of its work."""
    if next(farewells) == int(os.environ.get(DIES_AT, 0)):
        os.kill(os.getpid(), signal.SIGKILL)
    return [Append("log", f"went {client.session}"), Broadcast("went", "went", client.session)]


@app.on("join")
def join(to: To) -> Effects:
    return Join(to.topic)


@app.on("leave")
def leave_topic(to: To) -> Effects:
    return Leave(to.topic)


@app.on("say")
def say(to: To) -> Effects:
    """Counted, so that what was applied twice, or never, shows."""
    n = Increment(f"count:{to.topic}")
    return [n, Broadcast(to.topic, "said", n.result), Reply("said", n.result)]


@app.on("log")
def log(entries: Annotated[list[str] | None, Read("log")]) -> Effects:
    return Reply("log", entries)


@app.on("who")
def who(to: To, members: Annotated[list[Present], Members("{event.topic}")]) -> Effects:
    return Reply("who", sorted(member.session for member in members))


@app.on("me")
def me(client: Client) -> Effects:
    return Reply("me", [client.session, client.user, dict(client.query)])


def ask_back(token: str, topics: Any = None, attempt: Any = None) -> bytes:
    """The first frame of one who resumes."""
    data = {"token": token, "topics": {} if topics is None else topics}
    return event("wss.resume", data if attempt is None else data | {"attempt": attempt})


@asynccontextmanager
async def returning(
    url: str, *frames: bytes, query: Mapping[str, str] | None = None
) -> AsyncIterator[Member]:
    """A client that says it will resume, sends these frames, and has got its welcome."""
    with trio.fail_after(DEADLINE):
        stream = await dial(url)
        early = await shake_hands(stream, request(url, {**(query or {}), "resume": ""}))
        async with stream, trio.open_nursery() as nursery:
            client = Member(stream, early)
            nursery.start_soon(client.read)
            await client.raw(*frames)
            await client.until(lambda: client.frames or client.code)
            yield client
            nursery.cancel_scope.cancel()


def welcome(client: Member) -> Any:
    """Its welcome's data."""
    assert client.frames[0]["event"] == "wss.welcome"
    return client.frames[0]["data"]


def token(client: Member) -> str:
    found: str = welcome(client)["token"]
    return found


def places(client: Member) -> dict[str, list[Any]]:
    """Where the client is in each topic."""
    found: dict[str, list[Any]] = {}
    for one in client.frames:
        data: Any = one.get("data")
        if one["event"] == "wss.joined":
            found[data["topic"]] = [data["epoch"], data["offset"]]
        elif one["event"] == "wss.left":
            del found[data["topic"]]
        elif "offset" in one:
            found[one["topic"]] = [one["epoch"], one["offset"]]
    return found


async def joins(client: Member, count: int) -> dict[str, bool]:
    """The first so many joins: whether each topic was recovered."""
    found: list[Any] = [one["data"] for one in await client.heard("wss.joined", count)]
    assert len(found) == count
    return {data["topic"]: data["recovered"] for data in found}
