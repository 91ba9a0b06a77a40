"""trio_wss/ops/metrics.py: a node's numbers as Prometheus reads them, and as the docs name them."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.fakes import node_snapshot
from trio_wss.ops.metrics import Metrics
from trio_wss.ops.statistics import BOUNDS, Durations

DOCS = Path(__file__).parents[2] / "docs"
EVENTS = (("say", "ok", 3), ("say", "conflict", 2), ("unknown", "unknown_event", 1))


def page(**changes: Any) -> dict[tuple[str, str], float]:
    """Every sample of a node that is so, by its name and its labels' values."""
    text = Metrics(lambda: node_snapshot(**changes)).page().decode()
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"unready": ""}, "ready", 1),
        ({"unready": "Redis is away"}, "ready", 0),
        ({"link_up": True}, "link_up", 1),
        ({"link_up": False}, "link_up", 0),
        ({"connections": 3}, "connections", 3),
        ({"sockets": 4}, "sockets", 4),
        ({"topics": 5}, "topics", 5),
        ({"unanswered": 6}, "link_unanswered", 6),
        ({"silence": 0.5}, "silence_seconds", 0.5),
        ({"outbox_bytes": 7}, "outbox_bytes", 7),
        ({"outbox_most": 8}, "outbox_bytes_most", 8),
        ({"broadcasts": 9}, "broadcasts_total", 9),
        ({"deliveries": 10}, "deliveries_total", 10),
        ({"events": EVENTS}, "conflicts_total", 2),
        ({"reruns": 11}, "reruns_total", 11),
        ({"slow_consumers": 12}, "slow_consumers_total", 12),
        ({"gaps": 13}, "gaps_total", 13),
        ({"link_losses": 14}, "link_losses_total", 14),
    ],
)
def test_each_number_has_its_metric(changes: dict[str, Any], name: str, value: float) -> None:
    assert page(**changes)[f"trio_wss_{name}", ""] == value


def test_events_and_recoveries_are_told_apart_by_labels() -> None:
    found = page(events=EVENTS, recovered=5, broken=6)
    for event, outcome, number in EVENTS:
        assert found["trio_wss_events_total", f"{event} {outcome}"] == number
    assert found["trio_wss_recoveries_total", "complete"] == 5
    assert found["trio_wss_recoveries_total", "broken"] == 6


@pytest.mark.parametrize(
    ("name", "field"), [("commit", "commits"), ("delivery", "delivery"), ("loop_lag", "lag")]
)
def test_times_are_a_histogram_whose_buckets_add_up(name: str, field: str) -> None:
    counts = (2, 1, *(0,) * (len(BOUNDS) - 2), 4)
    found = page(**{field: Durations(counts, 21.5)})
    buckets = [found[f"trio_wss_{name}_seconds_bucket", str(bound)] for bound in BOUNDS]
    assert buckets == [2, *[3] * (len(BOUNDS) - 1)]
    assert found[f"trio_wss_{name}_seconds_bucket", "+Inf"] == 7
    assert found[f"trio_wss_{name}_seconds_count", ""] == 7
    assert found[f"trio_wss_{name}_seconds_sum", ""] == 21.5


def test_the_node_says_which_it_is_and_what_its_process_uses() -> None:
    found = page(node="n1", url="ws://a")
    assert found["trio_wss_node_info", f"n1 ws://a {version('trio-wss')}"] == 1
    assert ("process_cpu_seconds_total", "") in found
    assert ("python_gc_collections_total", "0") in found


def test_a_page_is_made_when_somebody_asks() -> None:
    moments = iter([node_snapshot(gaps=1), node_snapshot(gaps=2)])
    metrics = Metrics(lambda: next(moments))
    for gaps in (1, 2):
        assert f"trio_wss_gaps_total {gaps}.0" in metrics.page().decode()


def test_what_the_docs_name_is_there_and_what_is_there_is_named() -> None:
    found = {name for name, _ in page(events=EVENTS)}
    for file in ("alerts.yml", "grafana.json"):
        named = set(re.findall(r"trio_wss_\w+", (DOCS / file).read_text()))
        assert named <= found, file
    table = (DOCS / "operations.md").read_text().partition("## Metrics")[2]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    told = {f"trio_wss_{name}" for row in rows for name in re.findall(r"`(\w+)", row)}
    ours = {re.sub(r"_(bucket|sum|count|created)$", "", one) for one in found}
    ours = {one for one in ours if one.startswith("trio_wss_")}
    assert ours <= told, ours - told


def test_the_alerts_are_rules_and_the_dashboard_is_one() -> None:
    [group] = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]:
        assert {"alert", "expr", "labels", "annotations"} <= set(rule)
        assert rule["labels"]["severity"] in ("warning", "critical")
    panels = json.loads((DOCS / "grafana.json").read_text())["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
