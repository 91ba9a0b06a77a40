"""One node of trio-wss: prints its port and runs until it is terminated."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import Annotated

import structlog
import trio
from attrs import frozen

from trio_wss import App, Broadcast, Client, Effects, Increment, Join, Read, Reply, Store
from trio_wss.cli.single import calm_collector
from trio_wss.node import serve
from trio_wss.settings import Settings

app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(f"room:{client.query.get('room', 'lobby')}")


@frozen
class Say:
    room: str
    text: str


@app.on("say")
def say(event: Say, client: Client) -> Effects:
    """Count what is said in a room and tell its members."""
    n = Increment(f"count:{event.room}")
    return [
        n,
        Broadcast(
            f"room:{event.room}",
            "said",
            {"n": n.result, "by": client.session, "text": event.text},
        ),
        Reply("ok", {"n": n.result}),
    ]


@frozen
class Deposit:
    account: str
    amount: int


@frozen
class Account:
    balance: int


@app.on("deposit")
def deposit(
    event: Deposit, account: Annotated[Account | None, Read("account:{event.account}")]
) -> Effects:
    """Read an account, change it, and store it."""
    balance = event.amount + (account.balance if account else 0)
    return [Store(f"account:{event.account}", Account(balance)), Reply("ok", {"n": balance})]


async def main(url: str) -> None:
    shutdown = trio.Event()
    settings = Settings(redis=url, rate=0, drain=1, max_message=4 << 20)
    async with trio.open_nursery() as nursery:
        node = await nursery.start(partial(serve, app, settings, shutdown=shutdown))
        print(node.port, flush=True)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                shutdown.set()
                break


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(30),  # warnings and worse
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    calm_collector()  # as `trio-wss run` does
    trio.run(main, sys.argv[1])
