"""A client that knows the protocol and hides nothing: every frame that comes is recorded as it is.
It resumes its session on any node, sends again what has no answer, and mistrusts a silent node.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, final

import orjson
import trio

from harness.faults.record import Recorder
from harness.faults.stream import greet
from harness.faults.view import Sent, View, short
from tests.support.members import Frame, Member, Rejected, dial, event

PATIENCE: Final = 5.0  # seconds without an answer until a node is taken for dead
HANDSHAKE: Final = 5.0
HASTY: Final = 0.5  # of the resumes have events right behind them
RING: Final = 64  # answers that the server keeps for a session
PAUSE: Final = 0.5  # seconds, at most, until the next try
REFUSED: Final = frozenset({4403, 4409})  # codes that forbid to come back


@final
class Bare:
    """One client. `run` keeps it connected; `do` sends an operation and waits for what comes."""

    def __init__(
        self, name: str, urls: Sequence[str], recorder: Recorder, chance: random.Random, rooms: str
    ) -> None:
        self.name = name
        self.session: str | None = None
        self._view = View(name, recorder)
        self.topics, self.hums = self._view.topics, self._view.hums
        self.connected = False
        self._urls = urls
        self._recorder = recorder
        self._chance = chance
        self._query = {"name": name, "rooms": rooms}
        self._token: str | None = None
        self._numbers = 0
        self._attempts = 0  # to resume: a node that was frozen may find an old one
        self._ops = 0
        self._waiting: dict[int, Sent] = {}
        self._member: Member | None = None
        self._over = False
        self._life = trio.CancelScope()
        self._pause = 0.0
        self._dialled = 0.0
        self._heard = 0  # welcomes and answers
        self._seen = 0  # frames of this connection
        self._asks = False  # this connection has asked for its session
        self._ahead: set[int] = set()  # numbers sent behind `wss.resume`, before a welcome
        self._dropped = 0  # events that the server may say it has dropped
        self._old: deque[Sent] = deque(maxlen=120)
        self.rate = math.inf  # bytes a second that it reads

    # --- what it does

    async def do(self, name: str, **data: Any) -> tuple[str, Any]:
        """Send an operation. Returns "ok", an error's code, or "lost", and the answer's data."""
        return await self.finish(await self.begin(name, **data))

    async def finish(self, sent: Sent) -> tuple[str, Any]:
        """Wait for what comes of an operation."""
        await sent.settled.wait()
        return sent.how, sent.answer

    async def begin(self, name: str, **data: Any) -> Sent:
        """Send an operation, and do not wait for its answer; but while too many have none."""
        while self._waiting and self._numbers + 1 - min(self._waiting) >= RING:  # noqa: ASYNC110
            await trio.sleep(0.005)  # there is no event for that
        self._numbers += 1
        sent = Sent(*self._call(name, data), self._numbers, self.session)
        self._waiting[sent.number] = sent
        if self.connected or self._ahead:
            await self._send(sent)
        return sent

    def _call(self, name: str, data: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        self._ops += 1
        op = f"{self.name}.{self._ops}"
        what = {"op": op, **data}
        self._recorder.note("call", c=self.name, op=op, event=name, data=what, session=self.session)
        return op, name, what

    async def repeat(self, sent: Sent) -> None:
        """Send an answered operation once more, under its old id: its answer must be the same."""
        if not self.connected or sent.session != self.session or sent.number in self._waiting:
            return
        self._recorder.note("repeat", c=self.name, op=sent.op)
        sent.told, sent.settled = (sent.how, sent.answer), trio.Event()
        self._waiting[sent.number] = sent
        await self._send(sent)
        await sent.settled.wait()

    async def recall(self) -> None:
        """Repeat one so old that its answer may no longer be kept."""
        while self._old and self._old[0].session != self.session:
            self._old.popleft()
        if self._old and self._numbers - self._old[0].number >= RING:
            await self.repeat(self._old.popleft())

    async def post(self, name: str, **data: Any) -> None:
        """Send an operation that is not answered; nobody will know what became of it."""
        op, _, what = self._call(name, data)
        self._recorder.note("done", c=self.name, op=op, how="posted")
        if self._member is not None and (self.connected or self._ahead):
            self._dropped += not self.connected
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._member.send(name, what)

    async def drop(self, away: float | None = None) -> None:
        """Cut the connection, with no word. It comes back by itself, after so many seconds."""
        self._pause = self._pause if away is None else away
        self.connected = False
        if self._member is not None:
            await self._member.vanish()

    async def leave(self) -> None:
        """Say goodbye, and do not come back."""
        self._over = True
        self._view.note("leaving")
        if self._member is None:
            self._life.cancel()  # still on its way
        else:
            with trio.move_on_after(PATIENCE):
                await self._member.leave()

    async def vanish(self) -> None:
        """Be gone for good, with no word."""
        self._over = True
        if self._member is None:
            self._life.cancel()
        await self.drop()

    async def _send(self, *several: Sent) -> None:
        """In one write, so that nothing comes between them."""
        member = self._member
        if member is None:
            return
        for one in several:
            member.answers.pop(one.number, None)
            if not self.connected:
                self._ahead.add(one.number)
                self._dropped += 1
        frames = [event(one.event, dict(one.data), one.number) for one in several]
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await member.raw(*frames)

    # --- staying connected

    async def run(self) -> None:
        """Connect, and again, until `leave` or `vanish`; then what waits is lost."""
        with self._life:
            await self._stay()
        self._lose()
        self._recorder.note("over", c=self.name)

    async def _stay(self) -> None:
        while not self._over:
            self._pause = self._chance.uniform(0, PAUSE)
            with suppress(OSError, Rejected, trio.BrokenResourceError, trio.ClosedResourceError):
                await self._connect()
            self.connected, self._member = False, None
            self._ahead.clear()
            if not self._over:
                await trio.sleep(self._pause)

    async def _connect(self) -> None:
        url = self._chance.choice(self._urls)
        self._dialled = self._recorder.now()
        self._asks, self._dropped = self._token is not None, 0
        query = {**self._query, "resume": "1"} if self._asks else self._query
        stream: trio.SocketStream | None = None
        try:
            with trio.move_on_after(HANDSHAKE):
                stream = await dial(url)
                self._member = await greet(stream, url, query, lambda: self.rate)
                if self._asks:
                    await self._resume(self._member)
            if stream is not None and self._member is not None:
                await self._live(self._member)
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)

    async def _resume(self, member: Member) -> None:
        """Ask for the session; sometimes with what waits right behind, as the protocol allows."""
        self._attempts += 1
        wish = {"token": self._token, "topics": self.topics, "attempt": self._attempts}
        await member.send("wss.resume", wish)
        if self._chance.random() < HASTY:
            self._ahead.add(0)  # what is begun from now on goes out at once, too
            await self._send(*(self._waiting[number] for number in sorted(self._waiting)))

    async def _live(self, member: Member) -> None:
        self._seen = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(member.read)
            nursery.start_soon(self._mistrust, member)
            while self._seen < len(member.frames) or member.code is None:
                await member.until(
                    lambda: len(member.frames) > self._seen or member.code is not None
                )
                while self._seen < len(member.frames):
                    self._seen += 1
                    await self._take(member.frames[self._seen - 1])
            self._view.note("closed", code=member.code, why=member.reason)
            self._heed(member)
            nursery.cancel_scope.cancel()

    def _heed(self, member: Member) -> None:
        """What a Close asks for."""
        if member.code in REFUSED:
            self._token = None
        with suppress(orjson.JSONDecodeError, KeyError, TypeError):
            self._pause = max(self._pause, float(orjson.loads(member.reason)["retry"]))

    async def _mistrust(self, member: Member) -> None:
        """Give up a node that says nothing though it was asked."""
        while True:
            before, asked = self._heard, self._waiting or not self.connected
            await trio.sleep(PATIENCE)
            if asked and self._heard == before and (self._waiting or not self.connected):
                await member.vanish()

    # --- what comes

    async def _take(self, frame: Frame) -> None:
        name: str = frame["event"]
        data: Any = frame.get("data")
        if "re" in frame:
            await self._answered(frame["re"], name, data)
        elif name == "wss.welcome":
            await self._welcomed(data)
        elif name == "wss.error" and data["code"] == "not_resumed" and self._dropped:
            self._dropped -= 1
            self._view.note("dropped")
        else:
            at = [frame.get("epoch"), frame.get("offset")]
            self._view.take(name, data, frame.get("topic"), at)

    async def _welcomed(self, data: Any) -> None:
        session, resumed, node = data["session"], data["resumed"], data["node"]
        self._view.note(
            "welcome", session=session, resumed=resumed, asked=self._asks, node=node,
            since=self._dialled, ahead=len(self._ahead),
        )  # fmt: skip
        self._token, self.session = data["token"], session
        if not resumed:
            self.topics.clear()
            self._lose()
            self._numbers = 0
            self._ahead.clear()
            if self._asks and self._member is not None:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._member.send("wss.begin")
        else:
            self._dropped = 0
        self.connected = True
        self._heard += 1
        ahead, self._ahead = self._ahead, set()
        await self._send(*(self._waiting[n] for n in sorted(self._waiting) if n not in ahead))

    async def _answered(self, number: int, name: str, data: Any) -> None:
        self._heard += 1
        sent = self._waiting.get(number)
        if sent is None:
            self._view.note("unasked", number=number, name=name, data=short(data))
            return
        how = data["code"] if name == "wss.error" else "ok"
        if how == "unavailable":
            self._recorder.note("again", c=self.name, op=sent.op)
            await self._send(sent)
            return
        del self._waiting[number]
        self._settle(sent, how, data["message"] if name == "wss.error" else short(data))

    def _settle(self, sent: Sent, how: str, answer: Any) -> None:
        if sent.told is None:
            sent.how, sent.answer = how, answer
            self._recorder.note("done", c=self.name, op=sent.op, how=how, data=answer)
            self._old.append(sent)
        elif how != "lost" and sent.told != (how, answer):
            later = self._numbers - sent.number
            self._view.note("twice", op=sent.op, first=sent.told, second=(how, answer), later=later)
        sent.settled.set()

    def _lose(self) -> None:
        """The session is over: nobody will say what became of what waits."""
        for sent in self._waiting.values():
            self._settle(sent, "lost", None)
        self._waiting.clear()
