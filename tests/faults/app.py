"""The workloads. Every commit that changes something writes a line into one ledger, which is
therefore the order in which Redis made the commits, with what each handler had read.

An operation (`op`) has a name that no other has. `by` is the session that did it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from attrs import frozen

from trio_wss import (
    App,
    Append,
    Broadcast,
    Client,
    Effect,
    Effects,
    Gap,
    Identity,
    Increment,
    Join,
    Leave,
    Member,
    Members,
    Read,
    Refused,
    Reply,
    Request,
    Store,
)

LEDGER: Final = "ledger"
ACCOUNTS: Final = ("a", "b", "c", "d")
BALANCE: Final = 100  # of each account, before anything was moved
LAST_REGISTER: Final = "p"  # what a session reads as it ends
LAST_ROOM: Final = "room:salt"
MOST: Final = 100_000  # lines of the ledger, between two times that it is taken away

app = App(history=400, history_ttl=120)


def line(client: Client, do: str, **what: Any) -> Append:
    """One line of the ledger."""
    return Append(LEDGER, {"do": do, "by": client.session, **what}, MOST)


@app.authenticate
def identify(request: Request) -> Identity | None:
    """A client is who it says it is."""
    return Identity(request.query["name"]) if "name" in request.query else None


@app.on_connect
def enter(client: Client) -> Iterator[Effect]:
    """A session begins, in the rooms that its query names."""
    topics = [f"room:{room}" for room in client.query.get("rooms", "").split(",") if room]
    yield line(client, "in", topics=topics)
    for topic in topics:
        yield Join(topic, client.user)


@app.on_disconnect
def leave_for_good(
    client: Client,
    value: Annotated[str | None, Read(f"register:{LAST_REGISTER}")],
    members: Annotated[list[Member], Members(LAST_ROOM)],
) -> Effects:
    """A session is over: once in its life. It finds what others keep changing just then."""
    found = [value, sorted(member.session for member in members)]
    return line(client, "out", found=found)


@app.on_gap
def missed(event: Gap, client: Client) -> Effects:
    """Broadcasts are missing: an app would send the state anew."""
    return Reply("missed", {"topic": event.topic})


@frozen
class Add:
    op: str
    key: str


@app.on("add")
def add(event: Add, client: Client) -> Effects:
    n = Increment(f"counter:{event.key}")
    return [n, line(client, "add", op=event.op, key=event.key), Reply("added", n.result)]


@frozen
class Swap:
    op: str
    key: str
    old: str | None
    new: str


@app.on("swap")
def swap(
    event: Swap, client: Client, value: Annotated[str | None, Read("register:{event.key}")]
) -> Effects:
    if value != event.old:
        raise Refused("differs", value or "")
    did = line(client, "swap", op=event.op, key=event.key, old=value, new=event.new)
    return [Store(f"register:{event.key}", event.new), did, Reply("swapped")]


@frozen
class Get:
    op: str
    key: str


@app.on("get")
def get(event: Get, value: Annotated[str | None, Read("register:{event.key}")]) -> Effects:
    return Reply("value", value)


@frozen
class Move:
    op: str
    source: str
    target: str
    amount: int


@app.on("move")
def move(
    event: Move,
    client: Client,
    source: Annotated[int | None, Read("account:{event.source}")],
    target: Annotated[int | None, Read("account:{event.target}")],
) -> Effects:
    had = [BALANCE if balance is None else balance for balance in (source, target)]
    left, right = had[0] - event.amount, had[1] + event.amount
    if left < 0:
        raise Refused("poor", str(had[0]))
    did = line(
        client, "move", op=event.op, source=event.source, target=event.target, had=had,
        amount=event.amount,
    )  # fmt: skip
    return [
        Store(f"account:{event.source}", left),
        Store(f"account:{event.target}", right),
        did,
        Reply("moved", [left, right]),
    ]


@frozen
class Look:
    op: str


@app.on("look")
def look(
    event: Look,
    a: Annotated[int | None, Read("account:a")],
    b: Annotated[int | None, Read("account:b")],
    c: Annotated[int | None, Read("account:c")],
    d: Annotated[int | None, Read("account:d")],
) -> Effects:
    return Reply("balances", [BALANCE if one is None else one for one in (a, b, c, d)])


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


@frozen
class Refuse:
    op: str
    fail: bool


@app.on("refuse")
def refuse(event: Refuse, client: Client) -> Iterator[Effect]:
    """What a handler yields before it raises is not applied."""
    yield line(client, "refuse", op=event.op)
    if event.fail:
        raise RuntimeError("on purpose")
    raise Refused("on_purpose")
