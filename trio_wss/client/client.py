"""The client: one session over any number of connections. It resumes the session, sends unanswered
events again, and delivers each of the server's events once and in order.

Every buffer is bounded. While the buffer of received events is full, the socket is not read: at
some point the server closes it, and the client resumes from where it was.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from math import inf
from typing import Any, Self, final
from urllib.parse import SplitResult

import trio
from attrs import evolve

from trio_wss.client import frames
from trio_wss.client.backoff import VANISHED, is_too_big, retry_delay
from trio_wss.client.connection import Connection
from trio_wss.client.credentials import Credentials
from trio_wss.client.errors import ConnectionLost
from trio_wss.client.frames import Answer, Event, Ticket, Welcome
from trio_wss.client.inbox import Connected, Cursors, Disconnected, Inbox, State
from trio_wss.client.pending import Pending, PendingEvents
from trio_wss.client.reconnect import Options, Reconnector
from trio_wss.client.transport import Dialer, Transport, parse_url


class Events:
    """The items that a client receives, as an async iterator. It ends when the client is closed and
    raises ConnectionLost if the connection is over for any other reason.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | State:
        try:
            return await self._client.receive()
        except ConnectionLost:
            if self._client.closing:
                raise StopAsyncIteration from None
            raise


@final
class Client:
    """A session with a cluster of nodes; `connect` makes one."""

    def __init__(
        self, dialer: Dialer, urls: list[SplitResult], options: Options, ticket: Ticket | None
    ) -> None:
        self.state: State = Disconnected(VANISHED, "", 0.0)
        """Connected or Disconnected. Disconnected without a `wait`: there will be no connection."""
        self.closing = False
        self._abandoned = False  # if True, the end of the block of `connect` sends no Close
        self._options = options
        self._ticket = ticket
        self._reconnector = Reconnector(self, dialer, urls, options)
        self._attempt = ticket.attempt if ticket else 0  # the last one to resume
        self._cursors = Cursors(ticket.topics if ticket else {})
        self._pending = PendingEvents(ticket.last if ticket else 0)
        self._inbox = Inbox(options.buffer, waits=options.reconnect)
        self._welcome: Welcome | None = None
        self._connection: Connection | None = None
        self._end: ConnectionLost | None = None
        self._life = trio.CancelScope()
        self._over = trio.Event()

    def __repr__(self) -> str:
        state = str(self._end) if self._end else "open" if self._connection else "away"
        return f"<Client {self.session}: {state}, {len(self._pending)} unanswered>"

    @property
    def welcome(self) -> Welcome:
        """The welcome of the present node, or of the last one."""
        assert self._welcome is not None
        return self._welcome

    @property
    def session(self) -> str:
        """The public name of the session."""
        return self.welcome.session

    # --- sending

    async def send(
        self,
        event: str,
        data: Any = None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - one that a caller would always have to add
        again: bool = False,
    ) -> Answer:
        """Send an event and return its answer, over any number of connections.

        Raises EventError for an error answer; trio.TooSlowError after `timeout` seconds; and
        OutcomeUnknown if the session is over (unless the event may then be sent `again`) or if the
        server gives no answer. After TooSlowError or OutcomeUnknown the event may have been
        applied. Raises ConnectionLost if the event was never sent; and TypeError if its name is not
        text or is reserved for the server, or if its data is not JSON.
        """
        with trio.fail_after(timeout):
            pending = await self.submit(event, data, again=again)
            try:
                return await pending.answer()
            finally:
                self._pending.forget(pending)

    async def submit(self, event: str, data: Any = None, *, again: bool = False) -> Pending:
        """Send an event without waiting for its answer, so that many can be on their way in order.
        Wait while 64 are unanswered. Raises TypeError, as `send` does, and ConnectionLost.
        """
        return await self._pending.add(event, data, again=again)

    async def post(self, event: str, data: Any = None) -> None:
        """Send an event without an id, at most once; it gets no answer. Raises TypeError, as `send`
        does, and ConnectionLost.
        """
        frame = frames.encode(frames.named(event), frames.raw(data), None)
        await self._pending.post(frame)

    # --- receiving

    async def receive(self) -> Event | State:
        """Return the next event or change of state. Raises ConnectionLost after the last one."""
        return await self._inbox.take()

    def events(self) -> Events:
        """Return the items of `receive` as an async iterator."""
        return Events(self)

    # --- the end

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close, which ends the session; `send` raises ConnectionLost from then on."""
        self.closing = True
        self._finish(ConnectionLost(code, reason))
        if self._connection is not None and not self._abandoned:
            await self._connection.close(code, reason)
        self._life.cancel()
        await self._over.wait()

    async def abandon(self) -> Ticket:
        """Leave without a Close, so that the session keeps its grace; return its Ticket."""
        self.closing = self._abandoned = True
        self._finish(ConnectionLost(VANISHED, "abandoned"))
        self._life.cancel()
        await self._over.wait()
        return self.ticket()

    def ticket(self) -> Ticket:
        """Return the ticket to resume this session: `connect(url, resume=ticket)`. The other client
        goes on after the events that this one has received, even if nobody took them here.
        """
        token, last = self.welcome.token, self._pending.number
        return Ticket(token, self._cursors.copy(), last, self._attempt)

    def _finish(self, loss: ConnectionLost) -> None:
        """End all waiting tasks with this reason; only the first reason counts."""
        if self._end is not None:
            return
        self._end = loss
        self.state = Disconnected(loss.code, loss.reason, None)
        self._pending.end(loss)
        self._inbox.close(loss)

    # --- connections, for `connect` and for Reconnector

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Run connections until there will be no other. The task has started with the first
        welcome; without one it raises ConnectError."""
        try:
            with self._life:
                await self._reconnector.run(task_status.started)
        finally:
            self._finish(self._reconnector.loss)
            self._over.set()

    def to_resume(self) -> Ticket | None:
        """Return the session to resume, with a new attempt: ours, or at first another client's."""
        ticket = self.ticket() if self._welcome else self._ticket
        if ticket is None:
            return None
        self._attempt = max(self._attempt + 1, int(time.time() * 1000))  # above an old ticket's
        return evolve(ticket, attempt=self._attempt)

    async def run_connection(self, transport: Transport) -> ConnectionLost:
        """Run one connection to its end; return how it ended."""
        welcome = transport.welcome
        pings = self._options.ping_interval, self._options.ping_timeout
        self._connection = Connection(transport, self._pending, self._inbox, self._take, pings)
        if welcome.resumed:
            self._pending.resume(welcome.last)
        else:
            self._cursors.clear()
            self._pending.renew(welcome.last, self._reconnector.loss)
        self._welcome = welcome
        try:
            await self.tell(Connected(welcome.resumed, welcome.session, welcome.node))
            loss = await self._connection.run()
            if is_too_big(loss):
                self._pending.reject_largest()
            return loss
        finally:
            self._connection = None
            self._pending.connection_over()

    async def tell(self, state: State) -> None:
        """Tell the app the state of the connection, if the client reconnects."""
        if self._end is None:
            self.state = state
        if self._options.reconnect:
            await self._inbox.keep(state)

    async def _take(self, message: str | bytes) -> None:
        """Give the app an event, or an event its answer. Raises BadFrame and FellBehind."""
        if self._end is not None:
            return
        number, frame = frames.decode(message)
        if isinstance(frame, Event):
            if self._cursors.is_new(frame) and await self._inbox.keep(frame):
                self._cursors.follow(frame)
            return
        assert number is not None
        unavailable = self._pending.answered(number, frame, retry=self._options.reconnect)
        if unavailable is not None and self._connection is not None:
            again = partial(self._pending.send_again, unavailable)
            self._connection.after(retry_delay(unavailable.tries), again)


def connect(
    url: str,
    *more_urls: str,
    headers: Credentials = None,
    query: Credentials = None,
    ssl_context: ssl.SSLContext | None = None,
    timeout: float = 10.0,
    resume: Ticket | None = None,
    reconnect: bool = True,
    back_off: tuple[float, float] = (0.5, 15.0),
    give_up: float = inf,
    ping_interval: float = 20.0,
    ping_timeout: float = 5.0,
    buffer: int = 1024,
    max_message: int = 16 << 20,
) -> AbstractAsyncContextManager[Client]:
    """Connect to a node, and to another if that is lost: `async with connect(url) as client`.

    The first connection gets one try at each URL; if all fail, ConnectError is raised. Each later
    try goes to the next URL in turn, after the wait that the server asked for, or else a random one
    of at most `back_off[0]` seconds at first and `back_off[1]` in the end. `give_up` is the longest
    time without a connection, and `timeout` the longest for everything up to a welcome, in seconds.

    `headers` and `query` are sent with every handshake; either may be a function, async or not,
    that makes them anew. Its errors are raised from the first connection; later they count as a
    failed try. `resume` continues another client's session. `buffer` is the number of events that
    may wait for `receive`; while it is full the socket is not read, so answers wait too. 0 keeps
    none: for a client that only sends. With `reconnect=False` there is one connection: a full
    buffer ends it (FellBehind), and `unavailable` is an answer like any other.

    Raises RuntimeError if Trio does not run.
    """
    dialer = Dialer(headers, query, ssl_context, timeout, max_message)
    options = Options(reconnect, back_off, give_up, ping_interval, ping_timeout, buffer)
    return _connected((url, *more_urls), dialer, options, resume)


@asynccontextmanager
async def _connected(
    urls: tuple[str, ...], dialer: Dialer, options: Options, ticket: Ticket | None
) -> AsyncIterator[Client]:
    """Yield a client for the length of the block."""
    if not trio.lowlevel.in_trio_task():
        raise RuntimeError("trio_wss.client needs Trio: run it by trio.run, not by asyncio")
    client = Client(dialer, [parse_url(url) for url in urls], options, ticket)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(client.run)
            try:
                yield client
            finally:
                await client.close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        [failure] = group.exceptions
    else:
        return
    raise failure  # here, not in the handler, so that its context and cause do not change
