"""The comparison: `python -m benchmarks --shapes events,fanout --peers ours,ws --rounds 3`."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import conductor
from benchmarks.conductor import Plan
from benchmarks.rivals import Peer


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--shapes", type=_names, default=[], help="shapes or cases; all if none")
    parser.add_argument("--peers", type=_names, default=[], help="peers; all if none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--smoke", action="store_true", help="as small as can be; check, not judge")
    arguments = parser.parse_args()
    plan = Plan(
        cases=conductor.choose(conductor.all_cases(), arguments.shapes),
        peers=_those_here(conductor.known_peers(arguments.peers)),
        rounds=arguments.rounds,
        seconds=arguments.seconds,
    )
    if arguments.smoke:
        plan = conductor.smallest(plan)
    failed = 0
    for turn in conductor.run(plan):
        failed += turn.failed is not None
        shown = turn.failed or "  ".join(f"{k} {v:,.4g}" for k, v in turn.figures.items())
        print(f"{turn.round + 1} {turn.case:14} {turn.peer:11} {shown}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
