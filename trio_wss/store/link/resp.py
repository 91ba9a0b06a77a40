"""RESP3 by hiredis: commands packed, items parsed, error replies as redis-py's exceptions with the
whole text of Redis, its code first; and what the end of a connection means."""

from __future__ import annotations

from typing import Any, Final

import hiredis
import trio
from redis import exceptions

from trio_wss.errors import WssError

NO_ITEM: Final = object()  # what `Reader.gets` returns when no whole item is there

_CLASSES: Final[dict[str, type[exceptions.RedisError]]] = {
    "LOADING": exceptions.BusyLoadingError,
    "NOAUTH": exceptions.AuthenticationError,
    "NOPERM": exceptions.NoPermissionError,
    "NOSCRIPT": exceptions.NoScriptError,
    "OOM": exceptions.OutOfMemoryError,
    "READONLY": exceptions.ReadOnlyError,
    "WRONGPASS": exceptions.AuthenticationError,
}


class LinkLost(WssError):
    """The connection to Redis ended or could not be made; the text says why, with no secret."""


class WrongRedis(LinkLost):
    """No waiting will mend it: another server is needed, or other rights on this one. The text says
    what would."""


class Foreign(WssError):
    """A push on one of our channels that is none of ours: anybody may publish."""


LOSSES: Final = (hiredis.ProtocolError, OSError, trio.BrokenResourceError)


def lost_by(error: BaseException, address: object) -> LinkLost:
    """What one of LOSSES says about the connection to `address`."""
    if isinstance(error, hiredis.ProtocolError):
        return WrongRedis(
            f"{address} does not speak RESP3 ({error}): name a Redis, by rediss:// if it has TLS"
        )
    return LinkLost(f"no connection to {address} ({_first_cause(error)})")


def _first_cause(error: BaseException) -> str:
    """Trio wraps the errors of an attempt to connect; the innermost says what it was."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        return _first_cause(error.exceptions[0])
    return str(error) or type(error).__name__


def pack(*command: str | bytes | int) -> bytes:
    """A command as bytes for the wire."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # stub: a 1-tuple
    return packed


def new_reader() -> hiredis.Reader:
    """A parser for one connection; error replies come as values, not as exceptions."""
    return hiredis.Reader(replyError=redis_error, notEnoughData=NO_ITEM)


def redis_error(text: str) -> exceptions.RedisError:
    """The exception for an error reply, `str()` of which is the whole reply."""
    return _CLASSES.get(text.partition(" ")[0], exceptions.ResponseError)(text)


_RIGHTS: Final = (
    "ACL failure in script",
    "The user executing the script can't",
)  # later, Redis 7.0


def lacks_rights(error: exceptions.RedisError) -> bool:
    """True if a command was refused, or a script broken off, for want of rights."""
    text = str(error).removeprefix("ERR ")
    return isinstance(error, exceptions.NoPermissionError) or text.startswith(_RIGHTS)


def is_push(item: Any) -> bool:
    """True for what Redis sends of its own accord: messages and (un)subscribe confirmations."""
    return isinstance(item, hiredis.PushNotification)
