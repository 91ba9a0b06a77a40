"""trio_wss/demo/cluster.py: who may report, and that the last node is not killed."""

import subprocess
import sys

import pytest

from trio_wss import Client, Identity, Refused, Request
from trio_wss.demo import cluster
from trio_wss.testing import Map, play

# `app` would be the demo's own, which these handlers must not reach in other tests.
PROGRAM = """
from trio_wss.demo import app
assert "kill" not in app.handlers
"""


def test_the_plain_demo_kills_nothing() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)


def test_only_the_starter_has_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def who(key: str) -> Identity | None:
        return cluster.who(Request("/", headers={"authorization": key}))

    assert who("") is None
    monkeypatch.setenv(cluster.KEY_VARIABLE, "sesame")
    assert who("other") is None
    assert who("é") is None
    assert cluster.who(Request("/")) is None
    assert cluster.who(Request("/", query={"key": "sesame"})) is None
    assert who("sesame") == Identity(cluster.STARTER)


def test_only_the_starter_reports() -> None:
    event = cluster.Report("A", True)
    with pytest.raises(Refused, match="Only the process"):
        cluster.report(event, Client("s1"))
    assert cluster.report(event, Client("s1", cluster.STARTER))


def test_a_node_is_killed_by_a_broadcast() -> None:
    outcome = play(cluster.app, "kill", {"node": "A"}, {"cluster": Map({"A": True, "B": True})})
    [told] = outcome.broadcasts
    assert (told.topic, told.event, told.data) == ("cluster", "kill", {"node": "A", "by": "s1"})
    assert outcome.state["cluster"] == Map({"A": False, "B": True})


@pytest.mark.parametrize(("node", "code"), [("A", "last_one"), ("B", "not_up"), ("C", "not_up")])
def test_some_node_stays_up(node: str, code: str) -> None:
    outcome = play(cluster.app, "kill", {"node": node}, {"cluster": Map({"A": True, "B": False})})
    assert outcome.error is not None
    assert outcome.error.code == code


def test_a_page_learns_the_nodes_and_joins_them() -> None:
    outcome = play(cluster.app, "cluster", None, {"cluster": Map({"A": True})})
    assert outcome.reply is not None
    assert outcome.reply.data == {"here": "", "nodes": {"A": True}}
    assert list(outcome.joined) == ["cluster"]
