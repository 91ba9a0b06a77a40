"""The model: an app with a Redis of plain Python, for tests of handlers without a node. It answers
as the commit script does; a test compares it with a real Redis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import evolve, field, frozen

from trio_wss.app import App
from trio_wss.commit.plan import EMPTY_PLAN, Phase, Plan, plan
from trio_wss.data.json import decode, encode
from trio_wss.effects import Close, Reply
from trio_wss.errors import Invalid, Refused
from trio_wss.handling.handler import Handler
from trio_wss.reads import Client, Member, implied_topics
from trio_wss.testing.kinds import cells_of, state_of
from trio_wss.testing.memory import Applied, Memory, ModelFault, Sent

ANYONE: Final = Client("s1")


@frozen
class Error:
    """The data of a `wss.error`, with `path` if the event's data is invalid."""

    code: str
    message: str = ""
    path: str = ""


@frozen
class Outcome:
    """The outcome of one event.

    With an `error` nothing was applied. A commit that Redis would refuse has the code `internal`
    and says why (`wrong_type KEY`, `overflow KEY`). `joined` has each topic's offset: the next
    broadcast there has that plus one. `state` is all state after the event, and `ttls` has the
    seconds that keys live.
    """

    reply: Reply | None = None
    error: Error | None = None
    broadcasts: tuple[Sent, ...] = ()
    joined: dict[str, int] = field(factory=dict)
    left: tuple[str, ...] = ()
    close: Close | None = None
    state: dict[str, Any] = field(factory=dict)
    ttls: dict[str, float] = field(factory=dict)


class World:
    """An app and its data, through many events of many clients.

    An exception of a handler other than Refused goes through, and so does the `PlanError` for
    effects that may not stand together: a client gets `internal` for both, a test fails.
    """

    def __init__(
        self,
        app: App,
        state: Mapping[str, Any] | None = None,
        *,
        members: Mapping[str, Iterable[Member]] | None = None,
        now: float = 1_700_000_000.0,
        max_topics: int = 100,
    ) -> None:
        """`state` is by key (collections are `List`, `Map` and `Set`), `members` by topic. `now` is
        in seconds since 1970, and only `wait` moves it."""
        self.app = app
        self.now = now
        self.max_topics = max_topics
        self._memory = Memory(cells_of(state or {}))
        for topic, there in (members or {}).items():
            for member in there:
                self._memory.members.setdefault(topic, {})[member.session] = encode(member)
                self._memory.sessions.setdefault(member.session, set()).add(topic)

    @property
    def state(self) -> dict[str, Any]:
        """All state, as plain data."""
        return state_of(self._memory.cells)

    @property
    def ttls(self) -> dict[str, float]:
        """The seconds left of every key that is not permanent."""
        cells = self._memory.cells.items()
        return {key: cell.ttl / 1000 for key, cell in cells if cell.ttl is not None}

    def members(self, topic: str) -> list[Member]:
        """The members of a topic."""
        there = self._memory.members.get(topic, {}).values()
        return [Member(**decode(member)) for member in there]

    def offset(self, topic: str) -> int:
        """The offset of a topic's last broadcast, or 0 if there was none."""
        found = self._memory.offsets.get(topic)
        return found.offset if found else 0

    def wait(self, seconds: float) -> None:
        """Let time pass: `now` moves, and keys with a time to live may expire."""
        self.now += seconds
        self._memory.wait(round(seconds * 1000))

    def play(
        self, event: str, data: Any = None, *, client: Client = ANYONE, seed: int = 0
    ) -> Outcome:
        """Run one event of a client, from its data to its outcome."""
        handler = self.app.handlers.get(event)
        if handler is None:
            return self._outcome(error=Error("unknown_event", f"there is no event {event[:64]!r}"))
        return self._run(handler, "event", client, data, seed)

    def connect(self, client: Client = ANYONE, *, seed: int = 0) -> Outcome:
        """Begin a session and run `on_connect`."""
        joined = {topic: self.offset(topic) for topic in implied_topics(client)}
        outcome = self._run(self.app.connect, "connect", client, None, seed)
        return outcome if outcome.error else evolve(outcome, joined=joined | outcome.joined)

    def disconnect(self, client: Client = ANYONE, *, seed: int = 0) -> Outcome:
        """End a session: run `on_disconnect`, and leave all topics whatever that does."""
        try:
            outcome = self._run(self.app.disconnect, "disconnect", client, None, seed)
        finally:
            self._memory.end(client.session)
        return outcome

    def gap(self, topic: str, client: Client = ANYONE, *, seed: int = 0) -> Outcome:
        """Run `on_gap` for a client that has missed broadcasts of a topic for good."""
        return self._run(self.app.gap, "event", client, {"topic": topic}, seed)

    def _run(
        self, handler: Handler | None, phase: Phase, client: Client, data: Any, seed: int
    ) -> Outcome:
        client = evolve(client, info=decode(encode(client.info)))
        made = EMPTY_PLAN
        try:
            if handler is not None:
                made = self._planned(handler, phase, client, decode(encode(data)), seed)
            applied = self._memory.commit(client.session, made.ops, self.max_topics)
        except Refused as refusal:
            return self._outcome(error=Error(refusal.code, refusal.message))
        except Invalid as invalid:
            return self._outcome(error=Error("invalid", invalid.message, invalid.path))
        except ModelFault as fault:
            code = "refused" if fault.args == ("topics",) else "internal"
            return self._outcome(error=Error(code, str(fault)))
        return self._done(made, applied)

    def _planned(
        self, handler: Handler, phase: Phase, client: Client, data: Any, seed: int
    ) -> Plan:
        event = handler.bind(data)
        values = [self._memory.read(request) for request in handler.requests(event, client)]
        effects = handler.run(event, client, values, self.now, seed)
        return plan(effects, client, self.app.history, phase)

    def _done(self, made: Plan, applied: Applied) -> Outcome:
        reply = made.reply and Reply(made.reply.event, decode(applied.splice(made.reply.data)))
        return self._outcome(
            reply=reply,
            broadcasts=tuple(applied.sent),
            joined=applied.joined,
            left=tuple(applied.left),
            close=made.close,
        )

    def _outcome(self, **found: Any) -> Outcome:
        return Outcome(state=self.state, ttls=self.ttls, **found)


def play(
    app: App,
    event: str,
    data: Any = None,
    state: Mapping[str, Any] | None = None,
    *,
    client: Client = ANYONE,
    members: Mapping[str, Iterable[Member]] | None = None,
    now: float = 1_700_000_000.0,
    seed: int = 0,
) -> Outcome:
    """Run one event of one client on this state. Use `World` for several in a row."""
    return World(app, state, members=members, now=now).play(event, data, client=client, seed=seed)
