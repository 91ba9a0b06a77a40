"""Writes a run's tables and pictures where they are read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import pictures, report, results
from benchmarks.case import Case
from benchmarks.results import Run
from benchmarks.rivals import PEERS

BEGIN: Final = "<!-- What `make bench-report` writes begins here. -->\n"
END: Final = "<!-- It ends here. -->\n"


def publish(run: Run, cases: Sequence[Case], folder: Path) -> Path:
    """Write `benchmarks.md` and a folder `benchmarks` beside it; returns the page's path.

    A page that is there already keeps what it has outside of the marks.
    """
    page = folder / "benchmarks.md"
    pictures_folder = folder / "benchmarks"
    results.save(run, pictures_folder / "results.json")
    pictures.draw(run, cases, pictures_folder)
    tables = report.markdown(run, cases, list(PEERS.values()))
    text = page.read_text() if page.exists() else BEGIN + END
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{page} has no marks for the tables")
    page.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")
    return page
