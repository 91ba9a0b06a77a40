"""`trio-wss run`: the options, each a flag that goes before the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import trio

from trio_wss.cli import log
from trio_wss.cli.redis_url import find_redis_url, redis_file
from trio_wss.cli.typed import as_typed, parse_settings
from trio_wss.settings import Settings

_DEFAULTS = Settings()


@click.command()
@click.argument("app", required=False, metavar="[MODULE:APP]")
@click.option("--host", default=_DEFAULTS.host, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=int,
    default=_DEFAULTS.port,
    envvar="SERVER_PORT",
    show_envvar=True,
    help="Port to listen on; 0, the default, takes a free one and prints it.",
)
@click.option(
    "--ops-port",
    type=int,
    help="Port for metrics, health and the page of the cluster; 0 takes a free one and prints it.",
)
@click.option(
    "--ops-host",
    default=_DEFAULTS.ops_host,
    show_default=True,
    help="Address of that port. It asks nobody who they are.",
)
@click.option(
    "--redis",
    metavar="URL",
    envvar="REDIS_SERVER",
    show_envvar=True,
    help="redis://, rediss://, unix:// or redis+sentinel:// URL; without one a private server is"
    " started.",
)
@redis_file
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the private server keeps its data; without it the data is temporary.",
)
@click.option(
    "--namespace",
    default=_DEFAULTS.namespace,
    show_default=True,
    help="What all keys in Redis begin with: nodes of one namespace are one cluster.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="An Origin browsers may come from, beside the node's own host. May be repeated.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Node processes on the one port; each is restarted when it dies.",
)
@click.option("--reload", is_flag=True, help="Restart the node when a file of the app is edited.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the log on stderr looks.",
)
@click.option(
    "--drain",
    type=float,
    default=_DEFAULTS.drain,
    show_default=True,
    help="Seconds to finish what is in flight after SIGTERM.",
)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other setting of a node, such as rate=0 or grace=60. May be repeated.",
)
@click.option("--channel", type=int, hidden=True, help="The parent's end, for a child of ours.")
@as_typed()
def run(app: str | None, channel: int | None, **options: Any) -> int:
    """Start a node: MODULE:APP, else `app` in ./app.py, else the demo.

    APP may be dotted, or a function without arguments that makes the App.
    """
    # Here, not above: `connect` and `--help` start twice as fast without Redis's client library.
    from trio_wss.cli import apps
    from trio_wss.cli.launch import Launch
    from trio_wss.cli.parent import run_children
    from trio_wss.cli.single import run_node

    launch = Launch(
        target=apps.find(app),
        settings=Settings(
            host=options["host"],
            port=options["port"],
            ops_host=options["ops_host"],
            ops_port=options["ops_port"],
            redis=find_redis_url(),
            namespace=options["namespace"],
            origins=options["origins"],
            drain=options["drain"],
            **parse_settings(options["pairs"]),
        ),
        data=options["data"],
        workers=options["workers"],
        reload=options["reload"],
        log_format=options["log_format"],
        channel=channel,
    )
    launch.check()
    log.configure(launch.log_format)
    if launch.workers > 1 or launch.reload:
        return trio.run(run_children, launch)
    return trio.run(run_node, launch, apps.load(launch.target))
