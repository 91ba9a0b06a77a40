"""Large answers to a client that pauses: it asked for them, so it is given them, however many, and
is not closed for it. The door waits until there is room."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import trio
from attrs import frozen

from tests.members import event, eventually, member
from trio_wss import App, Effects, Increment, Read, Refused, Reply
from trio_wss.settings import Settings
from trio_wss.testing import cluster

NUMBERS = range(1, 33)
SIZE = 300_000  # bytes of an answer: all of them are more than a socket and an outbox take
app = App()


@frozen
class Ask:
    n: int
    size: int


@app.on("ask")
def ask(event: Ask) -> Effects:
    return [Increment("asked"), Reply("big", "x" * event.size)]


@app.on("look")
def look(event: Ask, asked: Annotated[int | None, Read("nothing")]) -> Effects:
    return Reply("big", "x" * event.size)


@app.on("refuse")
def refuse(event: Ask) -> Effects:
    raise Refused("no", "x" * event.size)


@pytest.mark.parametrize("size", [15_000, SIZE])
@pytest.mark.parametrize("name", ["ask", "look", "refuse"])
async def test_large_answers_wait_for_a_client_that_pauses(
    redis_url: str, name: str, size: int
) -> None:
    await check_all_answers_come(redis_url, name, size, Settings(drain=1.0), pause=0.3)


async def test_an_event_that_waits_for_its_own_client_is_not_unavailable(redis_url: str) -> None:
    """However long: Redis is there."""
    settings = Settings(drain=1.0, redis_patience=1.0)
    await check_all_answers_come(redis_url, "look", SIZE, settings, pause=1.5)


async def check_all_answers_come(
    redis_url: str, name: str, size: int, settings: Settings, *, pause: float
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=settings) as nodes,
            member(nodes.nodes[0].url, reads=False) as client,
            trio.open_nursery() as nursery,
        ):
            [connection] = nodes.nodes[0].connections
            outbox = connection.socket.outbox
            numbers = range(1, 32 * SIZE // size + 1) if size < SIZE else NUMBERS
            asked = [event(name, {"n": n, "size": size}, n) for n in numbers]

            async def send() -> None:
                await client.raw(*asked)

            nursery.start_soon(send)
            await eventually(lambda: outbox.size * 2 >= outbox.limit or outbox.sealed)
            await trio.sleep(pause)  # all that may come in comes
            assert outbox.size <= outbox.limit
            nursery.start_soon(client.read)
            for n in numbers:
                answer: Any = await client.answer(n)
                data = answer["data"]
                assert len(data["message"] if name == "refuse" else data) == size
            assert client.code is None
            nursery.cancel_scope.cancel()
