"""The app that a node runs by default: rooms with a chat, a counter and a game. Its page lies in
static/; `say` alone is enough for a terminal.
"""

from datetime import datetime
from typing import Annotated

from attrs import frozen

from trio_wss import (
    App,
    Append,
    Broadcast,
    Client,
    Effects,
    Increment,
    Join,
    Member,
    Members,
    Now,
    Read,
    Refused,
    Reply,
)
from trio_wss.demo import board

LONGEST = 500  # characters of a message
KEPT = 50  # messages that a newcomer is shown

app = App(static="static")
app.on("move")(board.move)
app.on("clear")(board.clear)


@app.on_connect
def enter(client: Client) -> Effects:
    """Enter the room that the address names: `ws://…/?room=tea`."""
    return Join(f"room:{client.query.get('room', 'lobby')}")


@frozen
class Say:
    room: str
    text: str


@app.on("say")
def say(event: Say, client: Client) -> Effects:
    """Count the line and tell everyone in the room."""
    n = Increment(f"count:{event.room}")
    return [
        n,
        Broadcast(
            f"room:{event.room}",
            "said",
            {"n": n.result, "by": client.session, "text": event.text},
        ),
        Reply("ok", {"n": n.result}),
    ]


@app.on("post")
def post(event: Say, client: Client, now: Annotated[datetime, Now]) -> Effects:
    """Say a line that newcomers see too."""
    if not 0 < len(event.text) <= LONGEST:
        raise Refused("bad_length", f"A message has 1 to {LONGEST} characters.")
    n = Increment(f"posts:{event.room}")
    message = {"by": client.session, "at": now, "text": event.text}
    return [
        n,
        Append(f"log:{event.room}", message, limit=KEPT),
        Broadcast(f"room:{event.room}", "posted", {"n": n.result, **message}),
        Reply("ok", {"n": n.result}),
    ]


@frozen
class Room:
    room: str


@app.on("tap")
def tap(event: Room, client: Client) -> Effects:
    """Count one up. It reads nothing, so a thousand of them at once do not wait for each other."""
    n = Increment(f"taps:{event.room}")
    return [
        n,
        Broadcast(f"taps:{event.room}", "tapped", {"n": n.result, "by": client.session}),
        Reply("ok", {"n": n.result}),
    ]


@frozen
class Message:
    by: str
    at: datetime
    text: str


@app.on("look")
def look(
    event: Room,
    client: Client,
    log: Annotated[list[Message], Read("log:{event.room}")],
    game: Annotated[board.Board | None, Read("board:{event.room}")],
    people: Annotated[list[Member], Members("table:{event.room}")],
    posts: Annotated[int, Read("posts:{event.room}")] = 0,
    taps: Annotated[int, Read("taps:{event.room}")] = 0,
) -> Effects:
    """Sit down at the room's table: get its state at one instant, and every change from now on."""
    others = {person.session for person in people} - {client.session}
    return [
        Join(f"table:{event.room}"),
        Join(f"taps:{event.room}"),
        Broadcast(f"table:{event.room}", "entered", {"who": client.session}),
        Reply(
            "room",
            {
                "log": log,
                "posts": posts,
                "taps": taps,
                "board": game or board.Board(),
                "people": sorted({*others, client.session}),
            },
        ),
    ]


@app.on("where")
def where(client: Client) -> Effects:
    """Read and write nothing, to measure the way to Redis and back."""
    return Reply("here", {"session": client.session})


@app.on_disconnect
def leave(client: Client) -> Effects:
    """Tell the table, once, that a player is gone for good."""
    room = client.query.get("room", "lobby")
    return Broadcast(f"table:{room}", "gone", {"who": client.session})
