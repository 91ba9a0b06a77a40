"""`trio-wss emit`: one broadcast from a script, by the same commit as a node's."""

from __future__ import annotations

from typing import Any

import click
import orjson
import trio

from trio_wss.app import MOST_HISTORY
from trio_wss.cli.redis_url import find_redis_url, redis_file
from trio_wss.cli.typed import as_typed
from trio_wss.effects import Broadcast
from trio_wss.errors import SettingsError, WssError
from trio_wss.settings import Settings

NOT_KNOWN = 1
"""The exit code if Redis did not answer: the outcome is not known."""


@click.command()
@click.argument("topic")
@click.argument("event")
@click.argument("json", required=False)
@click.option(
    "--redis",
    metavar="URL",
    envvar="REDIS_SERVER",
    show_envvar=True,
    help="The Redis of the nodes.",
)
@redis_file
@click.option(
    "--namespace", default=Settings().namespace, show_default=True, help="That of the nodes."
)
@click.option("--volatile", is_flag=True, help="Without a place in the topic's history.")
@click.option(
    "--history",
    type=click.IntRange(0, MOST_HISTORY),
    default=128,
    show_default=True,
    help="Broadcasts that the topic keeps: as the app says.",
)
@click.option(
    "--ttl",
    type=click.FloatRange(0.001),
    default=300.0,
    show_default=True,
    help="Seconds that it keeps them: as the app says.",
)
@as_typed()
def emit(topic: str, event: str, json: str | None, namespace: str, **options: Any) -> int:
    """Broadcast EVENT with the data JSON to everyone in TOPIC, on every node.

    As in: trio-wss emit room:lobby said '{"text":"hi"}'. Exit code 1: the outcome is
    not known.
    """
    # Here, not above: `--help` starts twice as fast without Redis's client library.
    from trio_wss.cli import log
    from trio_wss.cli.emission import broadcast
    from trio_wss.wire.faulty import BEYOND, find_beyond

    log.configure("text")
    try:
        data = orjson.loads(json) if json else None
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{json!r} is not JSON: {error}.") from None
    if json and find_beyond(f'{{"data":{json}}}') is not None:
        raise SettingsError(f"{json!r}: {BEYOND}.")
    effect = Broadcast(topic, event, data, volatile=options["volatile"])
    redis = find_redis_url()
    if redis is None:
        raise SettingsError("Redis is not named: use --redis, REDIS_SERVER or REDIS_SERVER_FILE.")
    settings = Settings(redis=redis, namespace=namespace)
    try:
        trio.run(broadcast, settings, effect, (options["history"], options["ttl"]))
    except SettingsError:
        raise
    except WssError as error:
        log.tell(f"trio-wss: it is not known whether it happened: {error}")
        return NOT_KNOWN
    return 0
