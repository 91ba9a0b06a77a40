"""The benchmark's arithmetic and its dialects; `make bench-smoke` runs it as a whole."""

import ast
import gc
import importlib.util
import math
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

import benchmarks.peers.collector
import trio_wss.cli.single
from benchmarks import conductor, processes
from benchmarks.conductor import Plan
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
        if "-m" in peer.command:
            spec = importlib.util.find_spec(peer.command[-1])
            assert spec is not None
            assert spec.origin is not None
            tree = ast.parse(Path(spec.origin).read_text())
            calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
            assert "calm_collector" in {one.id for one in calls if isinstance(one, ast.Name)}


def server(code: str) -> tuple[str, ...]:
    """The command of one in Python."""
    return (sys.executable, "-c", f"import sys, time\n{code}\ntime.sleep(60)")


def test_servers_tell_their_ports() -> None:
    command = server("print(12, end='', flush=True); time.sleep(0.05); print(34, flush=True)")
    with processes.servers(command, 2, {}) as (ports, pids):
        assert ports == [1234, 1234]
        assert len({*pids}) == 2


@pytest.mark.parametrize("code", ["sys.exit()", "print('no', flush=True)"])
def test_a_server_that_does_not_start_is_told(code: str) -> None:
    with (
        pytest.raises(RuntimeError, match=r"did not start: b'(no.*)?'$"),
        processes.servers(server(code), 2, {}),
    ):
        raise AssertionError("it has started")


@pytest.mark.parametrize("code", ["", "print(12, end='', flush=True)"])
def test_a_server_that_does_not_start_is_not_waited_for(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "START", 0.3)
    with (
        pytest.raises(RuntimeError, match=r"did not start in 0\.3 s"),
        processes.servers(server(code), 2, {}),
    ):
        raise AssertionError("it has started")


def test_a_peer_that_the_system_cannot_start_costs_only_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conductor, "_load", lambda task: ({"cpu_us": 1.0}, None))
    broken = evolve(PEERS["ws"], command=("/no/such/program",))
    sound = evolve(PEERS["ours"], command=server("print(1, flush=True)"))
    cases = conductor.choose(conductor.all_cases(), ["events"])
    plan = Plan(cases=cases, peers=[broken, sound], rounds=1, seconds=0.1)
    first, second = conductor.run(plan)
    assert first.peer == "ws"
    assert first.failed
    assert "/no/such/program" in first.failed
    assert (second.peer, second.failed, second.figures) == ("ours", None, {"cpu_us": 1.0})


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
