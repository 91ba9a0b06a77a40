"""harness/faults: histories of a Redis that lost something; and how a history is kept and drawn."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from harness.faults import judge as judging
from harness.faults.picture import draw
from harness.faults.record import Recorder, read, sort
from harness.faults.sample import LEDGER, RECORDS, ROOM, Lines, call, done, find, judged, said, seen
from harness.faults.world import Timeline
from tests.support.histories import Violation

# --- a failover that lost the end of the first timeline: b.2 and what follows


def after_a_loss(*, told: bool) -> tuple[Lines, Lines, Lines]:
    """The commits from the first broadcast on are lost; then another is said in its place."""
    records = [one for one in deepcopy(RECORDS) if one["t"] < 6.2]
    if told:
        records += [seen(7, c, "joined", topic=ROOM, at=["", 0], whole=False) for c in "ab"]
        records += [seen(7.1, c, "missed", topic=ROOM, n=0) for c in "ab"]
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


def test_a_gap_that_is_told_though_its_broadcasts_outlived_a_loss_is_caught(tmp_path: Path) -> None:
    """What was lost came after them."""
    records, first, second = after_a_loss(told=True)
    second.insert(6, first[6])
    find(records, k="done", op="b.3").update(data=2)
    records = [one for one in records if one["k"] != "said" or one["op"] != "b.3"]
    first.append({"do": "add", "by": "s1", "op": "a.7", "key": "y"})
    records.insert(0, call(6.2, "a.7", "add", key="y"))
    found = judged(tmp_path, records, first, second, kept=7)
    assert "all since is kept" in found["each broadcast once, in one order"]


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


@pytest.mark.parametrize(("dialled", "caught"), [(6.4, False), (6.52, True)])
def test_a_session_may_be_refused_by_the_history_that_ends(
    dialled: float, caught: bool, tmp_path: Path
) -> None:
    """It was over there, say, and that is lost; but not by one who asks after that."""
    records, first, second = after_a_loss(told=True)
    new = {"session": "s3", "resumed": False, "asked": True, "node": "n2"}
    records.append(seen(6.6, "b", "welcome", since=dialled, **new))
    second.insert(6, {"do": "in", "by": "s3", "topics": []})
    found = judged(tmp_path, records, first, second, kept=6)
    assert ("sessions survive connections" in found) == caught


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


def test_a_run_that_was_killed_is_judged_up_to_its_last_rest(tmp_path: Path) -> None:
    """What came after it was written in part: half of the last line, and a longer ledger."""
    later = [call(14, "b.9", "add", key="x"), done(14.1, "b.9", 77)]
    assert judged(tmp_path, [*deepcopy(RECORDS), *later], deepcopy(LEDGER)) == {}
    for name in ("history.jsonl", "ledger-0.jsonl"):
        with (tmp_path / name).open("ab") as file:
            file.write(b'{"do": "add", "by": "s1", "op"')
    verdict = judging.judge(tmp_path)
    assert verdict.holds
    assert verdict.seconds == 13


def test_a_run_that_was_never_at_rest_cannot_be_judged(tmp_path: Path) -> None:
    records = [one for one in deepcopy(RECORDS) if one["k"] != "end"]
    with pytest.raises(ValueError, match="not at rest once"):
        judged(tmp_path, records, deepcopy(LEDGER))


def test_a_picture_is_drawn() -> None:
    drawn = draw(sort(deepcopy(RECORDS)), {"kill": "node"})
    assert drawn.startswith("<svg")
    assert "&lt;&amp;&gt;" in drawn
    assert drawn.count("<polyline") == 2
