"""The verdict: every check over one recorded run. It can be asked again, from the folder alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from harness.faults import checks
from harness.faults.bounds import check_bounds
from harness.faults.hearing import check_hearing
from harness.faults.manners import check_nodes, check_protocol
from harness.faults.places import check_joins, check_places
from harness.faults.progress import check_progress
from harness.faults.reading import check_reads
from harness.faults.record import History, read, sort, until_rest
from harness.faults.resuming import check_sessions
from harness.faults.stores import read_timelines
from harness.faults.world import Timeline
from tests.support.histories import Violation

Check = Callable[[History, Sequence[Timeline]], str]

CHECKS: Final[dict[str, Check]] = {
    "acknowledged means applied, once": checks.check_applied,
    "answers are true": checks.check_answers,
    "writes in real-time order, and as sent": checks.check_order,
    "reads are linearisable": check_reads,
    "each broadcast once, in one order": check_hearing,
    "answers stand among broadcasts": check_places,
    "a join says where the topic was": check_joins,
    "nobody stays behind on a clear path": check_progress,
    "all is answered and heard in the end": checks.check_settled,
    "sessions survive connections": check_sessions,
    "no ghost": checks.check_presence,
    "every disconnect hook once": checks.check_hooks,
    "clients see no broken protocol": check_protocol,
    "what Redis holds is bounded": check_bounds,
    "nodes end only when told, and log no error": check_nodes,
}
SERIAL: Final = "commits are serialisable"


@frozen
class Finding:
    """What one check said."""

    check: str
    holds: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.holds else 'FAIL'}  {self.check}: {self.text}"


@frozen
class Verdict:
    """A run's findings, and what they were found in."""

    findings: list[Finding]
    history: History
    timelines: list[Timeline]

    @property
    def seconds(self) -> float:
        """How much of the run was judged."""
        return max(float(end["t"]) for end in self.history.of("end"))

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return all(finding.holds for finding in self.findings)


def judge(folder: Path) -> Verdict:
    """Look at a recorded run, up to the last time that it was at rest. Raises ValueError if it
    never was.
    """
    history = sort(until_rest(read(folder / "history.jsonl")))
    try:
        bare = frozenset(one["session"] for one in history.of("bare"))
        timelines = read_timelines(folder, bare)
    except Violation as fault:
        return Verdict([Finding(SERIAL, False, str(fault))], history, [])
    commits = sum(len(timeline.lines) - timeline.kept for timeline in timelines)
    findings = [Finding(SERIAL, True, f"{commits} commits in {len(timelines)} timelines")]
    for name, check in CHECKS.items():
        try:
            findings.append(Finding(name, True, check(history, timelines)))
        except Violation as fault:
            findings.append(Finding(name, False, str(fault)))
    return Verdict(findings, history, timelines)
