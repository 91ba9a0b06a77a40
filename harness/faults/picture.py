"""The picture of a run: events answered per second, how long they took, and the faults behind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final
from xml.sax.saxutils import escape

from harness.faults.record import History, Op

WIDTH: Final = 1200
TOP: Final = 45  # of the curves, below their names; the faults have their rows below
CURVES: Final = 260
ROW: Final = 15
LEFT: Final = 150
COLOURS: Final = {"node": "#d95f02", "redis": "#1f78b4", "link": "#7570b3", "client": "#66a61e"}
LOSS: Final = "#e41a1c"


def draw(history: History, kinds: dict[str, str]) -> str:
    """An SVG. `kinds` says of each fault what it befalls."""
    faults = list(history.of("fault"))
    done = [op for op in history.ops.values() if op.done is not None and op.how != "lost"]
    end: float = max([1.0, *(op.done or 0 for op in done), *(fault["t"] for fault in faults)])
    names = sorted({fault["name"] for fault in faults}, key=lambda name: (kinds[name], name))
    height = TOP + CURVES + ROW * (len(names) + 3)
    scale = (WIDTH - LEFT - 20) / end

    def x(time: float) -> float:
        return LEFT + time * scale

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for fault in faults:
        row = TOP + CURVES + ROW * (names.index(fault["name"]) + 1)
        begun, width = x(fault["begun"]), max(1.5, (fault["t"] - fault["begun"]) * scale)
        colour = COLOURS.get(kinds[fault["name"]], LOSS)
        title = escape(f"{fault['name']} {fault['where']} {'; '.join(fault['found'])}")
        parts += [
            f'<rect x="{begun:.1f}" y="{TOP}" width="{width:.1f}" height="{CURVES}"'
            f' fill="{colour}" opacity="0.07"/>',
            f'<rect x="{begun:.1f}" y="{row}" width="{width:.1f}" height="{ROW - 3}"'
            f' fill="{colour}"><title>{title}</title></rect>',
        ]
    for number, name in enumerate(names, 1):
        y = TOP + CURVES + ROW * number + 10
        parts.append(f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{name}</text>')
    for second in range(0, int(end) + 1, max(5, int(end / 12) // 5 * 5)):
        parts.append(f'<text x="{x(second):.1f}" y="{height - 8}">{second} s</text>')
    rate, slow = _rate(done), _slowest(done)
    parts += _curve(rate, "events answered per second", "#222", x, 15)
    parts += _curve(slow, "slowest answer in each second, in s", "#b30000", x, 32)
    return "\n".join([*parts, "</svg>\n"])


def _curve(
    points: dict[int, float], name: str, colour: str, x: Callable[[float], float], label: int
) -> Iterator[str]:
    most = max(points.values(), default=1) or 1
    path = " ".join(
        f"{x(second + 0.5):.1f},{TOP + CURVES - points.get(second, 0) / most * CURVES:.1f}"
        for second in range(max(points, default=0) + 1)
    )
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
    yield f'<text x="{LEFT}" y="{label}" fill="{colour}">{name}, up to {most:.0f}</text>'


def _rate(done: list[Op]) -> dict[int, float]:
    return dict(Counter(int(op.done or 0) for op in done))


def _slowest(done: list[Op]) -> dict[int, float]:
    found: defaultdict[int, float] = defaultdict(float)
    for op in done:
        second = int(op.done or 0)
        found[second] = max(found[second], (op.done or 0) - op.called)
    return found
