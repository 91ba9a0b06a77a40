"""From measured values to figures: percentiles of one run; median and spread of several.

Pure. Times are in seconds until they become a figure, whose name carries its unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

from attrs import frozen

Figures = dict[str, float]
"""What one run of one shape gave, by name: `cpu_us`, `per_s`, `p99_ms`, …"""

PERCENTILES: Final = {"p50_ms": 0.50, "p99_ms": 0.99, "p999_ms": 0.999}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed (nearest rank)."""
    if not ordered:
        return float("nan")
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


def latencies(seconds: Iterable[float], prefix: str = "") -> Figures:
    """p50, p99 and p99.9 in milliseconds."""
    ordered = sorted(seconds)
    return {prefix + name: percentile(ordered, share) * 1000 for name, share in PERCENTILES.items()}


@frozen
class Spread:
    """One figure over all rounds."""

    median: float
    low: float
    high: float


def spreads(rounds: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Each figure's median, lowest and highest value; a figure that a round lacks is left out."""
    names = [name for name in rounds[0] if all(name in figures for figures in rounds)]
    return {name: _spread([figures[name] for figures in rounds]) for name in names}


def _spread(values: list[float]) -> Spread:
    return Spread(median(values), min(values), max(values))
