"""Writes a run's tables and pictures where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import pictures, report, results
from benchmarks.case import Case
from benchmarks.results import Run
from benchmarks.rivals import PEERS


def publish(run: Run, cases: Sequence[Case], folder: Path) -> Path:
    """Write `benchmarks.md` and a folder `benchmarks` beside it; returns the page's path.

    A page that is there already keeps what it has outside of the marks.
    """
    page = folder / "benchmarks.md"
    results.save(run, folder / "benchmarks" / "results.json")
    drawn = pictures.draw(run, cases, folder / "benchmarks")
    shown = report.gallery(drawn, "benchmarks")
    tables = report.markdown(run, cases, list(PEERS.values()))
    text = page.read_text() if page.exists() else report.BEGIN + report.END
    page.write_text(report.placed(text, shown + tables))
    return page
