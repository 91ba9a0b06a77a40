"""The report of a run: summary.md and picture.svg beside what was recorded."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import orjson

from harness.faults.crew import Hands
from harness.faults.harm import FAULTS
from harness.faults.judge import Verdict
from harness.faults.picture import draw
from harness.faults.record import History
from harness.faults.run import Plan

KINDS = {name: fault.kind for name, fault in FAULTS.items()}


def how_to_repeat(plan: Plan) -> str:
    """The command that makes the same run again: the same faults and clients, not the same luck."""
    faults = "" if set(plan.faults) == set(FAULTS) else f" FAULTS={','.join(plan.faults)}"
    return f"make faults SEED={plan.seed} SECONDS={plan.seconds:g} ENGINE={plan.engine}{faults}"


def write(plan: Plan, verdict: Verdict, folder: Path) -> str:
    """Write the report; returns the summary."""
    (folder / "picture.svg").write_text(draw(verdict.history, dict(KINDS)))
    summary = "\n".join(_summary(plan, verdict)) + "\n"
    (folder / "summary.md").write_text(summary)
    return summary


def _summary(plan: Plan, verdict: Verdict) -> list[str]:
    history = verdict.history
    lines = [
        f"# Faults, seed {plan.seed}",
        "",
        f"Run it again: `{how_to_repeat(plan)}`",
        "",
        "![events answered per second, and the faults](picture.svg)",
        "",
        "## Findings",
        "",
        *(f"- {finding}" for finding in verdict.findings),
        "",
        "## Faults",
        "",
        "| fault | times | seconds in all |",
        "|---|---|---|",
    ]
    times: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    for fault in history.of("fault"):
        times[fault["name"]] += 1
        seconds[fault["name"]] += fault["t"] - fault["begun"]
    lines += [f"| {name} | {times[name]} | {seconds[name]:.1f} |" for name in sorted(times)]
    return [*lines, "", "## Events", "", *_events(history)]


def _events(history: History) -> list[str]:
    outcomes = Counter(str(op.how) for op in history.ops.values())
    took = sorted(op.done - op.called for op in history.ops.values() if op.done and op.how == "ok")
    lines = ["| outcome | events |", "|---|---|"]
    lines += [f"| {how} | {number} |" for how, number in outcomes.most_common()]
    if took:
        at = [took[int(len(took) * part)] for part in (0.5, 0.99)]
        lines += ["", f"Answers took {at[0]:.3f} s (median), {at[1]:.2f} s (99 %),"]
        lines += [f"{took[-1]:.2f} s (most)."]
    closed = Counter(
        record.get("code")
        for records in history.views.values()
        for record in records
        if record["k"] == "closed"
    )
    shown = ", ".join(f"{code}: {number}" for code, number in closed.most_common())
    return [*lines, "", f"Connections that ended, by code: {shown or 'none'}."]


def load_plan(folder: Path) -> Plan:
    """The plan of a recorded run."""
    found = orjson.loads((folder / "plan.json").read_bytes())
    return Plan(**{**found, "faults": tuple(found["faults"]), "hands": Hands(**found["hands"])})
