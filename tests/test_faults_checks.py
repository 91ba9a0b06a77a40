"""tests/faults: a small history, recorded by hand, passes every check; and each check catches a bug
that is put into it.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.faults import judge as judging
from tests.faults.picture import draw
from tests.faults.record import Recorder, read, sort
from tests.faults.world import Timeline
from tests.histories import Violation

Lines = list[dict[str, Any]]
Spoil = Callable[[Lines, Lines], object]

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
    {"do": "out", "by": "s1"},
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
    seen(1, "a", "welcome", session="s1", resumed=False, node="n1", since=0.5),
    seen(1, "a", "joined", topic=ROOM, at=["", 0], whole=True),
    seen(1.2, "b", "welcome", session="s2", resumed=False, node="n2", since=0.6),
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
    seen(6.3, "b", "welcome", session="s2", resumed=True, node="n1", since=6.2),
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
    {"t": 11, "k": "marker", "topic": ROOM, "op": "b.3", "clients": ["b"]},
    {"t": 12, "k": "members", "topic": ROOM, "seen": ["s2"], "there": ["s2"]},
    {"t": 13, "k": "end", "live": ["s2"]},
]  # fmt: skip


def find(records: Lines, **what: Any) -> dict[str, Any]:
    """The first record with these values."""
    return next(one for one in records if what.items() <= one.items())


def judged(folder: Path, records: Lines, *ledgers: Lines, kept: int = 0) -> dict[str, str]:
    """What the checks find, by the check's name."""
    with (folder / "history.jsonl").open("wb") as file:
        file.writelines(orjson.dumps(one) + b"\n" for one in records)
    times = []
    for number, ledger in enumerate(ledgers):
        with (folder / f"ledger-{number}.jsonl").open("wb") as file:
            file.writelines(orjson.dumps(one) + b"\n" for one in ledger)
        times.append((kept if number else 0, 6.5 * number, 6.5 if not number else 1e9))
    if len(times) == 1:
        times = [(0, 0.0, 1e9)]
    (folder / "timelines.json").write_bytes(orjson.dumps(times))
    found = judging.judge(folder).findings
    return {finding.check: finding.text for finding in found if not finding.holds}


def test_a_good_history_passes(tmp_path: Path) -> None:
    assert judged(tmp_path, RECORDS, LEDGER) == {}


def send_together_and_swap(records: Lines, ledger: Lines) -> None:
    find(records, k="call", op="a.2").update(t=1.9)
    ledger.insert(2, ledger.pop(4))


SPOILT: dict[str, tuple[str, str, Spoil]] = {
    "an update lost": (
        judging.SERIAL, "read [100, 100], but",
        lambda h, w: w.insert(5, {**w[5], "op": "b.2", "by": "s2"}),
    ),
    "a swap on an old value": (
        judging.SERIAL, "was made of 'z'", lambda h, w: w[3].update(old="z"),
    ),
    "an event applied twice": (
        judging.SERIAL, "a.1 was applied twice", lambda h, w: w.insert(3, dict(w[2])),
    ),
    "a refused event applied": (
        judging.SERIAL, "refused by its handler",
        lambda h, w: w.insert(7, {"do": "refuse", "by": "s1", "op": "a.5"}),
    ),
    "a hook run twice": (judging.SERIAL, "s1 was over", lambda h, w: w.append(dict(w[-1]))),
    "a zombie's commit": (
        judging.SERIAL, "s1 was over",
        lambda h, w: w.append({"do": "add", "by": "s1", "op": "a.9", "key": "x"}),
    ),
    "a session begun twice": (
        judging.SERIAL, "s1 began twice", lambda h, w: w.insert(1, dict(w[0])),
    ),
    "a commit before its session": (
        judging.SERIAL, "s1 had not begun", lambda h, w: w.insert(2, w.pop(0)),
    ),
    "an acknowledged event lost": (
        "acknowledged means applied, once", "a.1 was acknowledged", lambda h, w: w.pop(2),
    ),
    "an event that failed was applied": (
        "acknowledged means applied, once", "was answered poor, and was applied",
        lambda h, w: find(h, k="done", op="a.4").update(how="poor", data="100"),
    ),
    "an event that nobody sent": (
        "acknowledged means applied, once", "nobody sent",
        lambda h, w: w.insert(5, {"do": "add", "by": "s1", "op": "c.1", "key": "y"}),
    ),
    "an internal error": (
        "acknowledged means applied, once", "answered internal",
        lambda h, w: find(h, k="done", op="a.3").update(how="internal"),
    ),
    "a wrong answer": (
        "answers are true", "answered 3, not 2",
        lambda h, w: find(h, k="done", op="a.2").update(data=3),
    ),
    "an event applied before an earlier one": (
        "writes in real-time order, and as sent", "applied too early",
        lambda h, w: w.insert(2, w.pop(4)),
    ),
    "events of a session in the wrong order": (
        "writes in real-time order, and as sent", "was seen after",
        send_together_and_swap,
    ),
    "a stale read": (
        "reads are linearisable", "a.3 read None",
        lambda h, w: find(h, k="done", op="a.3").update(data=None),
    ),
    "a torn read": (
        "reads are linearisable", "b.4 read [93, 100",
        lambda h, w: find(h, k="done", op="b.4").update(data=[93, 100, 100, 100]),
    ),
    "a member missing": (
        "reads are linearisable", "b.5 read ['s2']",
        lambda h, w: find(h, k="done", op="b.5").update(data=["s2"]),
    ),
    "a false refusal": (
        "reads are linearisable", "b.1 read 'q'",
        lambda h, w: (find(h, k="done", op="b.1").update(how="differs", data="q"), w.pop(3)),
    ),
    "a broadcast missing": (
        "each broadcast once, in one order", "was at ('', 0)",
        lambda h, w: h.remove(said(6.1, "a", 1, "b.2")),
    ),
    "a broadcast twice": (
        "each broadcast once, in one order", "was at ('e', 1)",
        lambda h, w: h.insert(h.index(said(6.1, "a", 1, "b.2")), said(6.1, "a", 1, "b.2")),
    ),
    "two orders": (
        "each broadcast once, in one order", "what others heard as b.2",
        lambda h, w: find(h, k="said", c="b", n=1).update(op="b.3"),
    ),
    "a broadcast of nothing": (
        "each broadcast once, in one order", "was not committed",
        lambda h, w: [one.update(op="b.8") for one in h if one.get("n") == 1],
    ),
    "an offset that is not the commit's": (
        "each broadcast once, in one order", "heard number 1 at offset 4",
        lambda h, w: (
            find(h, k="said", c="a", n=1).update(at=["e", 4]),
            find(h, k="joined", c="a").update(at=["e", 3]),
        ),
    ),
    "a topic that it is not in": (
        "each broadcast once, in one order", "not told to be in",
        lambda h, w: h.remove(find(h, k="joined", c="a")),
    ),
    "resumed elsewhere without a word": (
        "each broadcast once, in one order", "told to be elsewhere",
        lambda h, w: find(h, k="joined", c="b", t=6.3).update(at=["e", 2]),
    ),
    "a client that hears no more": (
        "all is answered and heard in the end", "did not hear b.3",
        lambda h, w: h.remove(said(7.1, "b", 2, "b.3")),
    ),
    "no answer": (
        "all is answered and heard in the end", "a.3 was not answered",
        lambda h, w: h.remove(find(h, k="done", op="a.3")),
    ),
    "a ghost": (
        "no ghost", "has the ghosts ['s1']",
        lambda h, w: find(h, k="members").update(seen=["s1", "s2"]),
    ),
    "a lost member": (
        "no ghost", "lacks ['s2']", lambda h, w: find(h, k="members").update(seen=[]),
    ),
    "a hook that never ran": (
        "every disconnect hook once", "without their hook: ['s1']", lambda h, w: w.pop(),
    ),
    "a hook of a live session": (
        "every disconnect hook once", "ended though live: ['s2']",
        lambda h, w: w.append({"do": "out", "by": "s2"}),
    ),
    "a session that never began": (
        "every disconnect hook once", "s9 was welcomed",
        lambda h, w: h.insert(0, seen(1, "c", "welcome", session="s9", resumed=False, since=0.9)),
    ),
    "replaced by nobody": (
        "clients see no broken protocol", "4409",
        lambda h, w: find(h, k="closed").update(code=4409),
    ),
    "an answer to nothing": (
        "clients see no broken protocol", "unasked",
        lambda h, w: h.append(seen(9, "b", "unasked", number=3, name="ok", data=None)),
    ),
    "another answer the second time": (
        "clients see no broken protocol", "a.1 was answered otherwise",
        lambda h, w: h.append(seen(9, "a", "twice", op="a.1", first=["ok", 1], second=["ok", 3])),
    ),
    "a node that crashed": (
        "nodes end only when told, and log no error", "ended with 1",
        lambda h, w: find(h, k="exit").update(code=1),
    ),
    "a node that logged an error": (
        "nodes end only when told, and log no error", "connection failed",
        lambda h, w: h.append({"t": 9, "k": "error", "node": "n", "text": "connection failed"}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", SPOILT)
def test_a_bug_is_caught(bug: str, tmp_path: Path) -> None:
    check, text, spoil = SPOILT[bug]
    records, ledger = deepcopy(RECORDS), deepcopy(LEDGER)
    spoil(records, ledger)
    found = judged(tmp_path, records, ledger)
    assert text in found.get(check, "nothing"), found


def test_every_check_is_shown_to_catch_something() -> None:
    assert {check for check, _, _ in SPOILT.values()} == {judging.SERIAL, *judging.CHECKS}


# --- a failover that lost the end of the first timeline: b.2 and what follows


def after_a_loss(*, told: bool) -> tuple[Lines, Lines, Lines]:
    """The commits from the first broadcast on are lost; then another is said in its place."""
    records = [one for one in deepcopy(RECORDS) if one["t"] < 6.2]
    if told:
        records += [seen(7, c, "joined", topic=ROOM, at=["", 0], whole=False) for c in "ab"]
    records += [call(7.5, "b.3", "say", topic=ROOM), done(7.6, "b.3", 1)]
    records += [said(7.6, "a", 1, "b.3", "f"), said(7.6, "b", 1, "b.3", "f")]
    records.append({"t": 13, "k": "end", "live": ["s1", "s2"]})
    first = deepcopy(LEDGER[:7])
    return records, first, [*first[:6], {"do": "say", "by": "s2", "op": "b.3", "topic": ROOM}]


def test_a_loss_that_was_told_passes(tmp_path: Path) -> None:
    records, first, second = after_a_loss(told=True)
    assert judged(tmp_path, records, first, second, kept=6) == {}


def test_a_loss_that_was_hidden_is_caught(tmp_path: Path) -> None:
    records, first, second = after_a_loss(told=False)
    found = judged(tmp_path, records, first, second, kept=6)
    assert list(found) == ["each broadcast once, in one order"]
    assert "was at ('e', 1)" in found["each broadcast once, in one order"]


def test_a_row_of_two_timelines_is_caught(tmp_path: Path) -> None:
    """The offsets go up by one, but what was heard at the first is lost."""
    records, first, second = after_a_loss(told=False)
    second.insert(6, {"do": "say", "by": "s1", "op": "a.7", "topic": ROOM})
    records = [one for one in records if one["k"] != "said" or one["op"] != "b.3"]
    find(records, k="done", op="b.3").update(data=2)
    records += [call(7.4, "a.7", "say", topic=ROOM), done(7.5, "a.7", 1)]
    records += [said(7.6, "a", 2, "b.3", "f")]
    found = judged(tmp_path, records, first, second, kept=6)
    assert "beyond a tail that is lost" in found["each broadcast once, in one order"]


def test_a_read_of_what_a_loss_undid_is_caught(tmp_path: Path) -> None:
    records, first, second = after_a_loss(told=True)
    second = [line for line in second if line.get("op") != "b.1"]
    records += [call(8, "b.9", "get", key="p"), done(8.1, "b.9", "b")]
    found = judged(tmp_path, records, first, second, kept=3)
    assert "b.9 read 'b'" in found["reads are linearisable"]


def test_what_is_lost_with_its_redis_is_counted_and_no_fault(tmp_path: Path) -> None:
    records, first, second = after_a_loss(told=True)
    assert judged(tmp_path, records, first, second, kept=6) == {}
    verdict = judging.judge(tmp_path)
    assert verdict.findings[1].text == "6 acknowledged writes, 1 of them lost with their Redis"


# --- the rest


def test_values_of_a_window() -> None:
    line = Timeline(LEDGER)
    assert line.values(("register", "p"), 0, 3) == {None}
    assert line.values(("register", "p"), 3, 4) == {None, "b"}
    assert line.values(("register", "p"), 4, 10) == {"b"}
    with pytest.raises(Violation, match="began twice"):
        Timeline([LEDGER[0], LEDGER[0]])


async def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "history.jsonl")
    recorder.note("call", c="a", op="a.1", event="get", data={"key": "p"})
    recorder.note("done", c="a", op="a.1", how="ok", data="b")
    recorder.note("again", c="a", op="a.1")
    recorder.note("quiet")
    recorder.close()
    history = sort(read(recorder.path))
    op = history.ops["a.1"]
    assert (op.how, op.answer, op.doubtful, op.number) == ("ok", "b", True, 1)
    assert [record["k"] for record in history.stage] == ["quiet"]


def test_a_picture_is_drawn() -> None:
    drawn = draw(sort(deepcopy(RECORDS)), {"kill": "node"})
    assert drawn.startswith("<svg")
    assert "&lt;&amp;&gt;" in drawn
    assert drawn.count("<polyline") == 2
