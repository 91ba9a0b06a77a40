"""Runs cases against peers, round by round: in a round every peer has its turn at every case, so
that what disturbs the machine for a while disturbs all alike. Each turn has servers of its own, an
empty Redis and a load of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from attrs import evolve, frozen

from benchmarks import processes
from benchmarks.case import Case
from benchmarks.cases import CASES
from benchmarks.figures import Figures
from benchmarks.results import Turn
from benchmarks.rivals import ENVIRONMENT, PEERS, Peer

SLACK: Final = 120.0  # seconds that a load may take beyond its time
USUAL: Final = 1.8  # seconds of a turn beside its time to measure


@frozen(kw_only=True)
class Plan:
    """What to run."""

    cases: Sequence[tuple[str, Case]]
    """The name of the shape's module, and the case."""
    peers: Sequence[Peer]
    rounds: int
    seconds: float
    warm: float = 0.5
    smoke: bool = False

    def turns(self, case: Case) -> int:
        """How often each peer has its turn at a case."""
        return min(self.rounds, case.rounds or self.rounds)

    def time_of(self, case: Case) -> float:
        """Seconds to measure in one turn at a case."""
        return self.seconds if self.smoke else (case.seconds or self.seconds)

    def estimate(self) -> float:
        """About how many seconds all turns take."""
        return sum(
            self.turns(case)
            * (self.time_of(case) + self.warm + USUAL + (0 if self.smoke else case.extra))
            for _, case in self.cases
            for peer in self.peers
            if peer.name in case.peers
        )


def all_cases() -> list[tuple[str, Case]]:
    """Every case, with the name of its shape's module, in the order of the report."""
    return [(shape, case) for shape, cases in CASES.items() for case in cases]


def choose(cases: Iterable[tuple[str, Case]], names: Sequence[str]) -> list[tuple[str, Case]]:
    """The cases of the shapes, or the cases themselves, that `names` name; none: all."""
    return [pair for pair in cases if not names or pair[0] in names or pair[1].name in names]


def run(plan: Plan) -> Iterator[Turn]:
    """Take all turns; yields each as it ends."""
    processes.allow_many_files()
    with processes.redis() as (url, redis):
        for number in range(plan.rounds):
            for shape, case in plan.cases:
                if number >= plan.turns(case):
                    continue
                # Not always the same one first.
                shift = number % max(1, len(plan.peers))
                for peer in (*plan.peers[shift:], *plan.peers[:shift]):
                    if peer.name in case.peers:
                        began = time.monotonic()
                        figures, failed = _take_turn(plan, shape, case, peer, url, redis)
                        took = time.monotonic() - began
                        yield Turn(case.name, peer.name, number, figures, failed, took)


def _take_turn(
    plan: Plan, shape: str, case: Case, peer: Peer, url: str, redis: int
) -> tuple[Figures, str | None]:
    """The figures, and what failed: a peer that fails must not end the others' run."""
    processes.empty(url)
    try:
        with processes.servers((*peer.command, url), case.nodes, ENVIRONMENT) as (ports, pids):
            seconds = plan.time_of(case)
            task = {
                "shape": shape,
                "options": {**case.options, **(case.smoke if plan.smoke else {})},
                "load": {
                    "dialect_name": peer.dialect,
                    "ports": ports,
                    "pids": pids,
                    "redis": redis,
                    "redis_port": processes.port_of(url),
                    "count": peer.count,
                    "seconds": seconds,
                    "warm": plan.warm,
                    "thorough": plan.smoke,
                },
            }
            with processes.on_core(processes.LOAD):
                load = subprocess.run(
                    [sys.executable, "-m", "benchmarks.load_process", json.dumps(task)],
                    stdout=subprocess.PIPE,
                    cwd=processes.ROOT,
                    timeout=seconds + plan.warm + SLACK,
                    check=False,
                )
    except subprocess.TimeoutExpired:
        return {}, "the load did not end"
    except RuntimeError as error:
        return {}, str(error)
    if load.returncode:
        return {}, f"the load ended with {load.returncode}"
    figures = json.loads(load.stdout)
    failed = figures.pop("failed", None)
    return figures, failed


def known_peers(names: Sequence[str]) -> list[Peer]:
    """The peers of these names; none: all. Raises KeyError for one that is not known."""
    return [PEERS[name] for name in names] if names else list(PEERS.values())


def smallest(plan: Plan) -> Plan:
    """Every shape for us, and every other peer at the first of them alone."""
    first = plan.cases[0][1].name
    chosen = [pair for n, pair in enumerate(plan.cases) if pair[0] not in dict(plan.cases[:n])]
    cases = [
        (shape, case if case.name == first else evolve(case, peers=("ours",)))
        for shape, case in chosen
    ]
    return evolve(plan, cases=cases, rounds=1, seconds=0.5, warm=0.1, smoke=True)
