"""trio_wss/client over scenarios.json, the table that the browser's client is held to as well
(tests/web/js/scenarios.test.mjs), on memory streams and a clock that jumps.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest
from wsproto.events import Ping

from tests.support.peer import House, Peer, Street, nothing, vanish, welcome
from trio_wss.client import (
    Client,
    Connected,
    ConnectError,
    ConnectionLost,
    Disconnected,
    Event,
    EventError,
    OutcomeUnknown,
    State,
    connect,
)

TABLE: Final = json.loads(Path(__file__).with_name("scenarios.json").read_text())
SESSION: Final = {"token": "s1.secret", "last": 0}


def filled(steps: Any, value: Any) -> Any:
    """The steps with a value in the place of each "$"."""
    if isinstance(steps, list):
        return [filled(one, value) for one in steps]
    if isinstance(steps, dict):
        return {key: filled(one, value) for key, one in steps.items()}
    return value if steps == "$" else steps


def scenarios() -> Iterator[Any]:
    for one in TABLE["scenarios"]:
        for value in one.get("each", ["$"]):
            name = one["name"].replace("$", str(value))
            yield pytest.param(filled(one["steps"], value), id=name)


def plain(item: Event | State | ConnectionLost | ConnectError) -> Any:
    """What the app was told, as the table has it."""
    match item:
        case Event():
            keys = ("event", "data", "topic", "epoch", "offset")
            found = {key: getattr(item, key) for key in keys}
            return {key: value for key, value in found.items() if value is not None}
        case Connected(resumed, session, node):
            return {"connected": {"resumed": resumed, "session": session, "node": node}}
        case Disconnected(code, reason, wait):
            return {"disconnected": {"code": code, "reason": reason, "wait": wait}}
    return {"disconnected": {"code": item.code, "reason": str(item), "wait": None}}


def check_told(found: list[Any], expected: list[Any]) -> None:
    """Events are the same; of a state, what the table says."""
    assert len(found) == len(expected), found
    for one, wanted in zip(found, expected, strict=True):
        if "event" in wanted:
            assert one == wanted
            continue
        [(kind, facts)] = wanted.items()
        assert kind in one
        for key, value in facts.items():
            if key == "reason" and value:
                assert value in one[kind][key]
            else:
                assert one[kind][key] == value, one


@define(eq=False)
class Side:
    """The node's side of one connection."""

    peer: Peer
    resumes: bool
    frames: list[Any] = field(factory=list)
    pings: list[Ping] = field(factory=list)
    code: int = 0  # of the Close


@define(eq=False)
class Node(House):
    """Notes what comes, and says nothing by itself."""

    sides: list[Side] = field(factory=list)

    async def receive(self, request: WebSocketRequest) -> None:
        side = Side(Peer(await request.accept()), request.path.endswith("?resume"))
        self.sides.append(side)
        with suppress(ConnectionClosed):
            while True:
                side.frames.append(await side.peer.take())
        side.code = await side.peer.until_closed()


class Stage:
    """A client, a node, and an app that notes what it is told. Each step is one of the table's."""

    def __init__(self, node: Node, patch: pytest.MonkeyPatch, nursery: trio.Nursery) -> None:
        self.node = node
        self.told: list[Any] = []
        self.outcomes: dict[str, Any] = {}
        self.scopes: dict[str, trio.CancelScope] = {}
        self.client: Client | None = None
        self.nursery = nursery
        self.accepted = 0
        self.last_ping: Ping | None = None
        self.answer_ping = WebSocketConnection._handle_ping_event

        async def note(socket: WebSocketConnection, ping: Ping) -> None:
            [side] = [side for side in self.node.sides if side.peer.socket is socket]
            side.pings.append(ping)

        patch.setattr(WebSocketConnection, "_handle_ping_event", note)
        patch.setattr("random.uniform", lambda low, high: (low + high) / 2)

    @property
    def side(self) -> Side:
        return self.node.sides[self.accepted - 1]

    async def live(self) -> None:
        """The app: it connects, and takes all that it is told until the end."""
        try:
            async with connect("ws://a") as self.client:
                async for item in self.client.events():
                    self.told.append(plain(item))
        except (ConnectError, ConnectionLost) as error:
            self.told.append(plain(error))

    async def send(self, name: str, event: str, data: Any, again: bool) -> None:
        assert self.client is not None
        with trio.CancelScope() as self.scopes[name]:
            try:
                answer = await self.client.send(event, data, again=again, timeout=inf)
            except EventError as error:
                self.outcomes[name] = {"error": error.code}
            except ConnectionLost as loss:
                kind = "unknown" if isinstance(loss, OutcomeUnknown) else "lost"
                self.outcomes[name] = {kind: loss.code}
            else:
                self.outcomes[name] = {"event": answer.event}
                if answer.data is not None:
                    self.outcomes[name]["data"] = answer.data

    async def step(self, step: dict[str, Any]) -> None:
        """Do it, or check it, and let all come to rest."""
        [(verb, what)] = step.items()
        await getattr(self, f"do_{verb}")(what)
        await wait_all_tasks_blocked()

    # --- the node

    async def do_accept(self, resumes: bool) -> None:
        self.accepted += 1
        assert len(self.node.sides) == self.accepted
        assert self.side.resumes is resumes

    async def do_welcome(self, data: Any) -> None:
        await self.side.peer.put(**welcome(**SESSION | data))

    async def do_sends(self, frames: list[Any]) -> None:
        for frame in frames:
            await self.side.peer.put(**frame)

    async def do_sends_text(self, text: str) -> None:
        await self.side.peer.socket.send_message(text)

    async def do_gets(self, frames: list[Any]) -> None:
        for frame in self.side.frames:
            if frame["event"] == "wss.resume":
                assert frame["data"].pop("attempt") > 0
        assert self.side.frames == frames
        self.side.frames.clear()

    async def do_gets_ping(self, _: bool) -> None:
        [self.last_ping] = self.side.pings
        self.side.pings.clear()

    async def do_pong(self, _: bool) -> None:
        assert self.last_ping is not None
        await self.answer_ping(self.side.peer.socket, self.last_ping)

    async def do_closes(self, how: tuple[int, str]) -> None:
        self.nursery.start_soon(self.side.peer.socket.aclose, *how)

    async def do_vanishes(self, _: bool) -> None:
        await vanish(self.side.peer)

    async def do_left(self, how: str) -> None:
        assert (self.side.code == 1006) is (how == "without a Close")
        assert self.side.code

    # --- the app

    async def do_passes(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def do_app_sends(self, call: Any) -> None:
        name, again = call["as"], call.get("again", False)
        self.outcomes[name] = "waiting"
        self.nursery.start_soon(self.send, name, call["event"], call.get("data"), again)

    async def do_app_forgets(self, name: str) -> None:
        self.scopes[name].cancel()

    async def do_answers(self, outcomes: Any) -> None:
        assert {name: self.outcomes[name] for name in outcomes} == outcomes

    async def do_told(self, expected: list[Any]) -> None:
        check_told(self.told, expected)
        self.told.clear()

    def check_end(self) -> None:
        """Nothing has happened that no step has looked at."""
        assert self.told == []
        assert len(self.node.sides) == self.accepted
        assert [side.frames for side in self.node.sides] == [[]] * self.accepted
        assert [side.pings for side in self.node.sides] == [[]] * self.accepted


@pytest.mark.parametrize("steps", list(scenarios()))
async def test_scenario(
    steps: Any, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(nothing)
    async with Street({"a": node}).live(monkeypatch), trio.open_nursery() as nursery:
        stage = Stage(node, monkeypatch, nursery)
        nursery.start_soon(stage.live)
        await wait_all_tasks_blocked()
        for step in steps:
            await stage.step(step)
        stage.check_end()
        nursery.cancel_scope.cancel()


def test_the_table_uses_every_step_that_it_explains() -> None:
    used = {verb for one in TABLE["scenarios"] for step in one["steps"] for verb in step}
    assert used == set(TABLE["steps"])
    assert len({one["name"] for one in TABLE["scenarios"]}) == len(TABLE["scenarios"]) >= 15
