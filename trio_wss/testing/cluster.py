"""A cluster in a test: real nodes on a real Redis, in this process, with clients to talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

from trio_wss.app import App
from trio_wss.client import Client, connect
from trio_wss.node import Node, serve
from trio_wss.settings import Settings
from trio_wss.store.embedded import embedded


class Cluster:
    """The nodes of a test, and the Redis they share."""

    def __init__(self, nodes: list[Node], redis: str) -> None:
        self.nodes = tuple(nodes)
        self.redis = redis

    def __repr__(self) -> str:
        return f"<Cluster {list(self.nodes)}>"

    def connect(
        self,
        node: int = 0,
        query: Mapping[str, str] | None = None,
        *,
        reconnect: bool = False,
        **options: Any,
    ) -> AbstractAsyncContextManager[Client]:
        """A client of the node with this number. `query` goes into its URL. With `reconnect` it
        goes to the following nodes in turn. `options` are those of `trio_wss.client.connect`.

        Use it as `async with cluster.connect(1, {"room": "a"}) as client`.
        """
        nodes = [*self.nodes[node:], *self.nodes[:node]] if reconnect else [self.nodes[node]]
        urls = [f"{one.url}/" for one in nodes]
        return connect(*urls, query=query, **{"reconnect": reconnect, "buffer": 10_000} | options)


@asynccontextmanager
async def cluster(
    app: App, nodes: int = 3, *, redis: str | None = None, settings: Settings | None = None
) -> AsyncIterator[Cluster]:
    """Start nodes with `app`, on an embedded server or on the Redis at `redis`; stop them at exit.

    The nodes have these `settings`, with an address and a Redis of the cluster's own. Raises
    SettingsError if no Redis server can be found.
    """
    async with AsyncExitStack() as stack:
        if redis is None:
            redis = await stack.enter_async_context(embedded(None))
        first = settings or Settings(drain=1.0)
        common = attrs.evolve(first, redis=redis, host="127.0.0.1", port=0)
        shutdown = trio.Event()
        async with trio.open_nursery() as nursery:
            started: list[Node] = []
            for _ in range(nodes):
                node = partial(serve, app, common, shutdown=shutdown)
                started.append(await nursery.start(node))
            try:
                yield Cluster(started, redis)
            finally:
                shutdown.set()
