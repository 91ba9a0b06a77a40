"""Speculation predicts what reads will find when all commits that this node has sent are applied.
So the next event on the same keys is decided at once, and costs one script call.

Only speed rests on this, never correctness: Redis checks every commit against the values on which
it was decided.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import trio
from attrs import define, field

from trio_wss.commit.ops import Key, Op
from trio_wss.errors import Unavailable, WssError
from trio_wss.reads import ReadRequest
from trio_wss.store.entries import Entry, afterwards, key_of

ReadEntries = Callable[[Sequence[ReadRequest]], Awaitable[Sequence[Entry]]]


@define(eq=False)
class Asking:
    """A read under way, for all events that wait for its entries."""

    over: trio.Event = field(factory=trio.Event)
    error: Exception | None = None


@define(eq=False)
class Speculation:
    """The entries that some requests will find. Each commit that is decided on them extends one
    chain. If one of these was not applied, those behind it were not either, and a new chain begins.
    """

    requests: Sequence[ReadRequest]
    entries: Sequence[Entry] = ()  # empty: not known
    chain: int = 0
    users: int = 0
    asking: Asking | None = None

    async def ask(self, read: ReadEntries, expires: float = math.inf) -> None:
        """Wait until the entries are known, by one read for all that wait. Raises as `read` does.

        Events that reach `expires` do so one by one: each learns from a read of its own that its
        time is over, and so learns it after the answers to all that its connection sent before.
        """
        while not self.entries:
            if (asking := self.asking) is None:
                await self._ask(read)
                continue
            with trio.move_on_at(expires) as waited:
                await asking.over.wait()
            if waited.cancelled_caught:
                self.entries = await read(self.requests)
            elif (error := asking.error) is not None and (
                expires == math.inf or not isinstance(error, Unavailable)
            ):
                raise error

    async def _ask(self, read: ReadEntries) -> None:
        asking = self.asking = Asking()
        try:
            found = await read(self.requests)
            self.entries = self.entries or found
        except WssError as error:
            asking.error = error
            raise
        finally:
            self.asking = None
            asking.over.set()

    def broken(self, chain: int, found: Sequence[Entry]) -> None:
        """Begin a new chain if `chain`, of which a commit was not applied, is still the present
        one. `found` is what the commit found; empty: not known.
        """
        if chain == self.chain:
            self.chain += 1
            self.entries = found


class Speculations:
    """The speculations of one node, each kept only while an event that uses it is under way."""

    def __init__(self) -> None:
        self._all: Final[dict[Sequence[ReadRequest], Speculation]] = {}
        self._by_key: Final[dict[Key, set[Speculation]]] = {}

    def __repr__(self) -> str:
        return f"<Speculations {sorted(self._by_key)}>"

    @contextmanager
    def of(self, requests: Sequence[ReadRequest]) -> Iterator[Speculation]:
        """Give the speculation on these requests, shared by all events that make the same."""
        speculation = self._all.get(requests)
        if speculation is None:
            speculation = self._all[requests] = Speculation(requests)
            for request in requests:
                self._by_key.setdefault(key_of(request), set()).add(speculation)
        speculation.users += 1
        try:
            yield speculation
        finally:
            speculation.users -= 1
            if not speculation.users:
                self._forget(speculation)

    def sent(self, speculation: Speculation, ops: Sequence[Op]) -> None:
        """Advance `speculation` by a commit decided on it, and reset all others on its keys. The
        commit must go out before any other.
        """
        for _, keys, _ in ops:
            for key in keys:
                for other in self._by_key.get(key, ()):
                    if other is not speculation:
                        other.entries = ()
        speculation.entries = afterwards(speculation.requests, speculation.entries, ops)

    def _forget(self, speculation: Speculation) -> None:
        del self._all[speculation.requests]
        for key in {key_of(request) for request in speculation.requests}:
            self._by_key[key].discard(speculation)
            if not self._by_key[key]:
                del self._by_key[key]
