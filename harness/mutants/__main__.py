"""`python -m harness.mutants`: each bug, one at a time, and whether the faults find it. Exit code
1: too many were not found.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
from attrs import frozen

from harness.mutants.mutant import Mutant
from harness.mutants.table import ENOUGH, MUTANTS

LONGEST: Final = 3.0  # times the seconds of a run, and a minute, until it hangs


@frozen
class Found:
    """What came of one run."""

    seed: int
    seconds: float
    check: str  # empty: nothing was found


def run(mutant: Mutant, seed: int, seconds: float) -> Found:
    """One run of the faults on a copy with the bug in it, up to the first finding."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wss-") as folder:
        mutant.plant(Path(folder))
        command = [
            sys.executable, "-m", "harness.faults", "--early", "--seed", str(seed),
            "--seconds", f"{seconds:g}", "--engine", mutant.engine,
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False,
                timeout=seconds * LONGEST + 60,
            )  # fmt: skip
            check = _reason(done.stdout, done.stderr, done.returncode)
        except subprocess.TimeoutExpired:
            check = "the run hung"
    return Found(seed, time.monotonic() - began, check)


def _reason(said: str, errors: str, code: int) -> str:
    if found := re.findall(r"^FAIL  (.*)$", said, re.MULTILINE):
        return str(found[0])
    if code:
        last = [line.strip(" |+-") for line in errors.splitlines() if line.strip(" |+-")]
        return f"the run broke: {next((line for line in reversed(last) if 'Error' in line), '')}"
    return ""


@click.command()
@click.option("--only", default="", help="These, with commas between. [default: all]")
@click.option("--seconds", default=90.0, show_default=True, help="Of each run, at most.")
@click.option("--seeds", default="1,2", show_default=True, help="One run each, until it is found.")
def main(only: str, seconds: float, seeds: str) -> None:
    """Plant bugs, one at a time, and see whether the faults find them."""
    names = only.split(",") if only else list(MUTANTS)
    if unknown := [name for name in names if name not in MUTANTS]:
        raise click.ClickException(f"no such mutant: {unknown}")
    caught, survivors = 0, list[str]()
    click.echo("| mutant | seed | seconds | caught by |\n|---|---|---|---|")
    for name in names:
        mutant = MUTANTS[name]
        for seed in map(int, seeds.split(",")):
            try:
                found = run(mutant, seed, seconds)
            except ValueError as error:
                raise click.ClickException(f"{name}: {error}") from None
            if found.check:
                break
        caught += bool(found.check)
        if not found.check and not mutant.same:
            survivors.append(name)
        told = found.check[:160] or (f"nothing: {mutant.same}" if mutant.same else "**nothing**")
        click.echo(f"| `{name}` | {found.seed} | {found.seconds:.0f} | {told} |")
    share = 1 - len(survivors) / len(names)
    click.echo(
        f"\n{caught} of {len(names)} were caught; survivors: {', '.join(survivors) or 'none'}"
    )
    sys.exit(share < ENOUGH)


main()
