"""A client made of trio_wss.client, as in a user's program: what it gives is recorded."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, final

import trio

from harness.faults.record import Recorder
from harness.faults.view import Sent, View, short
from trio_wss.client import (
    Answer,
    Client,
    ClientError,
    Connected,
    ConnectError,
    ConnectionLost,
    Disconnected,
    Event,
    EventError,
    Pending,
    State,
    Ticket,
    connect,
)

FIRST: Final = 0.5  # seconds, at most, until the next try of a client that is not yet connected
BACK_OFF: Final = (0.05, 0.5)
PATIENCE: Final = 2.5  # seconds between two pings, and for each pong


@final
class Own:
    """One client, over as many sessions as it takes. The same face as Bare."""

    def __init__(
        self, name: str, urls: Sequence[str], recorder: Recorder, chance: random.Random, rooms: str
    ) -> None:
        self.name = name
        self.session: str | None = None
        self._view = View(name, recorder)
        self.topics, self.hums = self._view.topics, self._view.hums
        self.connected = False
        self._urls = [f"{url}/?name={name}&rooms={rooms}" for url in urls]
        self._recorder = recorder
        self._chance = chance
        self._ops = 0
        self._open: dict[str, Sent] = {}  # what nobody may be waiting for
        self._client: Client | None = None
        self._there = trio.Event()
        self._over = False
        self._life = trio.CancelScope()
        self._ticket: Ticket | None = None
        self._asks = False  # to resume, at its next connection
        self._since = 0.0
        self._away: float | None = None  # seconds until it comes back

    def __repr__(self) -> str:
        return f"<Own {self.name} {self._client!r}>"

    # --- what it does

    async def begin(self, name: str, **data: Any) -> Sent:
        """Send an operation, and do not wait for its answer."""
        while self._client is None and not self._over:
            await self._there.wait()
        self._ops += 1  # from here on in this order
        op = f"{self.name}.{self._ops}"
        sent = self._open[op] = Sent(op, name, {"op": op, **data}, session=self.session)
        self._recorder.note("call", c=self.name, op=op, event=name, data=sent.data)
        try:
            assert self._client is not None
            sent.answer = await self._client.submit(name, sent.data)
        except (AssertionError, ConnectionLost):
            self._settle(sent, "lost", None)
        except trio.Cancelled:
            self._settle(sent, "lost", None)
            raise
        return sent

    async def finish(self, sent: Sent) -> tuple[str, Any]:
        """Wait for what comes of an operation."""
        if not sent.how:
            pending: Pending = sent.answer
            answer: Answer | None = None
            how, what = "ok", None
            try:
                answer = await pending.answer()
                what = short(answer.data)
            except EventError as error:
                how, what = error.code, error.message
            except ClientError:
                how = "lost"
            except trio.Cancelled:
                self._settle(sent, "lost", None)
                raise
            self._settle(sent, how, what)
        return sent.how, sent.answer

    async def do(self, name: str, **data: Any) -> tuple[str, Any]:
        """Send an operation, and wait for what comes of it."""
        return await self.finish(await self.begin(name, **data))

    async def repeat(self, sent: Sent) -> None:
        """It never sends again what is answered."""

    async def recall(self) -> None:
        """Nor what is answered long ago."""

    async def post(self, name: str, **data: Any) -> None:
        """Send an operation that is not answered; nobody will know what became of it."""
        self._ops += 1
        op = f"{self.name}.{self._ops}"
        what = {"op": op, **data}
        self._recorder.note("call", c=self.name, op=op, event=name, data=what)
        self._recorder.note("done", c=self.name, op=op, how="posted")
        if self._client is not None:
            with suppress(ClientError):
                await self._client.post(name, what)

    async def drop(self, away: float | None = None) -> None:
        """Leave with no word; go on with the session elsewhere, after so many seconds."""
        self._away = away
        client = self._client
        if client is not None and self.connected:
            self._client, self._there, self.connected = None, trio.Event(), False
            self._view.note("away")
            self._ticket = await client.abandon()

    async def leave(self) -> None:
        """Say goodbye, and do not come back."""
        self._over = True
        self._view.note("leaving")
        if self._client is None:
            self._life.cancel()  # still on its way
        else:
            await self._client.close()

    async def vanish(self) -> None:
        """Be gone for good, with no word."""
        self._over = True
        if self._client is None:
            self._life.cancel()
        else:
            await self._client.abandon()

    def _settle(self, sent: Sent, how: str, answer: Any) -> None:
        if self._open.pop(sent.op, None) is None:
            return
        if isinstance(sent.answer, Pending) and sent.answer.tries:  # it was `unavailable` once
            self._recorder.note("again", c=self.name, op=sent.op)
        sent.how, sent.answer = how, answer
        self._recorder.note("done", c=self.name, op=sent.op, how=how, data=answer)

    # --- staying connected

    async def run(self) -> None:
        """Have a client, and another when that has ended, until `leave` or `vanish`."""
        with self._life:
            await self._stay()
        for sent in [*self._open.values()]:
            self._settle(sent, "lost", None)
        self._there.set()
        self._view.note("over")

    async def _stay(self) -> None:
        while not self._over:
            self._since = self._recorder.now()
            self._chance.shuffle(self._urls)
            ticket, self._ticket = self._ticket, None
            self._asks = ticket is not None
            with suppress(ConnectError):
                async with connect(
                    *self._urls,
                    resume=ticket,
                    back_off=BACK_OFF,
                    timeout=2 * PATIENCE,
                    ping_interval=PATIENCE,
                    ping_timeout=PATIENCE,
                    buffer=10_000,
                ) as client:
                    self._client = client
                    self._there.set()
                    await self._listen(client)
            self.connected = False
            if self._client is not None:
                self._client, self._there = None, trio.Event()
            if not self._over:
                some = self._chance.uniform(0, FIRST)
                await trio.sleep(some if self._away is None else self._away)
                self._away = None

    async def _listen(self, client: Client) -> None:
        try:
            async for what in client.events():
                self._take(what)
        except ConnectionLost as loss:
            self._view.note("closed", code=loss.code, why=loss.reason, final=True)

    def _take(self, what: Event | State) -> None:
        match what:
            case Connected(resumed, session, node):
                if not resumed:
                    self.topics.clear()
                self.session, self.connected = session, True
                asked, self._asks = self._asks, True  # this client has a session to go on with
                self._view.note(
                    "welcome", session=session, resumed=resumed, asked=asked, node=node,
                    since=self._since,
                )  # fmt: skip
            case Disconnected(code, reason):
                if self.connected:
                    self._view.note("closed", code=code, why=reason)
                self.connected, self._since = False, self._recorder.now()
            case Event():
                at = [what.epoch, what.offset]
                self._view.take(what.event, what.data, what.topic, at)
