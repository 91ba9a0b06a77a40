"""The first words on a new connection to Redis: who we are, which database, our scripts, and
which server this is. Nothing of a node's own work is sent before they have been answered."""

from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol

import trio
from attrs import frozen
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from trio_wss.store.address import Address
from trio_wss.store.backlog import Backlog, Slot
from trio_wss.store.resp import LinkLost, pack

_OLDEST: Final = 7  # the first major version whose scripts may begin with `#!lua`


class Ask(Protocol):
    """Sends one command and returns its reply. Raises RedisError for an error reply."""

    def __call__(self, *command: str | bytes | int) -> Awaitable[Any]: ...


@frozen
class Asker:
    """Asks on a connection, ahead of all that is queued."""

    stream: trio.abc.Stream
    backlog: Backlog

    async def __call__(self, *command: str | bytes | int, confirmations: int = 0) -> Any:
        """As Ask. A subscription is answered by so many `confirmations`, and returns None."""
        replies: list[Any] = []
        there = trio.Event()

        def answered(reply: Any) -> None:
            replies.append(reply)
            there.set()

        slot = Slot(pack(*command), answered, ours=True, confirmations=confirmations)
        self.backlog.put_sent(slot, trio.current_time())
        # A Redis that hung up at once may have said why: the reader finds that, or the end.
        with suppress(trio.BrokenResourceError):
            await self.stream.send_all(slot.packed)
        await there.wait()
        if isinstance(replies[0], RedisError):
            raise replies[0]
        return replies[0]


@frozen
class Server:
    """What the hello found. `maxmemory_policy` is None when CONFIG is forbidden."""

    replid: bytes  # the replication history this server's data belongs to
    maxmemory_policy: str | None


async def say_hello(ask: Ask, address: Address, scripts: Iterable[str], name: str) -> Server:
    """Raises LinkLost with the reason when Redis does not take us or cannot serve us."""
    credentials: tuple[str, ...] = ()
    if address.password is not None:
        credentials = ("AUTH", address.username or "default", address.password)
    try:
        _check_version(await ask("HELLO", 3, *credentials), address)
        if address.database:
            await ask("SELECT", address.database)
        await ask("CLIENT", "SETNAME", name)
        replication = _fields(await ask("INFO", "replication"))
        if replication.get(b"role") != b"master":
            raise LinkLost(f"{address} is a replica: {_why_no_primary(address)}")
        for source in scripts:
            await ask("SCRIPT", "LOAD", source)
        policy = await _maxmemory_policy(ask)
    except BusyLoadingError:
        raise LinkLost(f"{address} is still loading its data") from None
    except RedisError as error:
        # A server too old for HELLO repeats it in its error, password and all.
        text = str(error).replace(address.password or "\0", "…")
        raise LinkLost(f"{address} refused the hello ({text})") from None
    return Server(replication.get(b"master_replid", b""), policy)


def _why_no_primary(address: Address) -> str:
    if address.sentinels is None:
        return "REDIS_SERVER must name the primary"
    return "its Sentinels do not know yet who is the primary"


def _check_version(greeting: Any, address: Address) -> None:
    version: bytes = greeting.get(b"version", b"0")
    if int(version.partition(b".")[0]) < _OLDEST:
        raise LinkLost(
            f"{address} is version {version.decode()}: Redis {_OLDEST} or any Valkey is needed"
        )


async def _maxmemory_policy(ask: Ask) -> str | None:
    try:
        reply = await ask("CONFIG", "GET", "maxmemory-policy")
    except ResponseError:  # forbidden or renamed, as managed services do
        return None
    policy: bytes | None = reply.get(b"maxmemory-policy")
    return None if policy is None else policy.decode()


def _fields(info: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in info.splitlines())
    return {name: value for name, colon, value in lines if colon}
