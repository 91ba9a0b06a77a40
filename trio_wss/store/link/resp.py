"""RESP3 by hiredis: pack commands, parse items, and turn error replies into redis-py's exceptions
with Redis' whole text, its code first; also the errors that end a connection."""

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
    """The connection to Redis ended or could not be made; the text says why, without secrets."""


class WrongRedis(LinkLost):
    """Waiting will not help: another server is needed, or other rights on this one. The text names
    the cure."""


class Foreign(WssError):
    """A message on one of our channels that no node of ours sent: anybody may publish."""


LOSSES: Final = (hiredis.ProtocolError, OSError, trio.BrokenResourceError)


def lost_by(error: BaseException, address: object) -> LinkLost:
    """Return the LinkLost for one of LOSSES on the connection to `address`."""
    if isinstance(error, hiredis.ProtocolError):
        return WrongRedis(
            f"{address} does not speak RESP3 ({error}): name a Redis, by rediss:// if it has TLS"
        )
    return LinkLost(f"no connection to {address} ({_first_cause(error)})")


def _first_cause(error: BaseException) -> str:
    """Return the text of the innermost error: Trio wraps the errors of an attempt to connect."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        return _first_cause(error.exceptions[0])
    return str(error) or type(error).__name__


def pack(*command: str | bytes | int) -> bytes:
    """Return a command as bytes for the wire."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # stub: a 1-tuple
    return packed


def new_reader() -> hiredis.Reader:
    """Make a parser for one connection; it returns error replies as values and does not raise."""
    return hiredis.Reader(replyError=redis_error, notEnoughData=NO_ITEM)


def redis_error(text: str) -> exceptions.RedisError:
    """Return the exception for an error reply; its `str()` is the whole reply."""
    return _CLASSES.get(text.partition(" ")[0], exceptions.ResponseError)(text)


_RIGHTS: Final = (
    "ACL failure in script",
    "The user executing the script can't",
)  # later, Redis 7.0


def lacks_rights(error: exceptions.RedisError) -> bool:
    """Return True if missing rights made Redis refuse a command or break a script off."""
    text = str(error).removeprefix("ERR ")
    return isinstance(error, exceptions.NoPermissionError) or text.startswith(_RIGHTS)


def is_push(item: Any) -> bool:
    """Return True for a push: a message, or the confirmation of a (un)subscription."""
    return isinstance(item, hiredis.PushNotification)
