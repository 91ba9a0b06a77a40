"""One client connection: numbers events, gives each exactly one answer, keeps what else comes.

A reader and a writer task own the socket; cancelling a `send` never cuts a frame in two.
Every buffer is bounded: 64 unanswered events, and `buffer` events nobody has taken.
"""

from typing import Any, Self, final

import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, WebSocketConnection

from trio_wss.client import frames
from trio_wss.client.errors import ConnectionLost, EventError, FellBehind
from trio_wss.client.frames import Answer, BadFrame, Event, Welcome

MAX_UNANSWERED = 64
"""How many events with an id a session may have unanswered (the protocol's bound)."""

CLOSE_TIMEOUT = 2.0
"""How long a closing handshake may take before the socket is just closed, in seconds."""


@final
@define(eq=False)
class Pending:
    """An event on its way; `number` is its id."""

    number: int
    _done: trio.Event = field(factory=trio.Event)
    _outcome: Answer | EventError | ConnectionLost | None = None

    async def answer(self) -> Answer:
        """Wait for the answer. Raises EventError for an error answer, and ConnectionLost."""
        await self._done.wait()
        if isinstance(self._outcome, Answer):
            return self._outcome
        assert self._outcome is not None
        raise self._outcome

    def settle(self, outcome: Answer | EventError | ConnectionLost) -> None:
        """Set the outcome, whether or not somebody still waits for it."""
        self._outcome = outcome
        self._done.set()


class Events:
    """The events of a client as an async iterator. It ends when the client closes and raises
    ConnectionLost when the connection ends in any other way."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._client.receive()
        except ConnectionLost:
            if self._client.closing:
                raise StopAsyncIteration from None
            raise


@final
class Client:
    """A connection to a node; `connect` makes one."""

    def __init__(self, socket: WebSocketConnection, greeting: Welcome, buffer: int) -> None:
        self.welcome = greeting
        self.closing = False
        self._socket = socket
        self._buffer = buffer
        self._number = greeting.last
        self._waiting: dict[int, Pending] = {}
        self._slots = trio.Semaphore(MAX_UNANSWERED, max_value=MAX_UNANSWERED)
        self._lost: ConnectionLost | None = None
        self._reader_done = trio.Event()
        self._outgoing, self._to_write = trio.open_memory_channel[str](MAX_UNANSWERED)
        self._incoming, self._to_take = trio.open_memory_channel[Event](buffer)

    def __repr__(self) -> str:
        state = str(self._lost) if self._lost else "open"
        return f"<Client {self.welcome.session}: {state}, {len(self._waiting)} unanswered>"

    async def send(
        self,
        event: str,
        data: Any = None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - one that a caller would always have to add
    ) -> Answer:
        """Send an event and return its answer.

        Raises EventError for an error answer, ConnectionLost, and trio.TooSlowError after
        `timeout` seconds; in the latter two the outcome is not known.
        """
        with trio.fail_after(timeout):
            pending = await self.submit(event, data)
            return await pending.answer()

    async def submit(self, event: str, data: Any = None) -> Pending:
        """Send an event without waiting for its answer, so that many can be under way in order.

        Waits while 64 are unanswered, and raises ConnectionLost.
        """
        await self._slots.acquire()
        self._number = number = self._number + 1
        self._waiting[number] = pending = Pending(number)
        try:
            await self._write(frames.encode(event, data, number))
        except BaseException:  # cancelled or lost before it had a place, or no JSON
            if self._waiting.pop(number, None):
                self._slots.release()
            raise
        return pending

    async def post(self, event: str, data: Any = None) -> None:
        """Send an event that has no id and so gets no answer. Raises ConnectionLost."""
        await self._write(frames.encode(event, data, None))

    async def receive(self) -> Event:
        """The next event, in the order of arrival. Raises ConnectionLost after the last one."""
        try:
            return await self._to_take.receive()
        except trio.EndOfChannel:
            raise self._the_loss() from None

    def events(self) -> Events:
        """What the server sends on its own, for `async for`."""
        return Events(self)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; `send` raises ConnectionLost from then on."""
        self.closing = True
        self._end(ConnectionLost(code, reason))
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._socket.aclose(code, reason)
            await self._reader_done.wait()  # it may be closing for a reason of its own

    async def _write(self, frame: str) -> None:
        try:
            await self._outgoing.send(frame)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise self._the_loss() from None

    def _the_loss(self) -> ConnectionLost:
        assert self._lost is not None
        return type(self._lost)(self._lost.code, self._lost.reason)

    async def run_writer(self) -> None:
        """Write what is in line; `connect` runs it."""
        async for frame in self._to_write:
            try:
                await self._socket.send_message(frame)
            except ConnectionClosed:
                return  # the reader tells why

    async def run_reader(self) -> None:
        """Take what comes until the connection ends, and tell why; `connect` runs it."""
        try:
            while self._lost is None:
                message = await self._socket.get_message()
                if self._lost is None:  # else we have closed meanwhile
                    self._take(message)
        except ConnectionClosed as closed:
            code = closed.reason.code if closed.reason else 1006
            self._end(ConnectionLost(code, (closed.reason and closed.reason.reason) or ""))
        except BadFrame as fault:
            await self._give_up(ConnectionLost(1002, str(fault)))
        except FellBehind as loss:
            await self._give_up(loss)
        finally:
            self._reader_done.set()

    async def _give_up(self, loss: ConnectionLost) -> None:
        self._end(loss)
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._socket.aclose(loss.code, loss.reason)

    def _take(self, message: str | bytes) -> None:
        """Hand one frame to whoever waits for it. Raises BadFrame and FellBehind."""
        number, frame = frames.decode(message)
        if isinstance(frame, Event):
            if self._buffer:
                self._keep(frame)
            return
        pending = self._waiting.pop(number, None) if number is not None else None
        if pending is None:
            raise BadFrame(f"an answer to {number}, which waits for none")
        self._slots.release()
        pending.settle(frame)

    def _keep(self, event: Event) -> None:
        try:
            self._incoming.send_nowait(event)
        except trio.WouldBlock:
            raise FellBehind(1008, f"{self._buffer} events waited and nobody took them") from None

    def _end(self, loss: ConnectionLost) -> None:
        """Everybody who waits learns why; the first reason stands."""
        if self._lost is not None:
            return
        self._lost = loss
        for pending in self._waiting.values():
            pending.settle(self._the_loss())
            self._slots.release()
        self._waiting.clear()
        self._outgoing.close()
        self._incoming.close()
