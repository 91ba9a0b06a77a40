"""trio_wss/cli/tables.py: a cluster as people see it at a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
import trio
from rich.console import Console, RenderableType
from trio.testing import MockClock

from tests.support.fakes import node_load
from trio_wss.cli.cluster import GONE, ClusterView
from trio_wss.cli.tables import (
    LATE,
    MAX_FAULTS,
    STALE,
    everything,
    faults,
    milliseconds,
    nodes_table,
    size,
    state,
    topics_table,
)


def shown(found: RenderableType) -> str:
    console = Console(width=140, file=io.StringIO())
    console.print(found)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_a_picture_has_a_line_of_all_and_a_row_for_each_node() -> None:
    found = ClusterView(note="no connection to x")
    found.hear(node_load(node="abcdefgh-rest", url="ws://127.0.0.1:8000", unready="no", rate=4.5))
    found.hear(
        node_load(
            node="b", url="ws://b:1", connections=1234, rate=6.0, cpu=0.25, outbox_most=2048,
            lag=2.0, commits={"p50": 1.0, "p99": 2.5}, delivery={"p50": None, "p99": None},
        )
    )  # fmt: skip
    head, *rest = shown(everything(found)).splitlines()
    assert head.split("   ") == [
        "1 of 2 nodes ready, 1,234 clients, 10.5 events/s",
        "no connection to x",
    ]
    rows = [" ".join(row.split()) for row in rest if row.strip()]
    assert "b b:1 ready 1,234 6.0 2.5 ms - 2.0 ms 25% 2 KiB" in rows
    assert any(row.startswith("abcdefgh 127.0.0.1:8000 no 0 4.5") for row in rows)


async def test_of_a_node_that_is_gone_there_are_no_numbers(autojump_clock: MockClock) -> None:
    found = ClusterView()
    found.hear(node_load(node="a", url="ws://a:1", connections=1234))
    await trio.sleep(GONE + 1)
    [row] = [row.split() for row in shown(nodes_table(found)).splitlines() if "a:1" in row]
    assert row == ["a", "a:1", "gone"]


@pytest.mark.parametrize(
    ("changes", "gone", "text", "colour"),
    [
        ({}, False, "ready", "green"),
        ({}, True, "gone", "red"),
        ({"unready": "Redis is away"}, True, "gone", "red"),
        ({"unready": "Redis is away", "silence": STALE + 1}, False, "Redis is away", "red"),
        ({"silence": STALE}, False, "ready", "green"),
        ({"silence": STALE + 1, "lag": LATE + 1}, False, "deaf", "red"),
        ({"lag": LATE + 1}, False, "late", "yellow"),
        ({"lag": LATE}, False, "ready", "green"),
    ],
)
def test_a_state_is_one_word_the_worst_first(
    changes: dict[str, Any], gone: bool, text: str, colour: str
) -> None:
    found = state(node_load(**changes), gone)
    assert (found.plain, found.style) == (text, colour)


async def test_only_so_many_topics_are_shown() -> None:
    found = ClusterView()
    topics = [{"topic": f"room {n}", "members": 1000, "rate": float(n)} for n in range(5)]
    found.hear(node_load(node="a", top_topics=topics))
    rows = [row.split() for row in shown(topics_table(found, 2)).splitlines() if "room" in row]
    assert rows == [["room", "4", "1,000", "4.0"], ["room", "3", "1,000", "3.0"]]


async def test_only_the_last_faults_are_shown() -> None:
    found = ClusterView()
    told = [{"time": float(n), "kind": "gap", "text": f"fault {n}."} for n in range(20)]
    found.hear(node_load(node="abcdefgh-rest", faults=told))
    text = shown(faults(found))
    assert text.count("fault") == MAX_FAULTS
    assert "abcdefgh gap fault 19." in " ".join(text.split())


async def test_what_others_wrote_is_no_markup() -> None:
    found = ClusterView()
    fault = {"time": 0.0, "kind": "[b]link[/b]", "text": "[red]gone[/red]"}
    topic = {"topic": "[u]room[/u]", "members": 1, "rate": 1.0}
    found.hear(node_load(node="a", unready="[i]no[/i]", faults=[fault], top_topics=[topic]))
    text = shown(everything(found))
    for word in ("[b]link[/b]", "[red]gone[/red]", "[u]room[/u]", "[i]no[/i]"):
        assert word in text


def test_numbers_as_people_read_them() -> None:
    assert [milliseconds(value) for value in (None, 1.25, 2500.0)] == ["-", "1.2 ms", "2.5 s"]
    assert [size(value) for value in (5, 2048, 3 << 20)] == ["5 B", "2 KiB", "3.0 MiB"]
