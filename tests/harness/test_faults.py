"""The faults in short: every kind of them once, from one seed, on real processes. `make faults` is
the long run, on either engine; docs/faults.md says how to read what it reports.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from harness.faults import report
from harness.faults.crew import Hands
from harness.faults.fleet import ROOT
from harness.faults.harm import FAULTS
from harness.faults.judge import judge
from harness.faults.run import Plan, run
from tests.support.processes import Lines
from trio_wss.store.embedded import find_server

PLAN = Plan(
    seed=7, engine="valkey", seconds=10.0, faults=tuple(FAULTS), gap=0.3,
    hands=Hands(workers=4),
)  # fmt: skip


@pytest.mark.slow
async def test_a_short_run_of_faults_finds_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    with trio.fail_after(300):
        await run(PLAN, tmp_path, find_server(), lines.append)
    verdict = judge(tmp_path)
    summary = report.write(PLAN, verdict, tmp_path)
    assert verdict.holds, "\n".join([*lines, summary, f"all of it is in {tmp_path}"])
    assert {record["name"] for record in verdict.history.of("fault")} == set(FAULTS)


@pytest.mark.slow
async def test_a_run_that_is_told_to_end_comes_to_rest_and_is_judged(tmp_path: Path) -> None:
    """As by Ctrl-C, or by `timeout`."""
    command = [
        sys.executable,
        "-m",
        "harness.faults",
        "--folder",
        str(tmp_path),
        "--faults",
        "kill",
    ]
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            start = partial(
                trio.run_process, command, cwd=ROOT, stdout=subprocess.PIPE, check=False
            )
            process = await nursery.start(start)
            lines = Lines(process.stdout)
            await lines.until("kill node-")
            process.send_signal(signal.SIGTERM)
            said = await lines.rest()
    assert process.returncode == 0, said
    assert "it comes to rest" in said
    assert report.load_plan(tmp_path).seconds == 120
    assert judge(tmp_path).holds
