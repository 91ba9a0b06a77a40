"""harness/swarm/silence.py and report.py: how long clients heard nothing, and what a run says."""

from __future__ import annotations

from typing import Any

from harness.faults.judge import Finding, Verdict
from harness.faults.record import History, sort
from harness.faults.sample import call, done, said, seen
from harness.swarm import report
from harness.swarm.acts import Act
from harness.swarm.silence import Silence, heard, longest

RECORDS: list[dict[str, Any]] = [
    {"t": 0.5, "k": "deployed", "seconds": 12.34},
    seen(1, "worker-1", "welcome", session="s1", resumed=False, node="n1", since=0.5),
    seen(1, "worker-2", "welcome", session="s2", resumed=False, node="n2", since=0.5),
    seen(1, "visitor-1", "welcome", session="s3", resumed=False, node="n2", since=0.5),
    said(2, "worker-1", 1, "worker-2.1"),
    said(2, "worker-2", 1, "worker-2.1"),
    call(2.5, "worker-1.1", "add", key="x"),
    done(4, "worker-1.1", 1),
    call(4.5, "worker-1.2", "add", key="x"),
    done(4.9, "worker-1.2", how="lost"),
    said(6, "worker-2", 2, "worker-2.2"),
    seen(7, "worker-1", "welcome", session="s1", resumed=True, node="n3", since=6),
]


def history() -> History:
    return sort(RECORDS)


def test_answers_broadcasts_and_welcomes_are_signs_of_life_and_a_lost_answer_is_none() -> None:
    assert heard(history(), ["worker"]) == {
        "worker-1": [1, 2, 4, 7],
        "worker-2": [1, 2, 6],
    }


def test_the_longest_silence_is_one_that_touches_the_time() -> None:
    times = heard(history(), ["worker"])
    assert longest(times, 1.5, 5) == Silence(4, "worker-2", 2)
    assert longest(times, 0.5, 1.9) == Silence(1, "worker-1", 1)
    assert longest(times, 6.5, 6.8) == Silence(3, "worker-1", 4)


def test_a_silence_without_an_end_lasts_until_the_end() -> None:
    assert longest({"worker-1": [1.0]}, 2, 9) == Silence(8, "worker-1", 1)
    assert longest({}, 2, 9) == Silence()


def test_the_report_is_a_table_with_the_verdict_below() -> None:
    acts = [Act("a replica killed", 3.0, healed=5.5, ended=6.5, found="3 of 3 healthy")]
    verdict = Verdict([Finding("no ghost", True, "4 lists")], history(), [])
    assert report.write(verdict, acts).splitlines() == [
        "From `docker stack deploy` to three healthy nodes: 12.3 s.",
        "",
        "| what was done | until it was whole again | longest silence of a client |",
        "|---|---|---|",
        "| a replica killed | 3 of 3 healthy: 2.5 s | 4.0 s |",
        "",
        "At first clients were on 2 nodes.",
        "",
        "- ok    no ghost: 4 lists",
    ]
