"""What a comparison gave: each turn's figures, and where and when they were taken. One JSON file
holds one run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import Factory, field, frozen

from benchmarks.figures import Figures, Spread, spreads


@frozen
class Turn:
    """What came of one peer's turn at one case."""

    case: str
    peer: str
    round: int
    figures: Figures = field(factory=dict)
    failed: str | None = None
    seconds: float = 0.0
    """How long the turn took."""


@frozen
class Run:
    """All turns of a comparison."""

    about: Mapping[str, Any]
    """The machine, the versions of everything, the load average, when it was."""
    turns: Sequence[Turn] = Factory(list)

    def of(self, case: str, peer: str) -> list[Turn]:
        return [turn for turn in self.turns if (turn.case, turn.peer) == (case, peer)]

    def figures(self, case: str, peer: str) -> dict[str, Spread]:
        """Medians and spreads over the rounds that did not fail; empty if there are none."""
        good = [turn.figures for turn in self.of(case, peer) if turn.failed is None]
        return spreads(good) if good else {}


def save(run: Run, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(attrs.asdict(run), indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> Run:
    held = json.loads(path.read_text())
    return Run(held["about"], [Turn(**turn) for turn in held["turns"]])
