"""`python -m harness.faults`: a run, its verdict, its report. Exit code 1: something was found."""

from __future__ import annotations

import random
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import click
import trio

from harness.faults import report
from harness.faults.harm import FAULTS
from harness.faults.judge import SERIAL, Finding, Verdict, judge
from harness.faults.run import Plan, run
from tests.support.histories import Violation
from trio_wss.cli.signals import stopping
from trio_wss.store.embedded import find_server


def binary_of(engine: str) -> Path:
    """The server of an engine."""
    found = find_server() if engine == "valkey" else Path(shutil.which("redis-server") or "")
    if engine not in found.name:
        raise click.ClickException(f"there is no {engine}-server here")
    return found


def tell(plan: Plan, verdict: Verdict, folder: Path) -> int:
    """Print the verdict and write the report; returns the exit code."""
    report.write(plan, verdict, folder)
    click.echo(f"\njudged: the first {verdict.seconds:.0f} s")
    for finding in verdict.findings:
        click.secho(str(finding), fg=None if finding.holds else "red", bold=not finding.holds)
    click.echo(f"\nreport: {folder}/summary.md")
    if verdict.holds:
        return 0
    click.secho(f"\nFAILED with seed {plan.seed}. Run it again:", fg="red", bold=True)
    click.echo(f"    {report.how_to_repeat(plan)}")
    return 1


async def play(plan: Plan, folder: Path, binary: Path, early: bool) -> None:
    """Play a run. The first SIGINT or SIGTERM has it come to rest, a second one ends it at once."""
    async with stopping() as stop, trio.open_nursery() as nursery:

        async def tell_when_asked() -> None:
            await stop.asked.wait()
            click.echo("it shall end: it comes to rest, and is judged")

        nursery.start_soon(tell_when_asked)

        def spoilt() -> bool:
            return not look(folder).holds

        await run(plan, folder, binary, click.echo, stop.asked, spoilt if early else None)
        nursery.cancel_scope.cancel()


def leaves(error: BaseException) -> Iterator[BaseException]:
    """What went wrong, out of all groups: they are deeper than a traceback is printed."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


def look(folder: Path) -> Verdict:
    """Judge what is recorded in a folder."""
    try:
        return judge(folder)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{folder}: {error}") from None


@click.command()
@click.option("--seed", type=int, help="What happens when. [default: a random one]")
@click.option("--seconds", default=120.0, show_default=True, help="How long it lasts, about.")
@click.option("--engine", type=click.Choice(["valkey", "redis"]), default="valkey")
@click.option("--faults", default="", help="Only these, with commas between. [default: all]")
@click.option("--without", default="", help="None of these, nor of this kind, as in `loss`.")
@click.option("--folder", type=click.Path(path_type=Path), help="[default: reports/faults-SEED]")
@click.option("--early", is_flag=True, help="End at the first rest at which something is found.")
@click.option("--check", is_flag=True, help="Judge what is recorded in the folder once more.")
def main(
    seed: int | None, seconds: float, engine: str, faults: str, without: str,
    folder: Path | None, early: bool, check: bool,
) -> None:  # fmt: skip
    """Harm a cluster at random, and hold what its clients saw against what was promised."""
    seed = random.randrange(1_000_000) if seed is None else seed
    folder = folder or Path("reports", f"faults-{seed}")
    if check:
        sys.exit(tell(report.load_plan(folder), look(folder), folder))
    names = faults.split(",") if faults else list(FAULTS)
    if unknown := [name for name in names if name not in FAULTS]:
        raise click.ClickException(f"no such fault: {unknown}; there are {', '.join(FAULTS)}")
    banned = set(without.split(","))
    names = [name for name in names if not {name, FAULTS[name].kind} & banned]
    plan = Plan(seed, engine, seconds, tuple(names), round=8.0 if early else 15.0)
    about = max(seconds, plan.most)
    click.echo(
        f"seed {seed}, {engine}, {len(names)} kinds of faults, about {about:.0f} s, {folder}/"
    )
    try:
        trio.run(play, plan, folder, binary_of(engine), early)
    except BaseException as error:
        for cause in leaves(error):
            if isinstance(cause, Violation):
                click.echo(str(Finding(SERIAL, False, str(cause))))
                sys.exit(1)
            click.echo("".join(traceback.format_exception(cause)), err=True)
        click.secho(f"\nBROKE with seed {seed}: {report.how_to_repeat(plan)}", fg="red", err=True)
        raise
    sys.exit(tell(plan, look(folder), folder))


main()
