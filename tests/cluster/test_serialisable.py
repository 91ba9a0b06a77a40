"""Serialisable: read-modify-write from many clients on many nodes loses nothing and tears nothing,
with no lock, and nobody waits for ever."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any

import pytest
import trio
from attrs import frozen

from tests.support.histories import check_exactly_once, check_gap_free, check_one_chain, check_whole
from tests.support.members import Member, eventually, member
from trio_wss import (
    Add,
    App,
    Append,
    Broadcast,
    Client,
    Effects,
    Increment,
    Join,
    Members,
    Put,
    Read,
    Refused,
    Reply,
    Store,
)
from trio_wss.reads import ReadRequest
from trio_wss.testing import Cluster, cluster

app = App(history=10_000)
ROOM = "room:a"
START = 100  # in each account
SEATS = 3
Values = dict[str, int]


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(ROOM) if client.query.get("in") else None


@frozen
class Write:
    key: str
    mark: str


@app.on("replace")
def replace(event: Write, before: Annotated[str | None, Read("{event.key}")]) -> Effects:
    return [Store(event.key, event.mark), Reply("replaced", [before, event.mark])]


@frozen
class Pair:
    a: str
    b: str
    amount: int = 0


@app.on("transfer")
def transfer(
    event: Pair,
    a: Annotated[int | None, Read("account:{event.a}")],
    b: Annotated[int | None, Read("account:{event.b}")],
) -> Effects:
    a, b = START if a is None else a, START if b is None else b
    if a < event.amount:
        raise Refused("too_poor")
    return [
        Store(f"account:{event.a}", a - event.amount),
        Store(f"account:{event.b}", b + event.amount),
        Reply("transferred", [a, b]),
    ]


@app.on("audit")
def audit(
    w: Annotated[int | None, Read("account:w")],
    x: Annotated[int | None, Read("account:x")],
    y: Annotated[int | None, Read("account:y")],
    z: Annotated[int | None, Read("account:z")],
) -> Effects:
    return Reply("audited", [START if value is None else value for value in (w, x, y, z)])


@app.on("next of value")
def next_of_value(n: Annotated[int | None, Read("value")]) -> Effects:
    n = (n or 0) + 1
    return [Store("value", n), Reply("mine", n)]


@app.on("next of field")
def next_of_field(n: Annotated[int | None, Read("fields", field="n")]) -> Effects:
    n = (n or 0) + 1
    return [Put("fields", "n", n), Reply("mine", n)]


@app.on("next of map")
def next_of_map(fields: Annotated[Values | None, Read("map")]) -> Effects:
    n = len(fields or {}) + 1
    return [Put("map", f"f{n}", n), Reply("mine", n)]


@app.on("next of list")
def next_of_list(items: Annotated[list[int] | None, Read("list")]) -> Effects:
    n = (items[-1] if items else 0) + 1
    return [Append("list", n, limit=3), Reply("mine", n)]


@app.on("next of set")
def next_of_set(members: Annotated[set[int] | None, Read("set")]) -> Effects:
    n = max(members or {0}) + 1
    return [Add("set", n), Reply("mine", n)]


@frozen
class Sit:
    table: str


@app.on("sit")
def sit(event: Sit, seated: Annotated[list[Any], Members("table:{event.table}")]) -> Effects:
    if len(seated) >= SEATS:
        raise Refused("full")
    return Join(f"table:{event.table}")


@app.on("count")
def count() -> Effects:
    n = Increment("count")
    return [n, Broadcast(ROOM, "counted", n.result)]


async def clients(stack: AsyncExitStack, nodes: Cluster, number: int) -> list[Member]:
    """So many members of the room, spread over the nodes."""
    urls = [node.url for node in nodes.nodes]
    found = [member(urls[n % len(urls)], {"in": "1"}) for n in range(number)]
    return [await stack.enter_async_context(one) for one in found]


async def test_no_update_is_lost_among_eight_clients_on_three_nodes(redis_url: str) -> None:
    keys = ["a", "b", "c"]
    commits: dict[str, list[tuple[str | None, str]]] = {key: [] for key in keys}
    with trio.fail_after(60):
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            everyone = await clients(stack, nodes, 8)

            async def work(client: Member) -> None:
                for n in range(30):
                    key = random.choice(keys)
                    mark = f"{client.session} {n}"
                    before, after = await client.good("replace", {"key": key, "mark": mark})
                    commits[key].append((before, after))

            async with trio.open_nursery() as nursery:
                for client in everyone:
                    nursery.start_soon(work, client)
            for key in keys:
                last, _ = await everyone[0].good("replace", {"key": key, "mark": "end"})
                assert check_one_chain(commits[key], None) == last


@pytest.mark.parametrize("what", ["value", "field", "map", "list", "set"])
async def test_no_number_is_given_twice_whatever_it_is_read_from(redis_url: str, what: str) -> None:
    numbers: list[int] = []
    with trio.fail_after(60):
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            everyone = await clients(stack, nodes, 6)

            async def work(client: Member) -> None:
                numbers.extend([await client.good(f"next of {what}") for _ in range(15)])

            async with trio.open_nursery() as nursery:
                for client in everyone:
                    nursery.start_soon(work, client)
    check_exactly_once(range(1, 6 * 15 + 1), numbers)


async def test_two_keys_read_together_are_never_torn(redis_url: str) -> None:
    names = "wxyz"
    audits: list[Sequence[int]] = []
    with trio.fail_after(60):
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            everyone = await clients(stack, nodes, 8)

            async def move(client: Member) -> None:
                for _ in range(25):
                    a, b = random.sample(names, 2)
                    amount = random.randrange(START)
                    answer = await client.ask("transfer", {"a": a, "b": b, "amount": amount})
                    assert answer["event"] == "transferred" or answer["data"]["code"] == "too_poor"

            async def look(client: Member) -> None:
                """With an id it is a commit, without one only a read."""
                for n in range(1, 51):
                    audits.append(await client.good("audit"))
                    await client.send("audit")
                    await client.heard("audited", 2 * n)
                audits.extend(one["data"] for one in client.named("audited"))

            async with trio.open_nursery() as nursery:
                for client in everyone[:6]:
                    nursery.start_soon(move, client)
                for client in everyone[6:]:
                    nursery.start_soon(look, client)
            audits.append(await everyone[0].good("audit"))
    check_whole(audits, START * len(names))
    assert len({tuple(values) for values in audits}) > 1


async def test_nobody_starves_when_ten_nodes_want_one_hot_key(redis_url: str) -> None:
    each = 15
    commits: list[tuple[str | None, str]] = []
    with trio.fail_after(60):
        async with cluster(app, 10, redis=redis_url) as nodes, AsyncExitStack() as stack:
            everyone = await clients(stack, nodes, 10)

            async def work(client: Member) -> None:
                for n in range(each):
                    mark = f"{client.session} {n}"
                    before, after = await client.good("replace", {"key": "hot", "mark": mark})
                    commits.append((before, after))

            async with trio.open_nursery() as nursery:
                for client in everyone:
                    nursery.start_soon(work, client)
    check_one_chain(commits, None)
    assert len(commits) == 10 * each


async def test_a_counter_is_seen_with_every_number_once_and_in_order_on_every_node(
    redis_url: str,
) -> None:
    each = 50
    with trio.fail_after(60):
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            everyone = await clients(stack, nodes, 8)

            async def work(client: Member) -> None:
                for _ in range(each):
                    await client.send("count")

            async with trio.open_nursery() as nursery:
                for client in everyone:
                    nursery.start_soon(work, client)
            for client in everyone:
                seen = await client.received(ROOM, 8 * each)
                check_gap_free(seen, first=1)
                assert [one["data"] for one in seen] == list(range(1, 8 * each + 1))


async def test_a_table_with_three_seats_never_seats_a_fourth(redis_url: str) -> None:
    tables = "abcdefghijkl"
    answers: dict[str, list[str]] = {table: [] for table in tables}
    with trio.fail_after(60):
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            everyone = await clients(stack, nodes, 6)

            async def sit_everywhere(client: Member) -> None:
                for table in tables:
                    answer = await client.ask("sit", {"table": table})
                    answers[table].append(answer.get("data", {}).get("code", "seated"))

            async with trio.open_nursery() as nursery:
                for client in everyone:
                    nursery.start_soon(sit_everywhere, client)
    for answered in answers.values():
        assert sorted(answered) == ["full"] * 3 + ["seated"] * SEATS


async def test_events_on_one_key_are_decided_on_what_those_before_them_will_leave(
    redis_url: str,
) -> None:
    """One read for all, and one commit each, none of them twice."""
    count = 10
    async with cluster(app, 1, redis=redis_url) as nodes, AsyncExitStack() as stack:
        node = nodes.nodes[0]
        clients = [await stack.enter_async_context(member(node.url)) for _ in range(count)]
        calls = 0
        submit = node.link.submit

        def counted(command: bytes, *arguments: Any, **options: Any) -> None:
            nonlocal calls
            calls += b"busy" in command
            submit(command, *arguments, **options)

        node.link.submit = counted  # type: ignore[method-assign]  # to count what goes out
        node.link.hold_back(60)
        async with trio.open_nursery() as nursery:
            for number, client in enumerate(clients):
                data = {"key": "busy", "mark": str(number)}
                nursery.start_soon(client.good, "replace", data)
            with node.transactions.speculations.of((ReadRequest("value", "busy"),)) as expected:
                await eventually(lambda: expected.users == count + 1)
            node.link.go_on()
        assert calls == 1 + count
        assert node.statistics.reruns == 0
