"""The hello on a new connection to Redis, in two round trips. The first authenticates and checks
the server; the second loads the scripts, sends the greeting and subscribes, and only a primary that
can serve us gets it. Commands of the node itself are sent only after both are answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

import trio
from attrs import frozen
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from trio_wss.store.link.address import Address
from trio_wss.store.link.backlog import Backlog, Slot
from trio_wss.store.link.resp import LinkLost, WrongRedis, pack

Words = Sequence[str | bytes | int]
"""A command."""

_OLDEST: Final = 7  # the first major version whose scripts may begin with `#!lua`
_CHUNK: Final = 1000  # channels in one SUBSCRIBE
_NAMED: Final = 8  # commands in an error
_NEEDED: Final = f"Redis {_OLDEST} or any Valkey is needed"
_CURES: Final = {
    "WRONGPASS": "set the user and the password that it takes",
    "NOAUTH": "set the user and the password that it takes",
    "NOPERM": "its ACL must allow +@all -@dangerous +info, the namespace's keys and its channels",
    "NOPROTO": _NEEDED,
    "ERR unknown command": f"{_NEEDED}, with that command under its own name",
    "ERR DB index": "set a database that it has",
    "ERR SELECT is not allowed": "leave the database out",
}
"""The beginnings of errors that waiting will not mend, each with its cure."""


class Conversation(Protocol):
    """A conversation with Redis."""

    async def say(self, commands: Iterable[Words]) -> None:
        """Send commands as one write."""

    async def hear(self) -> Any:
        """Return the reply to the next command; None for a SUBSCRIBE. Raises RedisError."""


class Asker:
    """A conversation on a link's connection, ahead of the queue; the reader passes the replies."""

    def __init__(self, stream: trio.abc.Stream, backlog: Backlog) -> None:
        self._stream = stream
        self._backlog = backlog
        self._replies: deque[Any] = deque()  # at most one for each command sent
        self._there = trio.Event()

    async def say(self, commands: Iterable[Words]) -> None:
        """As Conversation."""
        written = []
        for command in commands:
            confirmations = len(command) - 1 if command[0] == b"SUBSCRIBE" else 0
            slot = Slot(pack(*command), self._heard, ours=True, confirmations=confirmations)
            self._backlog.put_sent(slot, trio.current_time())
            written.append(slot.packed)
        # If Redis hung up at once, the reader finds its reason, or the end of the stream.
        with suppress(trio.BrokenResourceError):
            if written:
                await self._stream.send_all(b"".join(written))

    def _heard(self, reply: Any) -> None:
        self._replies.append(reply)
        self._there.set()

    async def hear(self) -> Any:
        """As Conversation. Return a reply that is here without a checkpoint: the reader may soon
        find that Redis hung up."""
        if not self._replies:
            self._there = trio.Event()
            await self._there.wait()
        reply = self._replies.popleft()
        if isinstance(reply, RedisError):
            raise reply
        return reply


@frozen
class Server:
    """The server found by the first round trip. `maxmemory_policy`: None if CONFIG is forbidden."""

    replid: bytes  # the replication history this server's data belongs to
    maxmemory_policy: str | None


async def meet(talk: Conversation, address: Address, name: str) -> Server:
    """Make the first round trip. Raises LinkLost with the reason if Redis refuses us or cannot
    serve us: WrongRedis if waiting will not change that.
    """
    credentials: tuple[str, ...] = ()
    if address.password is not None:
        credentials = ("AUTH", address.username or "default", address.password)
    with _refusals(address):
        await talk.say(
            [
                ("HELLO", 3, *credentials),
                *([("SELECT", address.database)] if address.database else []),
                ("CLIENT", "SETNAME", name),
                ("INFO", "replication"),
                ("CONFIG", "GET", "maxmemory-policy"),
            ]
        )
        _check_version(await talk.hear(), address)
        if address.database:
            await talk.hear()
        await _hear_if_allowed(talk)  # the name is for people who look at Redis
        replication = _fields(await talk.hear())
        if replication.get(b"role") != b"master":
            raise LinkLost(f"{address} is a replica: {_why_no_primary(address)}")
        policies = await _hear_if_allowed(talk) or {}
    policy: bytes | None = policies.get(b"maxmemory-policy")
    return Server(
        replication.get(b"master_replid", b""), None if policy is None else policy.decode()
    )


async def prepare(
    talk: Conversation,
    address: Address,
    scripts: Sequence[str],
    greeting: Words | None,
    channels: Sequence[bytes],
) -> None:
    """Make the second round trip. If the reply to `greeting` is a list, it names the commands that
    this user may not run. Raises as `meet` does.
    """
    chunks = [channels[at : at + _CHUNK] for at in range(0, len(channels), _CHUNK)]
    with _refusals(address):
        await talk.say(
            [
                *(("SCRIPT", "LOAD", source) for source in scripts),
                *([] if greeting is None else [greeting]),
                *((b"SUBSCRIBE", *chunk) for chunk in chunks),
            ]
        )
        for _ in scripts:
            await talk.hear()
        missing = None if greeting is None else await talk.hear()
        if isinstance(missing, list) and missing:
            raise WrongRedis(
                f"{address} does not let this user run {_named(missing)}: {_CURES['NOPERM']}"
            )
        for _ in chunks:
            await talk.hear()


def _named(missing: Sequence[bytes]) -> str:
    """Return the rights that hello.lua found to be missing, as words."""
    names = [item.decode(errors="replace") for item in missing]
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])


@contextmanager
def _refusals(address: Address) -> Iterator[None]:
    """Turn an error reply into LinkLost with its text."""
    try:
        yield
    except BusyLoadingError:
        raise LinkLost(f"{address} is still loading its data") from None
    except RedisError as error:
        # A server without HELLO repeats its arguments: the password, or the start of a long one.
        text = str(error).partition(", with args")[0].replace(address.password or "\0", "…")
        for beginning, cure in _CURES.items():
            if text.startswith(beginning):
                raise WrongRedis(f"{address} refused the hello ({text}): {cure}") from None
        raise LinkLost(f"{address} refused the hello ({text})") from None


def _why_no_primary(address: Address) -> str:
    if address.sentinels is None:
        return "REDIS_SERVER must name the primary"
    return "its Sentinels do not know yet who is the primary"


def _check_version(answer: Any, address: Address) -> None:
    if not isinstance(answer, dict):
        raise WrongRedis(f"{address} does not say what it is: {_NEEDED}")
    version: bytes = answer.get(b"version", b"0")
    if int(version.partition(b".")[0]) < _OLDEST:
        raise WrongRedis(f"{address} is version {version.decode()}: {_NEEDED}")


async def _hear_if_allowed(talk: Conversation) -> Any:
    """Return the next reply; None if its command is forbidden or renamed (managed services)."""
    try:
        return await talk.hear()
    except ResponseError:
        return None


def _fields(info: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in info.splitlines())
    return {name: value for name, colon, value in lines if colon}
