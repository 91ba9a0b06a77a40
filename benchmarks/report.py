"""From a run to Markdown: one table that gives each case a row and each peer a column, then one
table for each case. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from benchmarks.case import Case
from benchmarks.figures import Spread
from benchmarks.results import Run
from benchmarks.rivals import Peer

COLUMNS: Final = {
    "cpu_us": "CPU per {unit}, µs",
    "per_s": "{units}/s",
    "redis_us": "Redis' CPU per {unit}, µs",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "p999_ms": "p99.9, ms",
    "reply_p50_ms": "answer p50, ms",
    "reply_p99_ms": "answer p99, ms",
    "alone_p99_ms": "p99 without slow ones, ms",
    "disorder": "out of order",
    "memory_kb": "memory per connection, KB",
    "memory_mb": "memory gained, MB",
    "busy_percent": "CPU, % of a core",
    "server_busy": "servers busy, %",
    "closed": "slow ones closed, %",
    "all_s": "until all are back, s",
    "caught_up": "got what they missed, %",
}
"""What each figure is called, with its unit."""

NONE: Final = "–"  # noqa: RUF001 - a dash in print, for what is not there
TO: Final = "–"  # noqa: RUF001 - and between two ends

PERCENT: Final = frozenset({"closed", "caught_up", "server_busy"})
"""Figures that are a share of one."""


BEGIN: Final = "<!-- What `make bench-report` writes begins here. -->\n"
END: Final = "<!-- It ends here. -->\n"


PICTURES: Final = {
    "cost": "CPU for one event, one delivery and one commit",
    "throughput": "Events and deliveries per second",
    "latency": "Latency at 500 events a second",
    "growth": "Growth with nodes and with members",
    "connections": "Memory of a connection, handshakes, and clients that come back",
    "burdens": "Slow consumers and large messages",
}
"""The pictures by their files' names, in the order of the page, and what they show."""


def gallery(names: Iterable[str], folder: str) -> str:
    """The pictures of these names, as a page shows them."""
    return "".join(f"![{PICTURES[name]}]({folder}/{name}.svg)\n\n" for name in names)


def placed(page: str, tables: str) -> str:
    """A page with these tables between its marks. Raises ValueError if it has no marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no marks for the tables")
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def number(value: float) -> str:
    """Three digits that matter, and thousands apart."""
    if value == 0:
        return "0"
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def cell(name: str, spread: Spread, *, wide: bool = True) -> str:
    """The median, and from where to where it went."""
    factor = 100 if name in PERCENT else 1
    low, middle, high = (
        number(value * factor) for value in (spread.low, spread.median, spread.high)
    )
    return f"{middle} ({low}{TO}{high})" if wide and low != high else middle


def heading(name: str, case: Case) -> str:
    return COLUMNS[name].format(unit=case.unit, units=case.units)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table; all columns but the first one are numbers."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def overview(run: Run, cases: Sequence[Case], peers: Sequence[Peer]) -> Iterator[str]:
    """One row for each case, with the figure that counts most in it."""
    rows = []
    for case in cases:
        cells = [_headline(run, case, peer) for peer in peers]
        what = f"**{case.title}**: {heading(case.headline, case)}"
        rows.append([what, *_with_the_best(cells)])
    yield from table(["", *(peer.title for peer in peers)], rows)


def _headline(run: Run, case: Case, peer: Peer) -> tuple[float | None, str]:
    spread = run.figures(case.name, peer.name).get(case.headline)
    if spread is not None:
        return spread.median, cell(case.headline, spread, wide=False)
    return None, "failed" if run.of(case.name, peer.name) else NONE


def _with_the_best(cells: Sequence[tuple[float | None, str]]) -> list[str]:
    """In all of them less is better."""
    best = min((value for value, _ in cells if value is not None), default=None)
    return [f"**{text}**" if value is not None and value == best else text for value, text in cells]


def details(run: Run, case: Case, peers: Sequence[Peer]) -> Iterator[str]:
    """One case: a row for each peer, with its spread; then what failed, and who is not there."""
    rows, notes = [], []
    for peer in peers:
        turns = run.of(case.name, peer.name)
        figures = run.figures(case.name, peer.name)
        cells = [cell(name, figures[name]) if name in figures else NONE for name in case.columns]
        rows.append([peer.title, *cells])
        if failures := [turn.failed for turn in turns if turn.failed]:
            reasons = "; ".join(dict.fromkeys(failures))
            notes.append(f"{peer.title}: {len(failures)} of {len(turns)} turns failed: {reasons}.")
        elif not turns:
            notes.append(f"{peer.title}: {case.absent.get(peer.name, 'did not run')}.")
    yield f"### {case.title}"
    yield ""
    yield from table(["", *(heading(name, case) for name in case.columns)], rows)
    yield ""
    for note in notes:
        yield f"- {note}"
    if notes:
        yield ""


def circumstances(run: Run, peers: Sequence[Peer]) -> Iterator[str]:
    """Where, when and with which versions."""
    about = run.about
    machine: Mapping[str, object] = about["machine"]
    load = ", ".join(f"{value:.1f}" for value in about["load_average"])
    yield (
        f"Taken {about['began']}, at {about['commit'] or 'no commit'},"
        f" on {machine['cores']} cores of {machine['processor']}"
        f" with {machine['memory_gb']} GB, {machine['system']};"
        f" {about['rounds']} rounds of {about['seconds']:g} s; the load average was {load} before."
    )
    yield ""
    yield ", ".join(f"{name} {version}" for name, version in about["versions"].items()) + "."
    yield ""
    for peer in peers:
        versions = about["peers"].get(peer.name, {})
        yield f"- {peer.title}: {', '.join(f'{n} {v}' for n, v in versions.items())}"
    yield ""


def markdown(run: Run, cases: Sequence[Case], peers: Sequence[Peer]) -> str:
    """All of it."""
    cases = [case for case in cases if any(turn.case == case.name for turn in run.turns)]
    peers = [peer for peer in peers if any(turn.peer == peer.name for turn in run.turns)]
    lines = ["## Overview", "", *overview(run, cases, peers), ""]
    lines += ["Bold is the least of its row; less is better in all of them.", ""]
    lines += ["## Each case", ""]
    for case in cases:
        lines += details(run, case, peers)
    lines += ["## Machine and versions", "", *circumstances(run, peers)]
    return "\n".join(lines)
