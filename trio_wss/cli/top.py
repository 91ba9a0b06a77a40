"""`trio-wss top` and `trio-wss topics` show the cluster in a terminal, and as JSON for programs."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import orjson
import trio

from trio_wss.errors import SettingsError

if TYPE_CHECKING:
    from trio_wss.cli.cluster import ClusterView

REDRAW_PAUSE: Final = 1.0  # seconds between two pictures, and two tries


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--once", is_flag=True, help="Print what the nodes say now, as one JSON object.")
def top(urls: tuple[str, ...], once: bool) -> int:
    """Show the cluster live, as seen from the operations listener of any node.

    `trio-wss run --ops-port` prints the URL. When that node goes away, the next URL is tried, or
    the same one again. Ctrl-C ends it; in a pipe it prints one JSON object, as with --once.
    """
    if once or not sys.stdout.isatty():
        trio.run(_print_once, urls[0])
    else:
        trio.run(_show, urls)
    return 0


@click.command()
@click.argument("url", metavar="URL")
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, help="Rows.")
def topics(url: str, most: int) -> int:
    """List the busiest and largest topics of the cluster.

    Each node names 20. In a pipe: one JSON object a line.
    """
    return trio.run(_print_topics, url, most)


# Here and below, not above: `--help` and `connect` start faster without these libraries.


async def _print_once(url: str) -> None:
    from trio_wss.cli.cluster import view_of

    cluster = await view_of(url)
    _print_json({"nodes": cluster.here()})


async def _print_topics(url: str, most: int) -> int:
    from rich.console import Console

    from trio_wss.cli.cluster import view_of
    from trio_wss.cli.tables import topics_table

    cluster = await view_of(url)
    if sys.stdout.isatty():
        Console().print(topics_table(cluster, most))
    else:
        for topic, members, rate in cluster.topics()[:most]:
            _print_json({"topic": topic, "members": members, "rate": rate})
    if all(load["link_up"] for load in cluster.here()):
        return 0
    click.echo(
        f"trio-wss: Redis is away: these are not all topics, see trio-wss top {url}", err=True
    )
    return 1


async def _show(urls: Sequence[str]) -> None:
    """Show the cluster until Ctrl-C. Raises SettingsError if the first URL does not answer."""
    from rich.live import Live

    from trio_wss.cli.cluster import ClusterView, check, first_word, watching
    from trio_wss.cli.tables import everything

    cluster = ClusterView()
    async with watching(urls[0]) as socket:
        await first_word(socket, cluster)
    check(urls[0], cluster)
    with Live(screen=True, auto_refresh=False) as live:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_follow, urls, cluster)
            while True:
                live.update(everything(cluster), refresh=True)
                await trio.sleep(REDRAW_PAUSE)


async def _follow(urls: Sequence[str], cluster: ClusterView) -> None:
    """Hear the nodes at one URL after the other, for ever."""
    from trio_wss.cli.cluster import PUBLIC, hear, watching

    for url in itertools.cycle(urls):
        try:
            async with watching(url) as socket:
                cluster.note = ""
                await hear(socket, cluster)
        except SettingsError:
            pass
        cluster.note = f"no connection to {url}"
        if cluster.public:
            cluster.note, cluster.public = f"{url} {PUBLIC}", False
        await trio.sleep(REDRAW_PAUSE)


def _print_json(value: Any) -> None:
    print(orjson.dumps(value).decode(), flush=True)
