"""The workload of topics: words in them, joins that broadcast in the same commit, volatile words, a
connection that its handler closes, and the state that an app sends where broadcasts are missing.
"""

from __future__ import annotations

from typing import Annotated, Final

from attrs import frozen

from harness.faults.ledger import app, line
from trio_wss import (
    Broadcast,
    Client,
    Close,
    Effects,
    Gap,
    Increment,
    Join,
    Leave,
    Member,
    Members,
    Read,
    Reply,
)

FAREWELL: Final = 4001  # close code


@app.on_gap
def missed(
    event: Gap, client: Client, n: Annotated[int | None, Read("said:{event.topic}")]
) -> Effects:
    """Broadcasts are missing: the state is sent anew, which is their number."""
    return Reply("missed", {"topic": event.topic, "n": n or 0})


@frozen
class Say:
    op: str
    topic: str
    pad: int = 0


@app.on("say")
def say(event: Say, client: Client) -> Effects:
    n = Increment(f"said:{event.topic}")
    return [
        n,
        Broadcast(event.topic, "said", {"op": event.op, "n": n.result, "pad": "." * event.pad}),
        line(client, "say", op=event.op, topic=event.topic),
        Reply("ok", n.result),
    ]


@app.on("hum")
def hum(event: Say, client: Client) -> Effects:
    """A word that may be missed."""
    word = Broadcast(event.topic, "hum", {"op": event.op}, volatile=True)
    return [word, line(client, "hum", op=event.op, topic=event.topic)]


@frozen
class Enter:
    op: str
    topic: str
    words: int
    pad: int


@app.on("enter")
def enter(event: Enter, client: Client) -> Effects:
    """Join, and say so many words there, all in one commit."""
    n = Increment(f"said:{event.topic}", by=event.words)
    did = line(client, "enter", op=event.op, topic=event.topic, words=event.words)
    pad = "." * event.pad
    words = (
        Broadcast(event.topic, "said", {"op": f"{event.op}/{at}", "n": None, "pad": pad})
        for at in range(event.words)
    )
    return [Join(event.topic, client.user), n, *words, did, Reply("entered", n.result)]


@frozen
class Room:
    op: str
    topic: str


@app.on("join")
def join(event: Room, client: Client) -> Effects:
    return [Join(event.topic, client.user), line(client, "join", op=event.op, topic=event.topic)]


@app.on("leave")
def leave(event: Room, client: Client) -> Effects:
    return [Leave(event.topic), line(client, "leave", op=event.op, topic=event.topic)]


@app.on("who")
def who(event: Room, members: Annotated[list[Member], Members("{event.topic}")]) -> Effects:
    return Reply("members", sorted(member.session for member in members))


@app.on("census")
def census(
    event: Room, client: Client, members: Annotated[list[Member], Members("{event.topic}")]
) -> Effects:
    """What is written down rests on who is there."""
    found = sorted(member.session for member in members)
    did = line(client, "census", op=event.op, topic=event.topic, found=found)
    return [did, Reply("census", len(found))]


@app.on("count")
def count(event: Room, n: Annotated[int | None, Read("said:{event.topic}")]) -> Effects:
    """How many words were said in a topic."""
    return Reply("count", n or 0)


@frozen
class Bye:
    op: str


@app.on("bye")
def bye(event: Bye, client: Client) -> Effects:
    """The app closes the connection, which ends the session."""
    return [line(client, "bye", op=event.op), Close(FAREWELL, "bye"), Reply("bye")]
