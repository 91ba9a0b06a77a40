"""One connection of a client: its reader, its writer and its pings. Each is a separate task, so
that a cancelled `send` never cuts a frame in two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, final

import trio
from trio_websocket import ConnectionClosed

from trio_wss.client.backoff import VANISHED
from trio_wss.client.errors import ConnectionLost, FellBehind, TooLong
from trio_wss.client.frames import BadFrame
from trio_wss.client.inbox import Inbox
from trio_wss.client.pending import PendingEvents
from trio_wss.client.transport import Transport

CLOSE_TIMEOUT: Final = 2.0
"""The most seconds of a closing handshake; then the socket is just closed."""

_TOO_LONG: Final = "Exceeded maximum message size: {} bytes"
"""The reason that trio-websocket gives when it closes with 1009 by itself."""


@final
class Connection:
    """A socket whose welcome has come; `run` serves it to its end."""

    def __init__(
        self,
        transport: Transport,
        pending: PendingEvents,
        inbox: Inbox,
        take: Callable[[str | bytes], Awaitable[None]],
        pings: tuple[float, float],
    ) -> None:
        """`take` is given every message; it may raise BadFrame and FellBehind. `pings` are
        `ping_interval` and `ping_timeout`.
        """
        self._socket = transport.socket
        self._stream = transport.stream
        self._pending = pending
        self._inbox = inbox
        self._take = take
        self._ping_interval, self._ping_timeout = pings
        self._max_message = transport.max_message
        self._pinging = False
        self._writing = False
        self._loss = ConnectionLost(VANISHED)
        self._closing: trio.Event | None = None
        self._nursery: trio.Nursery | None = None

    async def run(self) -> ConnectionLost:
        """Read and write until the connection is over; return how it ended."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._write)
            nursery.start_soon(self._keep_alive)
            self._loss = await self._read()
            nursery.cancel_scope.cancel()
        return self._loss

    async def close(self, code: int, reason: str) -> None:
        """Send Close and wait for the server's, for CLOSE_TIMEOUT at most; then `run` ends."""
        self._closing = closing = trio.Event()
        try:
            with trio.move_on_after(CLOSE_TIMEOUT):
                await self._socket.aclose(code, reason)
        finally:
            closing.set()

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` in `seconds`, unless the connection is over by then."""
        if self._nursery is not None:
            self._nursery.start_soon(self._act_later, seconds, act)

    async def _act_later(self, seconds: float, act: Callable[[], None]) -> None:
        await trio.sleep(seconds)
        act()

    async def _read(self) -> ConnectionLost:
        """Take messages until the connection ends; return why it ended."""
        try:
            while True:
                message = await self._socket.get_message()
                await self._take(message)
                self._pending.drop_overdue(self._inbox.freed)
        except ConnectionClosed as closed:
            if self._closing is not None:  # trio-websocket still reads, for the server's Close
                await self._closing.wait()
            return self._told(closed)
        except BadFrame as fault:
            loss = ConnectionLost(1002, str(fault))
        except FellBehind as late:
            loss = late
        await self.close(loss.code, loss.reason)
        return loss

    async def _write(self) -> None:
        while True:
            frame = await self._pending.next_frame()
            self._writing = True
            try:
                await self._socket.send_message(frame)
            except ConnectionClosed:
                return  # the reader returns the reason
            self._writing = False
            self._pending.written()

    def _told(self, closed: ConnectionClosed) -> ConnectionLost:
        """Return how the connection ended, by the Close; if the Close was ours, by its cause."""
        if closed.reason is None:
            return ConnectionLost(VANISHED)
        code, reason = int(closed.reason.code), closed.reason.reason or ""  # not an enum's member
        if (code, reason) == (1009, _TOO_LONG.format(self._max_message)):
            return TooLong(code, f"the server sent a message of over {self._max_message} bytes")
        return ConnectionLost(code, reason)

    async def _keep_alive(self) -> None:
        """Ping a silent server, sooner while an answer is due; if it stays silent, it is gone.
        Silence counts from the last bytes heard, whatever we send.
        """
        assert self._nursery is not None
        while True:
            await self._until_silent()
            self._pending.drop_overdue(self._inbox.freed)
            asked = trio.current_time()
            if not self._pinging:
                self._nursery.start_soon(self._ping)
            with trio.move_on_after(self._ping_timeout):
                await self._stream.wait_received()
            await trio.lowlevel.checkpoint()  # reads bytes that came while the program was busy
            if self._heard() < asked:
                self._loss = ConnectionLost(VANISHED, "the server answers no ping")
                self._nursery.cancel_scope.cancel()
                return

    async def _until_silent(self) -> None:
        """Wait until it is time for a ping. Check now and then whether an answer is due, so that
        sending an event need not wake this task.
        """
        while (seconds := self._ping_due() - trio.current_time()) > 0:  # noqa: ASYNC110 - time
            await trio.sleep(min(seconds, self._ping_timeout))

    def _ping_due(self) -> float:
        heard, since = self._heard(), self._pending.answer_due_since
        due = heard + self._ping_interval
        return due if since is None else min(due, max(heard, since) + self._ping_timeout)

    def _heard(self) -> float:
        """Return when the server was heard last. While the inbox is full the socket is not read, so
        the server cannot be heard: that time does not count as silence.
        A server that takes the pieces of a long message is there too, and a ping waits behind them.
        """
        if self._inbox.full:
            return trio.current_time()
        heard = max(self._stream.received_at, self._inbox.freed)
        return max(heard, self._stream.sent_at) if self._writing else heard

    async def _ping(self) -> None:
        """Send a ping, in a separate task: a cancelled send would leave half a frame behind."""
        self._pinging = True
        try:
            await self._socket.ping()
        except ConnectionClosed:
            return
        self._pinging = False
