"""The comparison: `python -m benchmarks --shapes events,fanout --peers ours,ws --rounds 3`. Ends
with the tables; `--report FILE` makes them once more of a run's JSON, and `--into docs` writes
them, with pictures, where they are read.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from attrs import evolve

from benchmarks import conductor, report, results, surroundings
from benchmarks.conductor import Plan
from benchmarks.processes import ROOT
from benchmarks.results import Run, Turn
from benchmarks.rivals import PEERS, Peer

KEPT: Final = ROOT / ".cache" / "bench" / "results"


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


def _those_here(peers: list[Peer]) -> list[Peer]:
    """The peers that this machine can run; in CI it must be able to run all."""
    here = []
    for peer in peers:
        if (lack := peer.missing()) is None:
            here.append(peer)
        elif "CI" in os.environ:
            sys.exit(f"{peer.title}: {lack}")
        else:
            print(f"without {peer.title}: {lack}", file=sys.stderr)
    return here


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--shapes", type=_names, default=[], help="shapes or cases; all if none")
    parser.add_argument("--peers", type=_names, default=[], help="peers; all if none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="how long a turn measures")
    parser.add_argument("--smoke", action="store_true", help="as small as can be; check, not judge")
    parser.add_argument("--report", type=Path, metavar="FILE", help="run nothing; show this run")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="write tables and pictures")
    return parser.parse_args()


def _show(turn: Turn) -> None:
    shown = turn.failed or "  ".join(f"{k} {v:,.4g}" for k, v in turn.figures.items())
    print(f"{turn.round + 1} {turn.case:14} {turn.peer:11} {shown}", flush=True)


def _take(plan: Plan) -> Run:
    """Take all turns; what there is so far is kept in a file after each."""
    run = Run({**surroundings.describe(plan.peers), "rounds": plan.rounds, "seconds": plan.seconds})
    path = KEPT / f"{time.strftime('%Y-%m-%d-%H%M%S', time.gmtime())}.json"
    print(f"about {plan.estimate() / 60:.0f} minutes; results go to {path}", flush=True)
    turns: list[Turn] = []
    for turn in conductor.run(plan):
        _show(turn)
        turns.append(turn)
        run = evolve(run, turns=turns)
        results.save(run, path)
    return run


def _finish(run: Run, folder: Path | None) -> None:
    cases = [case for _, case in conductor.all_cases()]
    print()
    print(report.markdown(run, cases, list(PEERS.values())))
    if folder is not None:
        from benchmarks.publish import publish  # a smoke test needs no matplotlib

        print(f"written to {publish(run, cases, folder)}")


def main() -> None:
    arguments = _arguments()
    # So that the servers are ended, too, where the run is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments.report:
        _finish(results.load(arguments.report), arguments.into)
        return
    plan = Plan(
        cases=conductor.choose(conductor.all_cases(), arguments.shapes),
        peers=_those_here(conductor.known_peers(arguments.peers)),
        rounds=arguments.rounds,
        seconds=arguments.seconds,
    )
    if arguments.smoke:
        turns = []
        for turn in conductor.check(conductor.smallest(plan)):
            _show(turn)
            turns.append(turn)
    else:
        run = _take(plan)
        turns = list(run.turns)
        _finish(run, arguments.into)
    sys.exit(1 if any(turn.failed for turn in turns) else 0)


if __name__ == "__main__":
    main()
