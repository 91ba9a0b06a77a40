"""The workload of maps, sets and lists, of keys that are deleted and keys that expire. What a
handler found goes into the ledger, where the model has it too.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from attrs import frozen

from harness.faults.ledger import app, line
from trio_wss import (
    Add,
    Append,
    Client,
    Delete,
    Drop,
    Effects,
    Increment,
    Put,
    Read,
    Remove,
    Reply,
    Store,
)

LENGTH: Final = 8  # of a list
BRIEF: Final = 1.5  # seconds that a brief key lives

Map = dict[str, str] | None
Set = list[str] | None
List = list[str] | None


@frozen
class Item:
    """`part` is a field of a map or a member of a set."""

    op: str
    key: str
    part: str


@app.on("put")
def put(event: Item, client: Client, had: Annotated[Map, Read("map:{event.key}")]) -> Effects:
    what = Put(f"map:{event.key}", event.part, event.op)
    return [what, _did(client, "put", event, had or {}), Reply("put", what.result)]


@app.on("drop")
def drop(event: Item, client: Client, had: Annotated[Map, Read("map:{event.key}")]) -> Effects:
    what = Drop(f"map:{event.key}", event.part)
    return [what, _did(client, "drop", event, had or {}), Reply("dropped", what.result)]


@app.on("turn")
def turn(
    event: Item,
    client: Client,
    had: Annotated[str | None, Read("map:{event.key}", field="{event.part}")],
) -> Effects:
    """One field of a map alone is read, so others may be written meanwhile."""
    what = Put(f"map:{event.key}", event.part, event.op)
    return [what, _did(client, "turn", event, had), Reply("turned", what.result)]


@app.on("mark")
def mark(event: Item, client: Client, had: Annotated[Set, Read("set:{event.key}")]) -> Effects:
    what = Add(f"set:{event.key}", event.part)
    return [what, _did(client, "mark", event, sorted(had or [])), Reply("marked", what.result)]


@app.on("wipe")
def wipe(event: Item, client: Client, had: Annotated[Set, Read("set:{event.key}")]) -> Effects:
    what = Remove(f"set:{event.key}", event.part)
    return [what, _did(client, "wipe", event, sorted(had or [])), Reply("wiped", what.result)]


@app.on("push")
def push(event: Item, client: Client, had: Annotated[List, Read("list:{event.key}")]) -> Effects:
    what = Append(f"list:{event.key}", event.op, LENGTH)
    return [what, _did(client, "push", event, had or []), Reply("pushed", what.result)]


@app.on("tag")
def tag(event: Item, client: Client) -> Effects:
    """All of them, and nothing is read."""
    one, two = Put(f"map:{event.key}", event.part, event.op), Add(f"set:{event.key}", event.part)
    three = Append(f"list:{event.key}", event.op, LENGTH)
    answer = Reply("tagged", [one.result, two.result, three.result])
    return [one, two, three, _did(client, "tag", event, None), answer]


@app.on("erase")
def erase(event: Item, client: Client) -> Effects:
    gone = [Delete(f"{kind}:{event.key}") for kind in ("map", "set", "list")]
    return [*gone, _did(client, "erase", event, None), Reply("erased")]


@app.on("shelf")
def shelf(
    event: Item,
    one: Annotated[Map, Read("map:{event.key}")],
    two: Annotated[Set, Read("set:{event.key}")],
    three: Annotated[List, Read("list:{event.key}")],
) -> Effects:
    return Reply("shelf", [sorted((one or {}).items()), sorted(two or []), three or []])


def _did(client: Client, do: str, event: Item, had: Any) -> Append:
    return line(client, do, op=event.op, key=event.key, part=event.part, had=had)


@frozen
class Flip:
    op: str
    key: str


@app.on("flip")
def flip(
    event: Flip, client: Client, had: Annotated[bool | None, Read("flag:{event.key}")]
) -> Effects:
    """What was read comes back every second time: a late copy would find what it was made of."""
    did = line(client, "flip", op=event.op, key=event.key, had=bool(had))
    return [Store(f"flag:{event.key}", not had), did, Reply("flipped", not had)]


@frozen
class Brief:
    op: str
    key: str


@app.on("brief")
def brief(event: Brief, client: Client) -> Effects:
    did = line(client, "brief", op=event.op, key=event.key)
    return [Store(f"brief:{event.key}", event.op, ttl=BRIEF), did, Reply("brief")]


@app.on("glance")
def glance(event: Brief, value: Annotated[str | None, Read("brief:{event.key}")]) -> Effects:
    return Reply("glance", value)


@frozen
class Fat:
    op: str
    key: str
    size: int


@app.on("stash")
def stash(event: Fat, client: Client) -> Effects:
    """A value of hundreds of kilobytes."""
    did = line(client, "stash", op=event.op, key=event.key)
    value = {"n": event.op, "pad": "." * event.size}
    return [Store(f"fat:{event.key}", value), did, Reply("stashed")]


@app.on("fetch")
def fetch(
    event: Brief, value: Annotated[dict[str, str] | None, Read("fat:{event.key}")]
) -> Effects:
    return Reply("fat", value)


@app.on("gulp")
def gulp(event: Fat, client: Client) -> Effects:
    """An answer of hundreds of kilobytes, which is recorded, since it writes."""
    n = Increment(f"gulps:{event.key}")
    did = line(client, "gulp", op=event.op, key=event.key)
    return [n, did, Reply("gulped", {"n": n.result, "pad": "." * event.size})]
