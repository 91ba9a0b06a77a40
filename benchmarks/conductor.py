"""Runs cases against peers, round by round: in a round every peer has its turn at every case, so
that what disturbs the machine for a while disturbs all alike. Each turn has servers of its own, an
empty Redis and a load of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from attrs import evolve, frozen

from benchmarks import processes
from benchmarks.case import Case
from benchmarks.cases import CASES
from benchmarks.figures import Figures
from benchmarks.results import Turn
from benchmarks.rivals import ENVIRONMENT, PEERS, Peer

SLACK: Final = 120.0  # seconds that a load may take beyond its time
WARM: Final = 2.0  # seconds of a turn before it is measured: caches fill, compilers do their work
AT_ONCE: Final = 4  # turns, where nothing is measured
USUAL: Final = 1.8  # seconds of a turn beside its time to measure


@frozen(kw_only=True)
class Plan:
    """What to run."""

    cases: Sequence[tuple[str, Case]]
    """The name of the shape's module, and the case."""
    peers: Sequence[Peer]
    rounds: int
    seconds: float
    warm: float = WARM
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
                        turn = _take_turn(plan, shape, case, peer, url, redis)
                        yield evolve(turn, round=number)


def check(plan: Plan) -> Iterator[Turn]:
    """Take all turns once, some at the same time: to see that they work, not to measure."""

    def take(pair: tuple[str, Case], peer: Peer) -> Turn:
        with processes.redis() as (url, redis):
            return _take_turn(plan, *pair, peer, url, redis)

    processes.allow_many_files()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        turns = [
            pool.submit(take, pair, peer)
            for pair in plan.cases
            for peer in plan.peers
            if peer.name in pair[1].peers
        ]
        for turn in turns:
            yield turn.result()


def _take_turn(plan: Plan, shape: str, case: Case, peer: Peer, url: str, redis: int) -> Turn:
    """One turn; if a peer fails, it must not end the run of the others."""
    began = time.monotonic()
    figures: Figures = {}
    try:
        processes.empty(url)
        with processes.servers((*peer.command, url), case.nodes, ENVIRONMENT) as (ports, pids):
            load = {
                "dialect_name": peer.dialect,
                "ports": ports,
                "pids": pids,
                "redis": redis,
                "redis_port": processes.port_of(url),
                "count": peer.count,
                "seconds": plan.time_of(case),
                "warm": plan.warm,
                "thorough": plan.smoke,
            }
            options = {**case.options, **(case.smoke if plan.smoke else {})}
            figures, failed = _load({"shape": shape, "options": options, "load": load})
    except (RuntimeError, OSError) as error:
        failed = str(error)
    return Turn(case.name, peer.name, 0, figures, failed, time.monotonic() - began)


def _load(task: Mapping[str, Any]) -> tuple[Figures, str | None]:
    """Run the load; returns its figures, and what failed."""
    with processes.on_core(processes.LOAD):
        command = [sys.executable, "-m", "benchmarks.load_process", json.dumps(task)]
        timeout = task["load"]["seconds"] + task["load"]["warm"] + SLACK
        try:
            load = subprocess.run(
                command, stdout=subprocess.PIPE, cwd=processes.ROOT, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            return {}, "the load did not end"
    if load.returncode:
        return {}, f"the load ended with {load.returncode}"
    figures = json.loads(load.stdout)
    return figures, figures.pop("failed", None)


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
    return evolve(plan, cases=cases, rounds=1, seconds=0.3, warm=0.1, smoke=True)
