"""Make one connection after another, until there will be no other: choose the URL and the wait."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol, final
from urllib.parse import SplitResult

import trio
from attrs import frozen

from trio_wss.client.backoff import VANISHED, BackOff, comes_back, is_final, read_reason
from trio_wss.client.errors import ConnectError, ConnectionLost, GaveUp
from trio_wss.client.frames import Ticket
from trio_wss.client.inbox import Disconnected
from trio_wss.client.transport import Dialer, Transport


@frozen
class Options:
    """The options of a client; `connect` explains them."""

    reconnect: bool
    back_off: tuple[float, float]
    give_up: float
    ping_interval: float
    ping_timeout: float
    buffer: int


class Connectable(Protocol):
    """The part of a client that Reconnector uses."""

    def to_resume(self) -> Ticket | None:
        """Return the session to resume, with a new attempt."""

    async def run_connection(self, transport: Transport) -> ConnectionLost:
        """Run one connection to its end; return how it ended."""

    async def tell(self, state: Disconnected) -> None:
        """Tell that there is no connection now."""


@final
class Reconnector:
    """The connections of one client."""

    def __init__(
        self, client: Connectable, dialer: Dialer, urls: list[SplitResult], options: Options
    ) -> None:
        self.loss = ConnectionLost(VANISHED)
        """How the last connection ended."""
        self._client = client
        self._dialer = dialer
        self._urls = urls  # the first one is the present one
        self._options = options
        self._back_off = BackOff(*options.back_off)

    async def run(self, started: Callable[[], None]) -> None:
        """Run connections until there will be no other; `loss` then has the reason. Call `started`
        at the first welcome. Raises ConnectError if that does not come.
        """
        self.loss = await self._connect_first(started)
        while self._options.reconnect and comes_back(self.loss):
            try:
                self.loss = await self._connect_again()
            except ConnectError as error:
                self.loss = GaveUp(error.code or VANISHED, str(error), error.status)
                return

    async def _connect_first(self, started: Callable[[], None]) -> ConnectionLost:
        """Make the first connection, with one try at each URL; return how it ended."""
        for _ in self._urls[1:]:
            try:
                return await self._try(started, again=False)
            except ConnectError as error:
                if is_final(error):
                    raise
            self._next_url()
        return await self._try(started, again=False)

    async def _connect_again(self) -> ConnectionLost:
        """Wait and try until a node accepts us; return how that connection ended. Raises
        ConnectError when it is time to give up.
        """
        code, (reason, wait) = self.loss.code, read_reason(self.loss.reason)
        give_up = self._options.give_up
        with trio.CancelScope(deadline=trio.current_time() + give_up) as patience:

            def welcomed() -> None:
                patience.deadline = inf

            while True:
                wait = self._back_off.next() if wait is None else wait
                await self._client.tell(Disconnected(code, reason, wait))
                await trio.sleep(wait)
                self._next_url()
                try:
                    return await self._try(welcomed, again=True)
                except ConnectError as error:
                    if is_final(error):
                        raise
                    code, reason, wait = error.code or VANISHED, str(error), None
        raise ConnectError(f"no connection for {give_up:g} s: {reason}")

    async def _try(self, welcomed: Callable[[], None], *, again: bool) -> ConnectionLost:
        """Run one connection to its end. Raises ConnectError if there is no welcome."""

        async def run(transport: Transport) -> ConnectionLost:
            began = trio.current_time()
            welcomed()
            try:
                return await self._client.run_connection(transport)
            finally:
                self._back_off.connection_lasted(trio.current_time() - began)

        ticket = self._client.to_resume()
        return await self._dialer.dial(self._urls[0], ticket, run, again=again)

    def _next_url(self) -> None:
        self._urls.append(self._urls.pop(0))
