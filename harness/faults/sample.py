"""A small history, recorded by hand, in which all is well. Tests spoil it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from harness.faults import judge as judging

Lines = list[dict[str, Any]]
Spoil = Callable[[Lines, Lines], object]
"""What spoils records and a ledger."""

ROOM = "room:tea"

LEDGER: Lines = [
    {"do": "in", "by": "s1", "topics": [ROOM]},
    {"do": "in", "by": "s2", "topics": [ROOM]},
    {"do": "add", "by": "s1", "op": "a.1", "key": "x"},
    {"do": "swap", "by": "s2", "op": "b.1", "key": "p", "old": None, "new": "b"},
    {"do": "add", "by": "s1", "op": "a.2", "key": "x"},
    {"do": "move", "by": "s1", "op": "a.4", "source": "a", "target": "b", "amount": 7,
     "had": [100, 100]},
    {"do": "say", "by": "s2", "op": "b.2", "topic": ROOM},
    {"do": "say", "by": "s2", "op": "b.3", "topic": ROOM},
    {"do": "leave", "by": "s1", "op": "a.6", "topic": ROOM},
    {"do": "out", "by": "s1", "found": ["b", []]},
]  # fmt: skip


def call(t: float, op: str, event: str, **data: Any) -> dict[str, Any]:
    client = op.partition(".")[0]
    return {"t": t, "k": "call", "c": client, "op": op, "event": event, "data": {"op": op, **data}}


def done(t: float, op: str, data: Any = None, how: str = "ok") -> dict[str, Any]:
    return {"t": t, "k": "done", "c": op.partition(".")[0], "op": op, "how": how, "data": data}


def seen(t: float, client: str, kind: str, **what: Any) -> dict[str, Any]:
    return {"t": t, "k": kind, "c": client, **what}


def said(t: float, client: str, n: int, op: str, epoch: str = "e") -> dict[str, Any]:
    return seen(t, client, "said", topic=ROOM, at=[epoch, n], op=op, n=n)


RECORDS: Lines = [
    seen(1, "a", "welcome", session="s1", resumed=False, asked=False, node="n1", since=0.5),
    seen(1, "a", "joined", topic=ROOM, at=["", 0], whole=True),
    seen(1.2, "b", "welcome", session="s2", resumed=False, asked=False, node="n2", since=0.6),
    seen(1.2, "b", "joined", topic=ROOM, at=["", 0], whole=True),
    call(2, "a.1", "add", key="x"), done(2.1, "a.1", 1),
    call(3, "b.1", "swap", key="p", old=None, new="b"), done(3.1, "b.1"),
    call(4, "a.2", "add", key="x"), done(4.1, "a.2", 2),
    call(4.5, "a.3", "get", key="p"), done(4.6, "a.3", "b"),
    call(5, "a.4", "move", source="a", target="b", amount=7), done(5.1, "a.4", [93, 107]),
    call(5.2, "b.4", "look"), done(5.3, "b.4", [93, 107, 100, 100]),
    call(5.4, "a.5", "refuse", fail=False), done(5.5, "a.5", "on_purpose", how="on_purpose"),
    call(6, "b.2", "say", topic=ROOM), done(6.1, "b.2", 1),
    said(6.1, "a", 1, "b.2"), said(6.1, "b", 1, "b.2"),
    seen(6.2, "b", "closed", code=1006),
    seen(6.3, "b", "welcome", session="s2", resumed=True, asked=True, node="n1", since=6.2),
    seen(6.3, "b", "joined", topic=ROOM, at=["e", 1], whole=True),
    call(7, "b.3", "say", topic=ROOM), done(7.1, "b.3", 2),
    said(7.1, "a", 2, "b.3"), said(7.1, "b", 2, "b.3"),
    call(7.5, "b.5", "who", topic=ROOM), done(7.6, "b.5", ["s1", "s2"]),
    call(8, "a.6", "leave", topic=ROOM), done(8.1, "a.6"),
    seen(8.1, "a", "left", topic=ROOM),
    seen(9, "a", "over"),
    {"t": 9.5, "k": "exit", "node": "node-1", "code": -9, "wanted": -9},
    {"t": 9.6, "k": "fault", "name": "kill", "where": "node-1", "begun": 9.5, "found": ["<&>"]},
    {"t": 10, "k": "quiet"},
    {"t": 10.5, "k": "level", "topic": ROOM, "at": {"b": ["e", 2], "c": ["e", 2]}},
    {"t": 11, "k": "marker", "topic": ROOM, "op": "b.3", "clients": ["b"]},
    {"t": 12, "k": "members", "topic": ROOM, "seen": ["s2"], "there": ["s2"]},
    {"t": 12.5, "k": "held", "longest": 2, "streams": [9], "metas": [9], "slots": 6, "nodes": 3,
     "rings": 4, "owners": 4, "living": 3},
    {"t": 13, "k": "end", "live": ["s2"]},
]  # fmt: skip


for record in RECORDS:
    if record["k"] == "welcome":
        record["ahead"] = 0  # it is a bare client's


def find(records: Lines, **what: Any) -> dict[str, Any]:
    """The first record with these values."""
    return next(one for one in records if what.items() <= one.items())


def send_together_and_swap(records: Lines, ledger: Lines) -> None:
    """A session's second event is applied before its first; both were under way."""
    find(records, k="call", op="a.2").update(t=1.9)
    ledger.insert(2, ledger.pop(4))


def hear_early(records: Lines, _: Lines) -> None:
    """a hears b.2 before an answer that was earned before it."""
    records.remove(said(6.1, "a", 1, "b.2"))
    records.insert(records.index(find(records, k="call", op="a.4")), said(4.7, "a", 1, "b.2"))


def send_old_state(records: Lines, _: Lines) -> None:
    """b is told of a gap, and sent the state of before."""
    find(records, k="joined", c="b", t=6.3).update(whole=False)
    records.insert(-1, seen(6.4, "b", "missed", topic=ROOM, n=0))


def begin_anew(records: Lines, ledger: Lines) -> None:
    """b comes back at once, and yet gets another session; the first one is ended in time."""
    find(records, k="welcome", t=6.3).update(session="s3", resumed=False)
    find(records, k="done", op="b.5").update(data=["s1", "s2", "s3"])
    find(records, k="members").update(seen=["s3"], there=["s3"])
    find(records, k="end").update(live=["s3"])
    ledger[7].update(by="s3")
    ledger.insert(7, {"do": "in", "by": "s3", "topics": [ROOM]})
    ledger.insert(9, {"do": "out", "by": "s2"})


def end_at_once(records: Lines, ledger: Lines) -> None:
    """Its first session is over, and so b gets another."""
    begin_anew(records, ledger)
    ledger.insert(7, ledger.pop(9))


def die_with_its_node(records: Lines, ledger: Lines, at: float) -> None:
    """A client of a crowd dies with its node, whose lease goes on for a second; its session is over
    by 7.1."""
    ledger.insert(7, {"do": "out", "by": "s0", "found": ["b", []]})
    ledger.insert(2, {"do": "in", "by": "s0", "topics": ["room:crowd"]})
    orphans = {"t": at, "k": "orphans", "node": "node-1", "at": at, "lease": 1, "sessions": ["s0"]}
    records.append(orphans)


def outlive_its_close(records: Lines, ledger: Lines) -> None:
    """The app closes s1, and it is over when its grace is."""
    end = ledger.pop()
    ledger.append({"do": "bye", "by": "s1", "op": "a.7"})
    ledger.append({"do": "add", "by": "s2", "op": "b.6", "key": "x"})
    ledger.append(end)
    at = records.index(find(records, k="over"))
    records[at:at] = [
        {**call(8.15, "a.7", "bye"), "session": "s1"}, done(8.2, "a.7"),
        call(9.45, "b.6", "add", key="x"), done(9.48, "b.6", 3),
    ]  # fmt: skip


def judged(folder: Path, records: Lines, *ledgers: Lines, kept: int = 0) -> dict[str, str]:
    """What the checks find, by the check's name."""
    with (folder / "history.jsonl").open("wb") as file:
        file.writelines(orjson.dumps(one) + b"\n" for one in records)
    times: list[Any] = []
    for number, ledger in enumerate(ledgers):
        with (folder / f"ledger-{number}.jsonl").open("wb") as file:
            file.writelines(orjson.dumps(one) + b"\n" for one in ledger)
        begins, ends = 6.5 * number, 6.5 if number < len(ledgers) - 1 else 1e9
        times.append((kept if number else 0, begins, ends, len(ledger)))
    (folder / "timelines.json").write_bytes(orjson.dumps(times))
    found = judging.judge(folder).findings
    return {finding.check: finding.text for finding in found if not finding.holds}
