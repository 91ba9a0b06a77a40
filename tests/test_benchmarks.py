"""The benchmark's arithmetic and its dialects; `make bench-smoke` runs it as a whole."""

import ast
import gc
import math
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import benchmarks.peers.collector
import trio_wss.cli.single
from benchmarks import processes
from benchmarks.dialects import DIALECTS, NUMBER
from benchmarks.figures import Spread, latencies, percentile, spreads
from benchmarks.rivals import PEERS


def test_a_percentile_is_the_nearest_rank() -> None:
    values = [float(n) for n in range(1, 1001)]
    assert percentile(values, 0.5) == 500
    assert percentile(values, 0.99) == 990
    assert percentile(values, 0.999) == 999
    assert percentile([7.0], 0.999) == 7
    assert math.isnan(percentile([], 0.5))


def test_latencies_are_in_milliseconds() -> None:
    assert latencies([0.002, 0.001, 0.003], "reply_") == {
        "reply_p50_ms": 2.0,
        "reply_p99_ms": 3.0,
        "reply_p999_ms": 3.0,
    }


def test_a_spread_is_over_the_rounds_that_all_have_the_figure() -> None:
    rounds = [{"cpu_us": 3.0, "x": 1.0}, {"cpu_us": 1.0}, {"cpu_us": 2.0}]
    assert spreads(rounds) == {"cpu_us": Spread(2.0, 1.0, 3.0)}


def test_the_values_of_keys_are_read_and_emptied() -> None:
    with processes.redis() as (url, _):
        port = processes.port_of(url)
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(b"MSET a 12 c x\r\n")
            assert connection.recv(100) == b"+OK\r\n"
        assert processes.values(port, ["a", "b", "c"]) == [b"12", None, b"x"]
        processes.empty(url)
        assert processes.values(port, ["a"]) == [None]


def test_every_peer_in_python_has_the_collector_that_ours_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def effect(calm: Callable[[], None]) -> list[object]:
        done: list[object] = []
        monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
        monkeypatch.setattr(gc, "set_threshold", lambda *numbers: done.append(numbers))
        calm()
        return done

    theirs = effect(benchmarks.peers.collector.calm_collector)
    assert theirs == effect(trio_wss.cli.single.calm_collector) != []
    for peer in PEERS.values():
        path = Path(peer.command[-1])
        if path.suffix == ".py":
            calls = [
                n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)
            ]
            assert "calm_collector" in {one.id for one in calls if isinstance(one, ast.Name)}, path


@pytest.mark.parametrize(
    ("dialect", "answer"),
    [
        ("plain", b'{"event":"ok","re":42,"data":{"n":7}}'),
        ("trio-wss", b'{"event":"ok","re":42,"data":{"n":7}}'),
        ("socket.io", b'4342[{"n":7}]'),
    ],
)
def test_an_answer_tells_its_event_and_the_number(dialect: str, answer: bytes) -> None:
    speech = DIALECTS[dialect]
    assert answer.startswith(speech.ok)
    assert speech.answered(answer) == 42
    found = NUMBER.search(answer)
    assert found is not None
    assert int(found[1]) == 7
