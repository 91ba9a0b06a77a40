"""Where a client goes: connection after connection, until there is to be no other."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol, final
from urllib.parse import SplitResult

import trio
from attrs import frozen

from trio_wss.client.backoff import BackOff, comes_back, is_final, read_reason
from trio_wss.client.connection import VANISHED
from trio_wss.client.dial import Dial
from trio_wss.client.errors import ConnectError, ConnectionLost, GaveUp
from trio_wss.client.states import Disconnected, Ticket
from trio_wss.client.transport import Line


@frozen(kw_only=True)
class Options:
    """How a client behaves; `connect` says what each means."""

    reconnect: bool
    back_off: tuple[float, float]
    give_up: float
    ping_interval: float
    ping_timeout: float
    buffer: int


class Traveller(Protocol):
    """What a journey needs of a client."""

    def to_resume(self) -> Ticket | None:
        """The session to go on with, in an attempt of its own."""

    async def talk(self, line: Line) -> ConnectionLost:
        """Live one connection to its end."""

    async def tell(self, state: Disconnected) -> None:
        """Tell that there is no connection now."""


@final
class Journey:
    """The connections of one client."""

    def __init__(
        self, traveller: Traveller, dial: Dial, urls: list[SplitResult], options: Options
    ) -> None:
        self.loss = ConnectionLost(VANISHED)
        """How the last connection ended."""
        self._traveller = traveller
        self._dial = dial
        self._urls = urls  # the first one is the present one
        self._options = options
        self._back_off = BackOff(*options.back_off)

    async def run(self, started: Callable[[], None]) -> None:
        """Go on until there is to be no other connection; `loss` says why. `started` is called
        with the first welcome. Raises ConnectError if that does not come.
        """
        self.loss = await self._first_visit(started)
        while self._options.reconnect and comes_back(self.loss):
            try:
                self.loss = await self._next_visit()
            except ConnectError as error:
                self.loss = GaveUp(error.code or VANISHED, str(error), error.status)
                return

    async def _first_visit(self, started: Callable[[], None]) -> ConnectionLost:
        """The first connection: each URL gets one try."""
        for _ in self._urls[1:]:
            try:
                return await self._visit(started, again=False)
            except ConnectError as error:
                if is_final(error):
                    raise
            self._turn()
        return await self._visit(started, again=False)

    async def _next_visit(self) -> ConnectionLost:
        """Wait and try until a node takes us; how that connection ended. Raises ConnectError when
        it is time to give up.
        """
        code, (reason, wait) = self.loss.code, read_reason(self.loss.reason)
        give_up = self._options.give_up
        with trio.CancelScope(deadline=trio.current_time() + give_up) as patience:

            def taken() -> None:
                patience.deadline = inf

            while True:
                wait = self._back_off.next() if wait is None else wait
                await self._traveller.tell(Disconnected(code, reason, wait))
                await trio.sleep(wait)
                self._turn()
                try:
                    return await self._visit(taken, again=True)
                except ConnectError as error:
                    if is_final(error):
                        raise
                    code, reason, wait = error.code or VANISHED, str(error), None
        raise ConnectError(f"no connection for {give_up:g} s: {reason}")

    async def _visit(self, taken: Callable[[], None], *, again: bool) -> ConnectionLost:
        """One connection, to its end. Raises ConnectError if there is no welcome."""

        async def talk(line: Line) -> ConnectionLost:
            began = trio.current_time()
            taken()
            try:
                return await self._traveller.talk(line)
            finally:
                self._back_off.connection_lasted(trio.current_time() - began)

        ticket = self._traveller.to_resume()
        return await self._dial.visit(self._urls[0], ticket, talk, again=again)

    def _turn(self) -> None:
        """Go on to the next URL."""
        self._urls.append(self._urls.pop(0))
