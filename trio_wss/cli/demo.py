"""`trio-wss demo`: the demo on several nodes behind one port, and a page that can kill them."""

from __future__ import annotations

from typing import Any

import click
import trio

from trio_wss.cli import log
from trio_wss.cli.typed import as_typed
from trio_wss.settings import Settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=int, default=0, help="Port to listen on; 0, the default, takes a free one."
)
@click.option("--redis", metavar="URL", help="A Redis; without one a private server is started.")
@click.option(
    "--nodes",
    type=click.IntRange(2, 26),
    default=3,
    show_default=True,
    help="Node processes on the one port.",
)
@as_typed()
def demo(nodes: int, **options: Any) -> int:
    """Start the demo on several nodes. Its page, at the printed address, can kill them."""
    # Here, not above: `connect` and `--help` start twice as fast without Redis's client library.
    from trio_wss.cli.demo_nodes import APP, run_nodes
    from trio_wss.cli.launch import Launch

    launch = Launch(APP, Settings(drain=2.0, **options))
    launch.check()
    log.configure(launch.log_format)
    return trio.run(run_nodes, launch, nodes)
