"""The workloads, to which shelf.py and talk.py add theirs: counters, registers, accounts, and how a
session begins and ends.

An operation (`op`) has a name that no other has. `by` is the session that did it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from attrs import frozen

from harness.faults import shelf, talk
from harness.faults.ledger import app, line
from trio_wss import (
    Client,
    Effect,
    Effects,
    Identity,
    Increment,
    Join,
    Member,
    Members,
    Read,
    Refused,
    Reply,
    Request,
    Store,
)

__all__ = ["app", "shelf", "talk"]  # which add their handlers to it

ACCOUNTS: Final = ("a", "b", "c", "d")
BALANCE: Final = 100  # of each account, before anything was moved
LAST_REGISTER: Final = "p"  # what a session reads as it ends
LAST_ROOM: Final = "room:salt"


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
