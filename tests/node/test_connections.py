"""trio_wss/node/connections.py: who is heard while a reader waits, and how all are sent away."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from trio_wss.node.connections import BATCH, LONG, RETURNS, Connections, Listed
from trio_wss.wire import CloseCode


class Waiting:
    """Stands for a connection; keeps when it was told what."""

    def __init__(self) -> None:
        self.heard = 0
        self.away: list[tuple[float, int, Any, float]] = []

    def listen(self) -> None:
        self.heard += 1

    async def retire(self, code: int, reason: str, give_up: float) -> None:
        self.away.append((trio.current_time(), code, json.loads(reason), give_up))
        await trio.sleep_until(give_up)


async def test_clients_are_heard_whose_reader_waits_for_long(autojump_clock: MockClock) -> None:
    connections = Connections()
    early, late = Waiting(), Waiting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connections.listen)
        connections.waiting[cast(Listed, early)] = trio.current_time()
        await trio.sleep(LONG / 2)
        connections.waiting[cast(Listed, late)] = trio.current_time()
        await trio.sleep(LONG)
        assert (early.heard, late.heard) == (1, 0)
        await trio.sleep(LONG)
        assert (early.heard, late.heard) == (2, 1)
        nursery.cancel_scope.cancel()


async def test_clients_are_sent_away_in_batches_and_told_when_to_come_back(
    autojump_clock: MockClock,
) -> None:
    connections = Connections()
    number = 2 * BATCH + 50
    all_ = [Waiting() for _ in range(number)]
    for one in all_:
        connections.add(cast(Listed, one))
    assert len(connections) == number
    began = trio.current_time()
    await connections.send_away(12.0, "the node is stopping")
    told = sorted(one.away[0][0] - began for one in all_)
    assert all(len(one.away) == 1 for one in all_)
    assert {code for one in all_ for _, code, _, _ in one.away} == {CloseCode.RESTART}
    assert told[:BATCH] == [0.0] * BATCH
    assert 2.0 <= told[BATCH] == told[2 * BATCH - 1] <= 6.0
    assert told[2 * BATCH] < told[-1] + 1 <= 13.0
    reasons = [one.away[0][2] for one in all_]
    assert {reason["why"] for reason in reasons} == {"the node is stopping"}
    assert all(0 <= reason["retry"] <= number / RETURNS for reason in reasons)
    assert len({reason["retry"] for reason in reasons}) > 10


async def test_those_told_last_have_some_time_too(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_wss.node.connections.random.uniform", lambda _, high: high)
    connections = Connections()
    all_ = [Waiting() for _ in range(2 * BATCH + 1)]
    for one in all_:
        connections.add(cast(Listed, one))
    began = trio.current_time()
    await connections.send_away(12.0, "why")
    times = {(one.away[0][0] - began, one.away[0][3] - began) for one in all_}
    assert times == {(0.0, 12.0), (6.0, 12.0), (12.0, 15.0)}
