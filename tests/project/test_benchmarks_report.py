"""From a run's JSON to the tables that a reader sees."""

import json
from pathlib import Path

import pytest

from benchmarks import conductor, report, results
from benchmarks.case import EVERYONE, Case
from benchmarks.conductor import Plan
from benchmarks.figures import Spread
from benchmarks.results import Run, Turn
from benchmarks.rivals import PEERS

ABOUT = {
    "began": "2026-01-02T03:04:05+00:00",
    "commit": "abc",
    "load_average": [0.1, 0.2, 0.3],
    "machine": {"processor": "P", "cores": 2, "memory_gb": 8, "system": "Linux 6"},
    "versions": {"Python": "3.11"},
    "peers": {"ours": {"trio-wss": "0.1"}},
    "rounds": 2,
    "seconds": 2,
}
CASE = Case(
    name="events",
    title="Events: ten",
    unit="event",
    units="events",
    columns=("cpu_us", "per_s"),
    absent={"ws": "it has none"},
)
OURS, WS, PICOWS = PEERS["ours"], PEERS["ws"], PEERS["picows"]


def a_run() -> Run:
    return Run(
        ABOUT,
        [
            Turn("events", "ours", 0, {"cpu_us": 12.0, "per_s": 40_000.0}),
            Turn("events", "ours", 1, {"cpu_us": 14.0, "per_s": 44_000.0}),
            Turn("events", "picows", 0, {"cpu_us": 50.0, "per_s": 9_000.0}),
            Turn("events", "picows", 1, failed="it fell over"),
        ],
    )


def test_a_file_holds_a_whole_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    results.save(a_run(), path)
    assert results.load(path) == a_run()
    assert json.loads(path.read_text())["about"]["commit"] == "abc"


def test_a_failed_turn_counts_for_nothing() -> None:
    assert a_run().figures("events", "picows")["cpu_us"] == Spread(50, 50, 50)
    assert a_run().figures("events", "ws") == {}


def test_a_case_shows_medians_spreads_failures_and_who_is_absent() -> None:
    assert list(report.details(a_run(), CASE, [OURS, WS, PICOWS])) == [
        "### Events: ten",
        "",
        "|  | CPU per event, µs | events/s |",
        "|---|---:|---:|",
        "| trio-wss | 13.0 (12.0\N{EN DASH}14.0) | 42,000 (40,000\N{EN DASH}44,000) |",
        "| Node: ws + ioredis | \N{EN DASH} | \N{EN DASH} |",
        "| picows + redis.asyncio | 50.0 | 9,000 |",
        "",
        "- Node: ws + ioredis: it has none.",
        "- picows + redis.asyncio: 1 of 2 turns failed: it fell over.",
        "",
    ]


def test_the_overview_marks_the_least_of_a_row() -> None:
    *_, row = report.overview(a_run(), [CASE], [OURS, WS, PICOWS])
    assert row == "| **Events: ten**: CPU per event, µs | **13.0** | \N{EN DASH} | 50.0 |"


def test_the_page_tells_where_and_with_what() -> None:
    text = report.markdown(a_run(), [CASE], list(PEERS.values()))
    assert "2 cores of P with 8 GB, Linux 6; 2 rounds of 2 s" in text
    assert "- trio-wss: trio-wss 0.1\n" in text
    assert "Socket.IO" not in text  # it was not among the peers of this run


def test_new_tables_take_the_place_of_the_old_ones() -> None:
    page = (Path(__file__).parents[2] / "docs/benchmarks.md").read_text()
    once = report.placed(page, "old")
    assert report.placed(once, "new") == once.replace("\nold\n", "\nnew\n")
    with pytest.raises(ValueError, match="no marks"):
        report.placed("# A page", "new")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.4567, "0.46"),
        (9.999, "10.0"),
        (12.34, "12.3"),
        (123.4, "123"),
        (45_678.9, "45,679"),
    ],
)
def test_a_number_has_the_digits_that_matter(value: float, shown: str) -> None:
    assert report.number(value) == shown


def test_every_case_has_a_name_of_its_own_and_tells_who_is_absent_and_why() -> None:
    cases = [case for _, case in conductor.all_cases()]
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert {*case.peers, *case.absent} == {*EVERYONE} == {*PEERS}, case.name
        assert not {*case.peers} & {*case.absent}, case.name
        assert {case.headline, *case.columns} <= {*report.COLUMNS}, case.name


def test_the_whole_comparison_takes_about_half_an_hour() -> None:
    plan = Plan(cases=conductor.all_cases(), peers=list(PEERS.values()), rounds=3, seconds=2)
    assert plan.estimate() < 33 * 60


def test_the_smallest_form_has_every_shape_and_every_peer() -> None:
    cases = conductor.all_cases()
    plan = conductor.smallest(Plan(cases=cases, peers=list(PEERS.values()), rounds=3, seconds=2))
    assert [shape for shape, _ in plan.cases] == list(dict.fromkeys(shape for shape, _ in cases))
    assert {peer for _, case in plan.cases for peer in case.peers} == {*PEERS}
