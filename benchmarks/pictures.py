"""From a run to pictures, as SVG and as PNG. The one place that needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator

from benchmarks.case import Case
from benchmarks.figures import Spread
from benchmarks.report import NONE, PICTURES, heading, number
from benchmarks.results import Run
from benchmarks.rivals import PEERS, Peer

COLOURS: Final = {
    "ours": "#0b6e4f",
    "ws": "#6c8ebf",
    "socketio": "#8b6fb0",
    "picows": "#d79b00",
    "websockets": "#b8703f",
    "channels": "#b85450",
    "coredis": "#7f7f7f",
}
STYLE: Final = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "svg.fonttype": "path",
    "svg.hashsalt": "trio-wss",  # the same figures give the same file
}

BARS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "cost": [
        ("events", "cpu_us"),
        ("rooms", "cpu_us"),
        ("fanout-500", "cpu_us"),
        ("fanout-5000", "cpu_us"),
        ("rmw-1", "cpu_us"),
        ("rmw-1000", "cpu_us"),
    ],
    "throughput": [
        ("events", "per_s"),
        ("rooms", "per_s"),
        ("fanout-500", "per_s"),
        ("fanout-5000", "per_s"),
    ],
    "connections": [
        ("idle", "memory_kb"),
        ("idle", "cpu_us"),
        ("handshakes", "cpu_us"),
        ("reconnect", "all_s"),
    ],
    "burdens": [
        ("slow", "p99_ms"),
        ("slow", "memory_mb"),
        ("large-64k", "cpu_us"),
        ("large-1m", "cpu_us"),
    ],
}
"""The pictures of bars: which figure of which case each panel shows."""


def draw(run: Run, cases: Sequence[Case], folder: Path) -> list[str]:
    """Draw all pictures that the run has figures for; returns their names, without an ending."""
    folder.mkdir(parents=True, exist_ok=True)
    peers = [peer for peer in PEERS.values() if any(t.peer == peer.name for t in run.turns)]
    drawn = []
    with mpl.rc_context(STYLE):
        for name in PICTURES:
            figure = _figure(name, run, {case.name: case for case in cases}, peers)
            if figure is not None:
                _save(figure, folder / name)
                drawn.append(name)
    return drawn


def _figure(name: str, run: Run, cases: Mapping[str, Case], peers: Sequence[Peer]) -> Figure | None:
    """The picture of this name; None where the run has no figures for it."""
    if name == "latency":
        return _latency(run, peers)
    if name == "growth":
        return _growth(run, peers)
    panels = [(cases[case], figure) for case, figure in BARS[name]]
    panels = [(case, figure) for case, figure in panels if _has(run, case, figure, peers)]
    return _bars(run, panels, peers) if panels else None


def _has(run: Run, case: Case, name: str, peers: Sequence[Peer]) -> bool:
    return any(name in run.figures(case.name, peer.name) for peer in peers)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    figure.savefig(path.with_suffix(".png"), dpi=110, metadata={"Software": None})


def _layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)


def _bars(run: Run, panels: Sequence[tuple[Case, str]], peers: Sequence[Peer]) -> Figure:
    """Panels of horizontal bars, two in a row."""
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(11, 0.7 + rows * (0.75 + 0.3 * len(peers))), layout=_layout())
    places = figure.subplots(rows, 2, squeeze=False).flat
    for place, (axes, (case, name)) in enumerate(zip(places, panels, strict=False)):
        _bar_panel(axes, run, case, name, peers)
        if place % 2:
            axes.tick_params(labelleft=False)
    for axes in list(figure.axes)[len(panels) :]:
        axes.remove()
    return figure


def _bar_panel(axes: Axes, run: Run, case: Case, name: str, peers: Sequence[Peer]) -> None:
    spreads = [run.figures(case.name, peer.name).get(name) for peer in peers]
    widest = max((spread.high for spread in spreads if spread), default=1.0)
    for place, (peer, spread) in enumerate(zip(peers, spreads, strict=True)):
        if spread is None:
            word = " failed" if run.of(case.name, peer.name) else f" {NONE}"
            axes.text(0, place, word, va="center", color="#666666")
            continue
        axes.barh(place, spread.median, color=COLOURS[peer.name], xerr=_whiskers(spread), capsize=2)
        axes.text(spread.high + widest * 0.015, place, number(spread.median), va="center")
    axes.set_yticks(range(len(peers)), [peer.title for peer in peers])
    axes.set_ylim(len(peers) - 0.4, -0.6)
    axes.set_xlim(0, widest * 1.15)
    axes.set_title(case.title.replace(": ", ":\n", 1))
    axes.set_xlabel(heading(name, case))


def _whiskers(spread: Spread) -> list[list[float]]:
    return [[spread.median - spread.low], [spread.high - spread.median]]


def _latency(run: Run, peers: Sequence[Peer]) -> Figure | None:
    """500 events/s: p50, p99 and p99.9 of each peer."""
    names = {"p50_ms": ("p50", "o"), "p99_ms": ("p99", "s"), "p999_ms": ("p99.9", "D")}
    peers = [peer for peer in peers if "p50_ms" in run.figures("paced", peer.name)]
    if not peers:
        return None
    figure = Figure(figsize=(8, 1.4 + 0.45 * len(peers)), layout=_layout())
    axes = figure.subplots()
    for place, peer in enumerate(peers):
        figures = run.figures("paced", peer.name)
        values = [figures[name].median for name in names]
        axes.plot(values, [place] * 3, color=COLOURS[peer.name], linewidth=2)
        for (_, marker), value in zip(names.values(), values, strict=True):
            axes.plot(value, place, marker, color=COLOURS[peer.name], markersize=7)
    for label, marker in names.values():
        axes.plot([], [], marker, color="#444444", label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="x", which="both", color="#e6e6e6")
    axes.set_yticks(range(len(peers)), [peer.title for peer in peers])
    axes.set_ylim(len(peers) - 0.4, -0.6)
    axes.set_xlabel("from an event until a member has its broadcast, ms (log scale)")
    axes.set_title("Paced: 500 events/s to a room of 10")
    axes.legend(loc="best", frameon=True)
    return figure


def _growth(run: Run, peers: Sequence[Peer]) -> Figure | None:
    """Cost per event over nodes, and per delivery over members."""
    panels: list[tuple[str, list[int], dict[str, Any]]] = [
        (
            "nodes",
            [1, 2, 4],
            {"xlabel": "nodes, all on one core", "ylabel": "CPU per event, µs (log scale)"},
        ),
        (
            "members",
            [10, 100, 1000, 10_000],
            {"xlabel": "members of the room", "ylabel": "CPU per delivery, µs (log scale)"},
        ),
    ]
    peers = [peer for peer in peers if any(run.of(f"nodes-{n}", peer.name) for n in (1, 2, 4))]
    if not peers:
        return None
    figure = Figure(figsize=(11, 4.2), layout=_layout())
    for axes, (what, places, labels) in zip(figure.subplots(1, 2), panels, strict=True):
        for peer in peers:
            found = {n: run.figures(f"{what}-{n}", peer.name).get("cpu_us") for n in places}
            points = {n: spread for n, spread in found.items() if spread is not None}
            axes.errorbar(
                list(points),
                [spread.median for spread in points.values()],
                yerr=[
                    [spread.median - spread.low for spread in points.values()],
                    [spread.high - spread.median for spread in points.values()],
                ],
                color=COLOURS[peer.name],
                marker="o",
                capsize=2,
                label=peer.title,
            )
        axes.set(xscale="log", yscale="log", **labels)
        axes.set_xticks(places, [f"{place:,}" for place in places])
        axes.minorticks_off()
        axes.margins(y=0.2)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(axis="y", which="both", color="#e6e6e6")
        axes.legend()
        axes.set_title(f"Growth: more {what}")
    return figure
