"""`python -m harness.swarm`, as `make swarm-test` calls it. Exit code 1: something was found."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import trio

from harness.faults.judge import judge
from harness.swarm import report
from harness.swarm.engine import DockerFailed
from harness.swarm.run import Plan, run

LOCAL = "unix:///var/run/docker.sock"


@click.command()
@click.option("--hosts", help="What DOCKER_HOST is for each host, with spaces between.")
@click.option("--docker-host", envvar="DOCKER_HOST", default=LOCAL, help="The one host, else.")
@click.option("--image", default="wss", show_default=True, help="The image of the Containerfile.")
@click.option(
    "--override",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A stack file on top of swarm.yml, in which each node has a port of its host.",
)
@click.option("--kill", default="", help="A shell command that kills the host at {address}.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("reports/swarm"))
def main(
    hosts: str | None, docker_host: str, image: str, override: Path | None, kill: str, folder: Path
) -> None:
    """Deploy swarm.yml, harm it while clients work on it, and hold what they saw against what was
    promised."""
    sockets = hosts.split() if hosts else [docker_host]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    try:
        acts = trio.run(run, Plan(sockets, image, override, kill), folder, click.echo)
    except DockerFailed as error:
        raise click.ClickException(str(error)) from None
    verdict = judge(folder)
    text = report.write(verdict, acts.done)
    (folder / "summary.md").write_text(text)
    click.echo(f"\n{text}\nreport: {folder}/summary.md")
    if not kill:
        click.echo("Not shown: a host killed. Name its command in SWARM_KILL.")
    sys.exit(0 if verdict.holds and report.spread(verdict.history, acts.done[0].ended) > 1 else 1)


main()
