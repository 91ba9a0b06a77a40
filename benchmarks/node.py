"""One node with the demo app and no limit on events: prints its port and runs until terminated."""

import signal
import sys
from functools import partial

import structlog
import trio

from trio_wss.demo import app
from trio_wss.node import serve
from trio_wss.settings import Settings


async def main(url: str) -> None:
    shutdown = trio.Event()
    settings = Settings(redis=url, rate=0, drain=1)
    async with trio.open_nursery() as nursery:
        node = await nursery.start(partial(serve, app, settings, shutdown=shutdown))
        print(node.port, flush=True)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                shutdown.set()
                break


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
trio.run(main, sys.argv[1])
