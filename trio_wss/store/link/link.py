"""One RESP3 connection to Redis for commands, answers and pushes, kept over many reconnects.

Items are handed on strictly in the order in which they arrive, answers and pushes alike.
Each command is answered exactly once: by Redis, or with Unavailable when its time is over.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, NoReturn, final

import structlog
import trio
from attrs import frozen
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from trio_wss.errors import Unavailable
from trio_wss.store.link.address import Address
from trio_wss.store.link.awaited import Awaited
from trio_wss.store.link.backlog import LIGHT, Answered, Backlog, Slot
from trio_wss.store.link.handshake import Asker, Words, meet, prepare
from trio_wss.store.link.resp import (
    LOSSES,
    NO_ITEM,
    Foreign,
    LinkLost,
    is_push,
    lacks_rights,
    lost_by,
    new_reader,
    pack,
)

__all__ = ["Link", "LinkLost"]

log = structlog.get_logger(__name__)

FOREIGN_EVERY: Final = 60.0  # seconds between two warnings about foreign messages
_READ: Final = 1 << 16  # bytes of one read
_PING: Final = pack("PING")


def _ignore(*_: object) -> None:
    pass


def _sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


@frozen
class Listener:
    """The callbacks that the link's reader calls. Each returns at once and raises nothing, except
    that `hear` may raise Foreign for a message that is not ours.
    """

    hear: Callable[[bytes, bytes], None] = _ignore  # channel and payload
    begin_batch: Callable[[], None] = _ignore  # the items of one read follow
    end_batch: Callable[[], None] = _ignore  # all of them were handed on
    up: Callable[[], None] = _ignore  # the link is new: pushes may have been missed


NO_LISTENER: Final = Listener()


@final
class Link:
    """A node's link to Redis. `run` is one connection's life; everything else outlives it.

    `scripts`: source by name, loaded at every hello; the attribute `scripts` holds their SHA-1.
    `patience`: seconds from submit until a command is answered with Unavailable.
    `deadline`: seconds the oldest sent command may stay unanswered before the link is dropped.
    `idle`: seconds without a command after which a PING goes out, so that a dead peer is found.
    `hello_deadline`: seconds for connecting and the whole hello.
    `bound`: unanswered commands at which the link is full.
    `greeting`: makes, of a server's replication id, the last command of the hello; see `prepare`.
    """

    def __init__(
        self,
        address: Address,
        scripts: Mapping[str, str],
        *,
        name: str = "trio-wss",
        patience: float = 10.0,
        deadline: float = 5.0,
        idle: float = 0.5,
        hello_deadline: float = 5.0,
        bound: int = 4096,
        greeting: Callable[[bytes], Words] | None = None,
    ) -> None:
        self.address = address
        self.scripts = {key: _sha1(source) for key, source in scripts.items()}
        self.up = False
        self.answered = 0  # commands that Redis has answered
        self.heard = -math.inf  # when anything came from Redis last, on Trio's clock
        self.replid = b""
        self.maxmemory_policy: str | None = None  # None: not known, CONFIG is forbidden
        self._listener = NO_LISTENER
        self._greeting = greeting
        self._sources = tuple(scripts.values())
        self._name = name
        self._patience = patience
        self._deadline = deadline
        self._idle = idle
        self._hello_deadline = hello_deadline
        self._tick = min(0.1, deadline / 10, patience / 10)
        self._backlog = Backlog(bound)
        self._channels: set[bytes] = set()  # wanted
        self._tells = False  # this connection must be told of every change of _channels
        self._wake = trio.Event()  # the writer has something to send
        self._waiting = trio.lowlevel.ParkingLot()  # in room()
        self._held_until = -math.inf
        self._last_sent = 0.0
        self._suspect: Slot | None = None
        self._told_foreign = -math.inf

    def __repr__(self) -> str:
        state = "up" if self.up else "down"
        sent = len(self._backlog.sent)
        return f"<Link {self.address} {state}: {self.unanswered - sent} queued, {sent} sent>"

    # ---- commands

    def submit(
        self,
        command: bytes,
        answered: Answered,
        *,
        expires: float | None = None,
        urgent: bool = False,
        weight: int = LIGHT,
    ) -> None:
        """Queue a packed command; an `urgent` one goes before all others. It is sent together with
        all commands that were queued in this tick. `weight`: the most bytes of its answer; commands
        that are not urgent wait while too many bytes of answers are on their way.

        `answered` is called exactly once, from the link's reader or timer, with the reply (a
        hiredis value), a RedisError (an error reply), or Unavailable if `expires` (on Trio's
        clock; default: `patience` from now) has passed or two connections were lost with the
        command. It must neither raise nor block. After a reconnect an unanswered command is sent
        again, byte for byte, in the original order.
        It never refuses a command: await `room()` first if the link is `full`.
        """
        if expires is None:
            expires = trio.current_time() + self._patience
        self._put(Slot(command, answered, expires, urgent=urgent, weight=weight))

    def hold_back(self, seconds: float) -> None:
        """Send only urgent commands until `go_on`, for at most so many seconds."""
        self._held_until = trio.current_time() + seconds

    def go_on(self) -> None:
        """Send everything again."""
        self._held_until = -math.inf
        self._wake.set()

    @property
    def _held(self) -> bool:
        return trio.current_time() < self._held_until

    async def call(
        self, command: bytes, *, expires: float | None = None, weight: int = LIGHT
    ) -> Any:
        """Submit and wait for the reply. Raises RedisError or Unavailable.

        After a cancellation the command may still be carried out.
        """
        if self.full:
            await self.room()
        answer = Awaited[Any]()
        self.submit(command, answer.come, expires=expires, weight=weight)
        reply = await answer.wait()
        if isinstance(reply, RedisError | Unavailable):
            raise reply
        return reply

    @property
    def unanswered(self) -> int:
        """The number of commands that are queued or sent."""
        return self._backlog.unanswered

    @property
    def full(self) -> bool:
        """True while `bound` commands or 64 MiB are unanswered."""
        return self._backlog.full

    async def room(self) -> None:
        """Wait until the link is not full. Submit before the next checkpoint, or ask again."""
        await trio.lowlevel.checkpoint()
        while self.full:
            await self._waiting.park()

    def _put(self, slot: Slot) -> None:
        self._backlog.put(slot)
        self._wake.set()

    # ---- channels

    def subscribe(self, channel: bytes) -> None:
        """Receive `channel` from now on, in order with the commands, over reconnects too.

        Channels belong to no database: the caller names them apart.
        """
        self._channels.add(channel)
        self._tell(b"SUBSCRIBE", channel)

    def unsubscribe(self, channel: bytes) -> None:
        """Stop receiving `channel`; messages that Redis has already sent still come."""
        self._channels.discard(channel)
        self._tell(b"UNSUBSCRIBE", channel)

    def _tell(self, command: bytes, channel: bytes) -> None:
        if self._tells:  # else the next hello does
            # Urgent, as a page of history is: the page must be read after the subscription.
            packed = pack(command, channel)
            self._put(Slot(packed, None, ours=True, confirmations=1, urgent=True))

    # ---- one connection

    async def run(
        self,
        listener: Listener = NO_LISTENER,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Connect, say hello, send unanswered commands again, then serve until the link is lost.

        Raises LinkLost, when nothing of the connection is left. Call it again after a `rest`.
        """
        losses: list[LinkLost] = []
        self._listener = listener
        try:
            # Close the stream only when no task uses it: else the close would look like the reason.
            async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
                guard = partial(self._until_lost, losses, nursery.cancel_scope)
                nursery.start_soon(guard, self._keep_time)
                start_reader = partial(nursery.start_soon, guard, self._read)
                await guard(self._connection, stack, start_reader, task_status)
        finally:
            self._disconnected()
        raise losses[0]

    async def rest(self, seconds: float) -> None:
        """Sleep between two runs; meanwhile answer commands that expire."""
        with trio.move_on_after(seconds):
            await self._keep_time()

    async def _until_lost(
        self,
        losses: list[LinkLost],
        scope: trio.CancelScope,
        job: Callable[..., Awaitable[NoReturn]],
        *args: Any,
    ) -> None:
        """Run a job; turn a connection's errors into LinkLost, only here. The first one counts."""
        try:
            await job(*args)
        except LinkLost as error:
            losses.append(error)
        except LOSSES as error:
            # If Redis hung up to refuse the hello, the hello is about to raise a better reason.
            await trio.lowlevel.cancel_shielded_checkpoint()
            losses.append(lost_by(error, self.address))
        scope.cancel()

    async def _connection(
        self,
        stack: AsyncExitStack,
        start_reader: Callable[[trio.abc.Stream], None],
        task_status: trio.TaskStatus[None],
    ) -> NoReturn:
        stream: trio.abc.Stream | None = None
        with trio.move_on_after(self._hello_deadline):
            stream = await self.address.open()
            stack.push_async_callback(trio.aclose_forcefully, stream)
            start_reader(stream)
            await self._greet(stream)
            self.up = True
        if stream is None or not self.up:
            seconds = f"{self._hello_deadline:g} s"
            raise LinkLost(f"{self.address} did not answer the hello within {seconds}")
        self._listener.up()
        task_status.started()
        await self._write(stream)

    async def _greet(self, stream: trio.abc.Stream) -> None:
        asker = Asker(stream, self._backlog)
        server = await meet(asker, self.address, self._name)
        self.replid, self.maxmemory_policy = server.replid, server.maxmemory_policy
        channels = tuple(self._channels)
        self._tells = True
        greeting = None if self._greeting is None else self._greeting(server.replid)
        await prepare(asker, self.address, self._sources, greeting, channels)

    def _disconnected(self) -> None:
        self.up = self._tells = False
        self._suspect = None
        self._backlog.disconnected()

    # ---- the writer

    async def _write(self, stream: trio.abc.Stream) -> NoReturn:
        while True:
            while packed := self._backlog.next_write(trio.current_time(), held=self._held):
                self._last_sent = trio.current_time()
                await stream.send_all(packed)
            self._wake = trio.Event()
            await self._wake.wait()

    # ---- the reader

    async def _read(self, stream: trio.abc.Stream) -> NoReturn:
        reader, listener = new_reader(), self._listener
        while True:
            data = await stream.receive_some(_READ)
            if not data:
                raise trio.BrokenResourceError("Redis closed the connection")
            self.heard = trio.current_time()
            reader.feed(bytes(data))  # no copy: our streams give bytes
            listener.begin_batch()
            try:
                while (item := reader.gets()) is not NO_ITEM:
                    if is_push(item):
                        self._take_push(item)
                    else:
                        self._take_answer(item)
            finally:
                listener.end_batch()
                self._let_in()
            if self._backlog.drained:
                raise LinkLost(f"{self.address} has lost the scripts")
            if self._backlog.queued:  # they may have waited for large answers
                self._wake.set()

    def _take_answer(self, item: Any) -> None:
        if not self._backlog.sent:
            raise LinkLost(f"{self.address} sent an answer to no command ({item!s:.200})")
        slot = self._backlog.sent[0]
        if slot.confirmations and slot.answered is None:  # else the hello raises it
            raise LinkLost(f"{self.address} refused a subscription ({item})")
        unknown = isinstance(item, NoScriptError)
        if unknown and not slot.retried and not slot.ours:
            self._backlog.refuse_first()  # it is sent again after the next hello
        else:
            self._backlog.answer_first(item, executed=not unknown)
        self.answered += 1
        if isinstance(item, ReadOnlyError):
            raise LinkLost(f"{self.address} has become a replica ({item})")
        if isinstance(item, RedisError) and not slot.ours and lacks_rights(item):
            raise LinkLost(
                f"{self.address} has taken rights from us ({item})"
            )  # the next hello tells which

    def _take_push(self, item: list[Any]) -> None:
        kind = item[0]
        if kind == b"message":
            try:
                self._listener.hear(item[1], item[2])
            except Foreign:
                self._tell_foreign(item[1], item[2])
        elif kind in (b"subscribe", b"unsubscribe"):
            sent = self._backlog.sent
            if not sent or not sent[0].confirmations:
                raise LinkLost(f"{self.address} confirmed what was not asked")
            sent[0].confirmations -= 1
            if not sent[0].confirmations:
                self._backlog.answer_first(None)

    def _tell_foreign(self, channel: bytes, payload: bytes) -> None:
        """Warn that somebody else has published on a channel of ours; nothing is lost by that."""
        now = trio.current_time()
        if now - self._told_foreign >= FOREIGN_EVERY:
            self._told_foreign = now
            log.warning(
                "somebody else publishes on a channel of ours; it is ignored",
                channel=channel.decode(errors="replace")[:80],
                payload=f"{payload[:80]!r}",
            )

    # ---- the timer

    async def _keep_time(self) -> NoReturn:
        while True:
            await trio.sleep(self._tick)
            now = trio.current_time()
            self._backlog.expire(now)
            if math.isfinite(self._held_until) and not self._held:
                self.go_on()
            self._check_peer(now)
            self._let_in()

    def _check_peer(self, now: float) -> None:
        if not self._backlog.sent:
            if self.up and not self._backlog.unanswered and now - self._last_sent >= self._idle:
                self._put(Slot(_PING, None, ours=True))
            return
        oldest = self._backlog.sent[0]
        if now - oldest.sent > self._deadline:
            # Wait one more tick: if this process itself stood still, answers may lie unread.
            if self._suspect is oldest:
                raise LinkLost(f"{self.address} has not answered for {self._deadline:g} s")
            self._suspect = oldest

    def _let_in(self) -> None:
        if self._waiting and not self.full:
            self._waiting.unpark(count=self._backlog.free)
