"""trio_wss/testing/cluster.py: nodes in a test, on one Redis, and clients to talk to them."""

from __future__ import annotations

import pytest
import trio

from trio_wss import App, Client, Effects, Increment, Reply
from trio_wss.client import Connected
from trio_wss.node import Node
from trio_wss.settings import Settings
from trio_wss.testing import cluster

pytestmark = pytest.mark.any_engine

app = App()


@app.on("count")
def count() -> Effects:
    n = Increment("n")
    return [n, Reply("counted", n.result)]


@app.on("whoami")
def whoami(client: Client) -> Effects:
    return Reply("you", dict(client.query))


def ready(nodes: tuple[Node, ...]) -> list[bool]:
    return [not node.unready() for node in nodes]


async def test_the_nodes_share_one_redis(redis_url: str) -> None:
    with trio.fail_after(30):
        async with cluster(app, 2, redis=redis_url) as made:
            assert ready(made.nodes) == [True, True]
            assert len({node.port for node in made.nodes}) == 2
            assert made.redis == redis_url
            for number in (0, 1):
                async with made.connect(number) as client:
                    assert [len(node.connections) for node in made.nodes].index(1) == number
                    assert (await client.send("count")).data == number + 1
            assert repr(made) == f"<Cluster {[*made.nodes]}>"


async def test_without_a_redis_it_has_one_of_its_own() -> None:
    with trio.fail_after(30):
        async with cluster(app, 1) as made, made.connect() as client:
            assert made.redis.startswith("unix://")
            assert (await client.send("count")).data == 1


async def test_its_settings_are_those_given_but_for_address_and_redis(redis_url: str) -> None:
    given = Settings(host="0.0.0.0", port=1, redis="redis://elsewhere", grace=3.5, drain=0.5)
    with trio.fail_after(30):
        async with cluster(app, 1, redis=redis_url, settings=given) as made:
            settings = made.nodes[0].settings
            assert (settings.host, settings.redis) == ("127.0.0.1", redis_url)
            assert (settings.grace, settings.drain) == (3.5, 0.5)
            assert made.nodes[0].port > 1


async def test_a_client_has_its_query(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url) as made,
            made.connect(query={"room": "a"}) as client,
        ):
            assert (await client.send("whoami")).data == {"room": "a"}


async def test_a_client_that_is_to_reconnect_goes_to_the_next_node(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 3, redis=redis_url) as made,
            made.connect(1, reconnect=True) as client,
        ):
            assert len(made.nodes[1].connections) == 1
            await made.nodes[1].connections.send_away(0.0, "go")
            async for event in client.events():
                if isinstance(event, Connected) and event.node != made.nodes[1].id:
                    assert event.node == made.nodes[2].id
                    break


async def test_at_its_end_all_nodes_stop_even_if_the_test_failed(redis_url: str) -> None:
    nodes: tuple[Node, ...] = ()
    with trio.fail_after(30), pytest.RaisesGroup(ZeroDivisionError):
        async with cluster(app, 2, redis=redis_url) as made:
            nodes = made.nodes
            raise ZeroDivisionError
    assert [node.unready() for node in nodes] == ["the node is stopping"] * 2
